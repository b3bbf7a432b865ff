//! score/: how good is a match?
//!
//! Every scorer here has the form *outer(document) x tree / proximity*: leaves of the query tree
//! give numbers, inner nodes combine them, and the document's facts scale the result. [`Scoring`] is
//! a scorer with the statistics of one snapshot; [`Leaf`] is what it makes of one term. That one form
//! is what lets pruning be written once: see [`Scoring::ceiling`].
//!
//! Formulas: spec/search.md §5.1, those of RediSearch 2.10.

pub mod explain;
pub mod gauge;

use crate::segment::DocFacts;
use explain::Explanation;

/// A scorer by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scorer {
    /// Frequency by inverse document frequency over the document's greatest frequency.
    #[default]
    Tfidf,
    /// The same over the document's length.
    TfidfDocNorm,
    /// The early one of RediSearch, without the document's length.
    Bm25,
    /// As in the literature, with k1 = 1.2 and b = 0.5.
    Bm25Std,
    /// Sums of frequencies; the best branch of a union.
    DisMax,
    /// The document's own score.
    DocScore,
    /// Nearness of payloads.
    Hamming,
}

impl Scorer {
    /// The scorer that `SCORER name` asks for.
    pub fn by_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"TFIDF" => Self::Tfidf,
            b"TFIDF.DOCNORM" => Self::TfidfDocNorm,
            b"BM25" => Self::Bm25,
            b"BM25STD" => Self::Bm25Std,
            b"DISMAX" => Self::DisMax,
            b"DOCSCORE" => Self::DocScore,
            b"HAMMING" => Self::Hamming,
            _ => return None,
        })
    }

    /// The name that [`Scorer::by_name`] knows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tfidf => "TFIDF",
            Self::TfidfDocNorm => "TFIDF.DOCNORM",
            Self::Bm25 => "BM25",
            Self::Bm25Std => "BM25STD",
            Self::DisMax => "DISMAX",
            Self::DocScore => "DOCSCORE",
            Self::Hamming => "HAMMING",
        }
    }
}

/// Whole numbers below this, times any frequency, and some sums of that, are exact.
const EXACT: f64 = 65_536.0;

const K1: f64 = 1.2;
const B: f64 = 0.5;

/// A scorer with the statistics of one snapshot.
#[derive(Debug, Clone)]
pub struct Scoring {
    scorer: Scorer,
    documents: f64,
    mean_len: f64,
    /// What is added to a frequency in the denominator: this and so much for each unit of length.
    saturation: (f64, f64),
    payload: Option<Box<[u8]>>,
}

/// What the facts of one document amount to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scale {
    /// Added to a frequency in the denominator of a saturating leaf.
    pub saturation: f64,
    /// Multiplies the tree's value.
    pub outer: f64,
    /// Divides that.
    pub norm: f64,
}

/// How a leaf's value grows with its frequency.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Linear,
    Saturating,
}

/// What a scorer makes of one leaf of the query tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leaf {
    gain: f64,
    shape: Shape,
    weight: f64,
    idf: f64,
}

impl Leaf {
    /// Whether its value does not depend on the document but for the frequency.
    #[inline]
    pub fn is_linear(&self) -> bool {
        self.shape == Shape::Linear
    }

    /// The value of `freq` occurrences in a document of this scale.
    #[inline]
    pub fn value(&self, freq: u32, scale: &Scale) -> f64 {
        let freq = f64::from(freq);
        match self.shape {
            Shape::Linear => self.gain * freq,
            Shape::Saturating => self.gain * freq / (freq + scale.saturation),
        }
    }
}

impl Scoring {
    /// A scorer over a collection of so many living documents of this mean length. `payload` is the
    /// query's, for HAMMING.
    pub fn new(scorer: Scorer, documents: u64, mean_len: f64, payload: Option<Box<[u8]>>) -> Self {
        let saturation = match scorer {
            Scorer::Bm25 => (K1 * (1.0 - B + B * mean_len), 0.0),
            _ if mean_len > 0.0 => (K1 * (1.0 - B), K1 * B / mean_len),
            _ => (K1, 0.0),
        };
        Self { scorer, documents: documents as f64, mean_len, saturation, payload }
    }

    /// The scorer.
    pub fn scorer(&self) -> Scorer {
        self.scorer
    }

    /// The leaf of a term with `postings` postings (dead ones included until they are merged away)
    /// in a clause of this weight.
    pub fn term(&self, weight: f64, postings: u64) -> Leaf {
        let n = (postings as f64).max(1.0);
        match self.scorer {
            Scorer::Bm25Std => {
                // A term cannot be in more documents than there are: dead postings do not count.
                let missing = (self.documents - n).max(0.0);
                let idf = (1.0 + (missing + 0.5) / (n + 0.5)).ln();
                Leaf { gain: weight * idf * (K1 + 1.0), shape: Shape::Saturating, weight, idf }
            }
            Scorer::Bm25 => {
                let idf = self.idf(n);
                Leaf { gain: idf, shape: Shape::Saturating, weight, idf }
            }
            Scorer::DisMax => Leaf { gain: weight, shape: Shape::Linear, weight, idf: 1.0 },
            _ => {
                let idf = self.idf(n);
                Leaf { gain: weight * idf, shape: Shape::Linear, weight, idf }
            }
        }
    }

    /// The exponent of the quotient as a double: 0, 1, 2..
    fn idf(&self, n: f64) -> f64 {
        (1.0 + (self.documents + 1.0) / n).log2().floor()
    }

    /// The leaf of a clause that is not a word: a range, a tag, a circle.
    pub fn filter(&self, weight: f64) -> Leaf {
        match self.scorer {
            Scorer::Bm25Std => Leaf { gain: 0.0, shape: Shape::Linear, weight, idf: 0.0 },
            Scorer::Bm25 => Leaf { gain: weight, shape: Shape::Saturating, weight, idf: 1.0 },
            _ => Leaf { gain: weight, shape: Shape::Linear, weight, idf: 1.0 },
        }
    }

    /// The leaf of `*`.
    pub fn all(&self, weight: f64) -> Leaf {
        match self.scorer {
            Scorer::Bm25Std => Leaf { gain: weight * (K1 + 1.0), shape: Shape::Saturating, weight, idf: 1.0 },
            _ => self.filter(weight),
        }
    }

    /// Whether a union is worth its best branch rather than the sum.
    pub fn best_branch(&self) -> bool {
        self.scorer == Scorer::DisMax
    }

    /// Whether the value of the tree matters.
    pub fn needs_tree(&self) -> bool {
        !matches!(self.scorer, Scorer::DocScore | Scorer::Hamming)
    }

    /// Whether terms that stand far apart count less.
    pub fn needs_proximity(&self) -> bool {
        matches!(self.scorer, Scorer::Tfidf | Scorer::TfidfDocNorm | Scorer::Bm25)
    }

    #[inline]
    fn saturation(&self, len: u32) -> f64 {
        self.saturation.0 + self.saturation.1 * f64::from(len)
    }

    /// What a document's facts amount to.
    #[inline]
    pub fn scale(&self, facts: DocFacts) -> Scale {
        let score = f64::from(facts.score);
        let (outer, norm) = match self.scorer {
            Scorer::Tfidf => (score, f64::from(facts.max_freq.max(1))),
            Scorer::TfidfDocNorm => (score, f64::from(facts.len.max(1))),
            Scorer::DisMax => (1.0, 1.0),
            _ => (score, 1.0),
        };
        Scale { saturation: self.saturation(facts.len), outer, norm }
    }

    /// The result for a document, of its tree's value and its proximity divisor.
    #[inline]
    pub fn result(&self, scale: &Scale, tree: f64, proximity: f64) -> f64 {
        let value = scale.outer * tree;
        // In this order: a whole number of at most n times the norm divided by the norm is at most n, which
        // is why ceilings of whole numbers can be exact.
        let value = if scale.norm == 1.0 { value } else { value / scale.norm };
        value / proximity
    }

    /// The result of a scorer that does not look at the tree.
    pub fn without_tree(&self, facts: DocFacts, payload: Option<&[u8]>) -> f64 {
        match self.scorer {
            Scorer::Hamming => match (&self.payload, payload) {
                (Some(a), Some(b)) if a.len() == b.len() && !a.is_empty() => {
                    let bits: u32 = a.iter().zip(b).map(|(x, y)| (x ^ y).count_ones()).sum();
                    1.0 / (1.0 + f64::from(bits))
                }
                _ => 0.0,
            },
            _ => f64::from(facts.score),
        }
    }

    /// An upper bound on what a leaf adds to the result of any document whose frequency is at most
    /// `freq` and whose length at least `len`, and whose own score is 1. Sums of these bound sums:
    /// the outer factor is spread over the leaves. Relies on that a document's greatest frequency is
    /// at least that of each term, and proximity divisors are at least 1.
    pub fn ceiling(&self, leaf: &Leaf, freq: u32, len: u32) -> f64 {
        let value = match self.scorer {
            // So that of many documents which are worth as much as can be, the first few are enough.
            Scorer::Tfidf if leaf.gain.fract() == 0.0 && leaf.gain < EXACT => return leaf.gain,
            Scorer::Tfidf => leaf.gain,
            Scorer::TfidfDocNorm => leaf.gain * f64::from(freq) / f64::from(len.max(1)),
            _ => {
                let scale = Scale { saturation: self.saturation(len), outer: 1.0, norm: 1.0 };
                if freq == u32::MAX && leaf.shape == Shape::Saturating {
                    leaf.gain
                } else {
                    leaf.value(freq, &scale)
                }
            }
        };
        // Rounding may put a sum in another order a hair above the true one.
        value * (1.0 + 1e-9)
    }

    /// What a document's own score multiplies ceilings by, at most.
    pub fn outer_ceiling(&self, max_score: f32) -> f64 {
        if self.scorer == Scorer::DisMax {
            1.0
        } else {
            f64::from(max_score)
        }
    }

    /// How a leaf came to its value.
    pub fn explain_leaf(&self, leaf: &Leaf, term: &str, freq: u32, facts: DocFacts, scale: &Scale) -> Explanation {
        let value = leaf.value(freq, scale);
        let (weight, idf) = (leaf.weight, leaf.idf);
        Explanation::leaf(match self.scorer {
            Scorer::Bm25Std => format!(
                "{term}: ({value:.2} = Weight {weight:.2} * IDF {idf:.2} * (F {freq:.2} * (k1 1.2 + 1)) / (F {freq:.2} + k1 1.2 * (1 - b 0.5 + b 0.5 * Doc Len {len} / Average Doc Len {mean:.2})))",
                freq = f64::from(freq),
                len = facts.len,
                mean = self.mean_len,
            ),
            Scorer::Bm25 => format!(
                "({value:.2} = IDF {idf:.2} * F {freq} / (F {freq} + k1 1.2 * (1 - b 0.5 + b 0.5 * Average Len {mean:.2})))",
                mean = self.mean_len,
            ),
            Scorer::DisMax => format!("DISMAX {value:.2} = Weight {weight:.2} * Frequency {freq}"),
            _ => format!("(TFIDF {value:.2} = Weight {weight:.2} * TF {freq} * IDF {idf:.2})"),
        })
    }

    /// How the whole came to its value.
    pub fn explain_result(
        &self,
        facts: DocFacts,
        tree: f64,
        proximity: f64,
        result: f64,
        below: Explanation,
    ) -> Explanation {
        let score = facts.score;
        let text = match self.scorer {
            Scorer::Tfidf | Scorer::TfidfDocNorm => {
                let norm = if self.scorer == Scorer::Tfidf { facts.max_freq.max(1) } else { facts.len.max(1) };
                format!("Final TFIDF : words TFIDF {tree:.2} * document score {score:.2} / norm {norm} / slop {proximity:.0}")
            }
            Scorer::Bm25 => {
                format!("Final BM25 : words BM25 {tree:.2} * document score {score:.2} / slop {proximity:.0}")
            }
            Scorer::Bm25Std => format!("Final BM25 : words BM25 {tree:.2} * document score {score:.2}"),
            Scorer::DisMax => return below,
            Scorer::DocScore => return Explanation::leaf(format!("Document's score is {result:.2}")),
            Scorer::Hamming => {
                return Explanation::leaf(if result > 0.0 {
                    format!("String length is equal. Score is 1/(1+{:.0})", 1.0 / result - 1.0)
                } else {
                    "Payloads provided to scorer vary in length".to_owned()
                })
            }
        };
        Explanation { text, children: vec![below] }
    }
}

#[cfg(test)]
mod tests;
