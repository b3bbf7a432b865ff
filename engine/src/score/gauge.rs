//! By which number of a document is its score bounded?
//!
//! Every scorer but a few looks at the document's length or at the frequency of its most frequent term, and no
//! score grows with that number. So where it is known how frequent each term is at most, anywhere, a document's
//! score has a bound that takes one number of the document and nothing of its postings.

use super::{Leaf, Scorer, Scoring, EXACT};
use crate::segment::DocFacts;

/// A number of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gauge {
    /// The frequency of its most frequent term.
    MaxFreq,
    /// Its length.
    Len,
}

/// A leaf of the query tree where it is worth most.
#[derive(Debug, Clone, Copy)]
pub struct Peak {
    /// The leaf.
    pub leaf: Leaf,
    /// How frequent it is in a document at most.
    pub freq: u32,
    /// The product of the weights above it.
    pub factor: f64,
}

impl Scoring {
    /// The number that bounds scores, if there is one.
    pub fn gauge(&self) -> Option<Gauge> {
        match self.scorer {
            Scorer::Tfidf => Some(Gauge::MaxFreq),
            Scorer::TfidfDocNorm | Scorer::Bm25Std => Some(Gauge::Len),
            Scorer::Bm25 | Scorer::DisMax | Scorer::DocScore | Scorer::Hamming => None,
        }
    }

    /// A bound on the result of each document with this number, or a greater one, of which all leaves add up. No
    /// document's own score is above `max_score`.
    pub fn summit(&self, gauge: Gauge, number: u32, peaks: &[Peak], max_score: f32) -> f64 {
        let facts = DocFacts { len: number, max_freq: number, score: max_score };
        let scale = self.scale(facts);
        // No term is more frequent than the most frequent one.
        let most = if gauge == Gauge::MaxFreq { number.max(1) } else { u32::MAX };
        let tree: f64 = peaks.iter().map(|peak| peak.factor * peak.leaf.value(peak.freq.min(most), &scale)).sum();
        let whole = |peak: &Peak| peak.factor == 1.0 && peak.leaf.gain.fract() == 0.0 && peak.leaf.gain < EXACT;
        // Sums of whole numbers are exact, so that a document that only equals the bound needs no look; others
        // may be a hair off.
        let exact = self.scorer == Scorer::Tfidf && max_score == 1.0 && peaks.iter().all(whole);
        self.result(&scale, tree, 1.0) * if exact { 1.0 } else { 1.0 + 1e-9 }
    }
}
