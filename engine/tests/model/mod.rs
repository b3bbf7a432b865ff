//! A naive index: documents in a list, queries by looking at each. What the engine is compared with.

#![allow(dead_code, reason = "each test uses a part")]

use engine::columns::geo;
use engine::cursor::phrase::Within;
use engine::cursor::plan::{Node, NodeKind};
use engine::dict::pattern::Pattern;
use engine::dict::{is_derived, Space};
use engine::index::document::{Document, DocumentBuilder, Keep};
use engine::index::{Index, Snapshot};
use engine::postings::positions::{distance, field_of, in_field};
use engine::schema::{FieldId, FieldMask};
use engine::score::Scorer;
use std::collections::BTreeMap;

pub(crate) const NUMBER: FieldId = FieldId(2);
pub(crate) const TAG: FieldId = FieldId(3);
pub(crate) const GEO: FieldId = FieldId(4);
pub(crate) const SORT: FieldId = FieldId(5);

/// A document before analysis: two text fields, a number, tags, a point, a sort value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelDoc {
    pub(crate) texts: [Vec<String>; 2],
    pub(crate) number: Option<f64>,
    pub(crate) tags: Vec<String>,
    pub(crate) point: Option<(f64, f64)>,
    pub(crate) sort: Option<String>,
    pub(crate) score: f32,
    pub(crate) payload: Option<[u8; 2]>,
}

/// What payloads are compared with.
pub(crate) const PAYLOAD: [u8; 2] = [0b1010, 0xff];

/// A word's stem, so to speak: words that begin alike have the same.
pub(crate) fn stem(word: &str) -> String {
    word.chars().take(1).fold(String::from("+"), |mut stem, first| {
        stem.push(first);
        stem
    })
}

impl ModelDoc {
    /// Analyses it, the second text field with weight 2.
    pub(crate) fn build(&self, key: &str) -> Document {
        let mut builder = DocumentBuilder::new(key.as_bytes(), Keep::ALL);
        builder.score(self.score);
        self.payload.iter().for_each(|payload| {
            builder.payload(payload);
        });
        for (field, words) in self.texts.iter().enumerate() {
            for (at, word) in words.iter().enumerate() {
                builder.word(field as u8, word.as_bytes(), at as u32, field as u32 + 1);
                builder.derived(field as u8, stem(word).as_bytes(), at as u32, field as u32 + 1);
            }
        }
        if let Some(number) = self.number {
            builder.number(NUMBER, number);
        }
        self.tags.iter().for_each(|tag| {
            builder.tag(TAG, tag.as_bytes());
        });
        if self.tags.is_empty() {
            builder.missing(TAG);
        }
        if let Some((x, y)) = self.point {
            builder.point(GEO, x, y);
        }
        if let Some(sort) = &self.sort {
            builder.sort_text(SORT, sort.as_bytes());
        }
        builder.finish()
    }

    fn len(&self) -> u32 {
        (self.texts[0].len() + 2 * self.texts[1].len()) as u32
    }

    fn freq(&self, word: &str) -> u32 {
        let count = |field: usize| self.texts[field].iter().filter(|other| is(other, word)).count() as u32;
        count(0) + 2 * count(1)
    }

    fn max_freq(&self) -> u32 {
        // A stem is as frequent as its words together.
        self.texts.iter().flatten().map(|word| self.freq(&stem(word))).max().unwrap_or(0)
    }

    fn positions(&self, word: &str, fields: FieldMask) -> Vec<u32> {
        let mut positions = Vec::new();
        for (field, words) in self.texts.iter().enumerate() {
            let places = words.iter().enumerate().filter(|(_, other)| is(other, word));
            positions.extend(places.map(|(at, _)| in_field(field as u8, at as u32)));
        }
        positions.retain(|&position| field_of(position) & fields != 0);
        positions
    }
}

/// Whether a term is a word or its stem.
fn is(word: &str, term: &str) -> bool {
    if is_derived(term.as_bytes()) {
        stem(word) == term
    } else {
        word == term
    }
}

/// Living documents by key, each with its number of birth.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) docs: BTreeMap<String, (u64, ModelDoc)>,
}

/// Statistics of the engine that scores depend on.
pub(crate) struct Stats<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) scorer: Scorer,
}

impl Stats<'_> {
    fn postings(&self, word: &str) -> f64 {
        let key = Space::Text.key(word.as_bytes());
        let lists = self.snapshot.segments().filter_map(|segment| segment.list(&key));
        lists.map(|list| list.len()).sum::<usize>() as f64
    }

    /// A document's length, as a share of the mean: as of the mean where no document has any text.
    fn share_of_mean(&self, doc: &ModelDoc) -> f64 {
        let mean = self.snapshot.mean_len();
        if mean > 0.0 {
            f64::from(doc.len()) / mean
        } else {
            1.0
        }
    }

    fn saturate(&self, freq: f64, len: f64) -> f64 {
        freq / (freq + 1.2 * (0.5 + 0.5 * len))
    }

    fn term(&self, doc: &ModelDoc, word: &str, weight: f64) -> f64 {
        let (f, n, docs) = (f64::from(doc.freq(word)), self.postings(word), self.snapshot.documents() as f64);
        match self.scorer {
            Scorer::Bm25Std => {
                let idf = (1.0 + ((docs - n).max(0.0) + 0.5) / (n + 0.5)).ln();
                weight * idf * 2.2 * self.saturate(f, self.share_of_mean(doc))
            }
            Scorer::Bm25 => (1.0 + (docs + 1.0) / n).log2().floor() * self.saturate(f, self.snapshot.mean_len()),
            Scorer::DisMax => weight * f,
            _ => weight * f * (1.0 + (docs + 1.0) / n).log2().floor(),
        }
    }

    fn filter(&self, weight: f64) -> f64 {
        match self.scorer {
            Scorer::Bm25Std => 0.0,
            Scorer::Bm25 => weight * self.saturate(1.0, self.snapshot.mean_len()),
            _ => weight,
        }
    }

    fn all(&self, doc: &ModelDoc, weight: f64) -> f64 {
        match self.scorer {
            Scorer::Bm25Std => weight * 2.2 * self.saturate(1.0, self.share_of_mean(doc)),
            _ => self.filter(weight),
        }
    }

    /// The value of a tree for a document that may or may not match, and its positions.
    fn evaluate(&self, node: &Node, (key, doc): (&str, &ModelDoc)) -> Option<(f64, Vec<u32>)> {
        let weight = node.weight;
        let combined = |parts: Vec<(f64, Vec<u32>)>| {
            let values = parts.iter().map(|(value, _)| *value);
            let union = matches!(node.kind, NodeKind::Union(_) | NodeKind::Expand { .. });
            let sum = if union && self.scorer == Scorer::DisMax { values.fold(0.0, f64::max) } else { values.sum() };
            (weight * sum, parts.into_iter().flat_map(|(_, positions)| positions).collect())
        };
        match &node.kind {
            NodeKind::Empty => None,
            NodeKind::All => Some((self.all(doc, weight), Vec::new())),
            NodeKind::Term { term, fields } => {
                let word = std::str::from_utf8(term).expect("words");
                let positions = doc.positions(word, *fields);
                (!positions.is_empty()).then(|| (self.term(doc, word, weight), positions))
            }
            NodeKind::Tag { value, .. } => {
                let found = doc.tags.iter().any(|tag| tag.as_bytes() == &**value);
                found.then(|| (self.filter(weight), Vec::new()))
            }
            NodeKind::Missing(_) => doc.tags.is_empty().then(|| (self.filter(weight), Vec::new())),
            NodeKind::Expand { space: Space::Text, pattern, fields, .. } => {
                let mut words: Vec<&String> = doc.texts.iter().flatten().collect();
                words.sort();
                words.dedup();
                let matching = words.into_iter().filter(|word| matches(pattern, word));
                let term = |word: &String| {
                    let node = Node::new(NodeKind::Term { term: word.as_bytes().into(), fields: *fields });
                    self.evaluate(&node, (key, doc))
                };
                let parts: Vec<_> = matching.filter_map(term).collect();
                (!parts.is_empty()).then(|| combined(parts))
            }
            NodeKind::Expand { pattern, .. } => {
                let tags = doc.tags.iter().collect::<std::collections::BTreeSet<_>>();
                let count = tags.into_iter().filter(|tag| matches(pattern, tag)).count();
                let parts: Vec<_> = (0..count).map(|_| (self.filter(1.0), Vec::new())).collect();
                (!parts.is_empty()).then(|| combined(parts))
            }
            NodeKind::Intersect { children, within } => {
                let mut parts = Vec::new();
                let mut required = Vec::new();
                for child in children {
                    match &child.kind {
                        NodeKind::Not(inner) => {
                            if self.evaluate(inner, (key, doc)).is_some() {
                                return None;
                            }
                        }
                        NodeKind::Optional(inner) => {
                            parts.extend(self.evaluate(inner, (key, doc)).map(|(value, _)| (value, Vec::new())));
                        }
                        _ => required.push(self.evaluate(child, (key, doc))?),
                    }
                }
                let lists: Vec<Vec<u32>> =
                    required.iter().map(|(_, list)| list.clone()).filter(|list| !list.is_empty()).collect();
                if !is_within(&lists, *within) {
                    return None;
                }
                required.extend(parts);
                Some(combined(required))
            }
            NodeKind::Union(children) => {
                let parts: Vec<_> =
                    children.iter().filter_map(|child| self.evaluate_whole(child, (key, doc))).collect();
                (!parts.is_empty()).then(|| combined(parts))
            }
            _ => self.evaluate_whole(node, (key, doc)),
        }
    }

    fn evaluate_whole(&self, node: &Node, doc: (&str, &ModelDoc)) -> Option<(f64, Vec<u32>)> {
        let filter = |found: bool| found.then(|| (self.filter(node.weight), Vec::new()));
        match &node.kind {
            NodeKind::Not(inner) => match self.evaluate(inner, doc) {
                None => Some((0.0, Vec::new())),
                Some(_) => None,
            },
            NodeKind::Optional(inner) => Some(self.evaluate(inner, doc).unwrap_or((0.0, Vec::new()))),
            NodeKind::Range(_, range) => filter(doc.1.number.is_some_and(|number| range.contains(number))),
            NodeKind::Circle(_, circle) => filter(doc.1.point.is_some_and(|(x, y)| circle.contains(geo::encode(x, y)))),
            NodeKind::Keys(keys) => filter(keys.iter().any(|key| **key == *doc.0.as_bytes())),
            _ => self.evaluate(node, doc),
        }
    }

    /// The clauses whose distances count, of those that match.
    fn apart(&self, node: &Node, doc: (&str, &ModelDoc)) -> Vec<Node> {
        let kept = |child: &&Node| !matches!(child.kind, NodeKind::Not(_) | NodeKind::Optional(_));
        match &node.kind {
            NodeKind::Intersect { children, .. } => children.iter().filter(kept).cloned().collect(),
            NodeKind::Union(children) => {
                children.iter().filter(|child| self.evaluate_whole(child, doc).is_some()).cloned().collect()
            }
            NodeKind::Expand { space: Space::Text, pattern, fields, .. } => {
                let mut words: Vec<&String> =
                    doc.1.texts.iter().flatten().filter(|word| matches(pattern, word)).collect();
                words.sort();
                words.dedup();
                let term = |word: &String| NodeKind::Term { term: word.as_bytes().into(), fields: *fields };
                let nodes = words.into_iter().map(|word| Node::new(term(word)));
                nodes.filter(|node| self.evaluate(node, doc).is_some()).collect()
            }
            NodeKind::Expand { pattern, .. } => {
                let tags: std::collections::BTreeSet<_> = doc.1.tags.iter().collect();
                tags.into_iter().filter(|tag| matches(pattern, tag)).map(|_| Node::new(NodeKind::All)).collect()
            }
            NodeKind::Optional(inner) if self.evaluate_whole(inner, doc).is_some() => vec![(**inner).clone()],
            _ => Vec::new(),
        }
    }

    fn proximity(&self, node: &Node, doc: (&str, &ModelDoc)) -> f64 {
        let apart = self.apart(node, doc);
        if let [only] = apart.as_slice() {
            return self.proximity(only, doc);
        }
        let parts: Vec<Vec<u32>> =
            apart.iter().filter_map(|child| self.evaluate_whole(child, doc)).map(|(_, list)| list).collect();
        if parts.len() < 2 {
            return 1.0;
        }
        let mut lists: Vec<Vec<u32>> = parts.iter().filter(|list| !list.is_empty()).cloned().collect();
        lists.truncate(lists.len() / 2 * 2);
        let least = |pair: &[Vec<u32>]| {
            let distances = pair[0].iter().flat_map(|&a| pair[1].iter().map(move |&b| distance(a, b)));
            f64::from(distances.min().expect("not empty")).powi(2)
        };
        let spread = lists.chunks(2).map(least).sum::<f64>().sqrt();
        if spread > 0.0 {
            spread.max(1.0)
        } else {
            (parts.len() - 1) as f64
        }
    }

    pub(crate) fn score(&self, node: &Node, doc: (&str, &ModelDoc)) -> Option<f64> {
        let (tree, _) = self.evaluate_whole(node, doc)?;
        let score = f64::from(doc.1.score);
        Some(match self.scorer {
            Scorer::Tfidf => score * tree / f64::from(doc.1.max_freq().max(1)) / self.proximity(node, doc),
            Scorer::TfidfDocNorm => score * tree / f64::from(doc.1.len().max(1)) / self.proximity(node, doc),
            Scorer::Bm25 => score * tree / self.proximity(node, doc),
            Scorer::Bm25Std => score * tree,
            Scorer::DisMax => tree,
            Scorer::DocScore => score,
            Scorer::Hamming => doc.1.payload.map_or(0.0, |payload| {
                let differing: u32 = payload.iter().zip(PAYLOAD).map(|(a, b)| (a ^ b).count_ones()).sum();
                1.0 / (1.0 + f64::from(differing))
            }),
        })
    }
}

fn matches(pattern: &Pattern, word: &str) -> bool {
    !is_derived(word.as_bytes()) && pattern.matches(word.as_bytes())
}

fn is_within(lists: &[Vec<u32>], within: Within) -> bool {
    if !within.restricts() || lists.len() < 2 {
        return true;
    }
    fn extend(lists: &[Vec<u32>], chosen: &mut Vec<u32>, within: Within) -> bool {
        let Some((first, rest)) = lists.split_first() else {
            let (low, high) = (chosen.iter().min().expect("some"), chosen.iter().max().expect("some"));
            let slop = i64::from(high - low) - (chosen.len() as i64 - 1);
            let one_field = field_of(*low) == field_of(*high);
            return within.slop.is_none_or(|limit| one_field && slop <= i64::from(limit));
        };
        first.iter().any(|&position| {
            if within.in_order && chosen.last().is_some_and(|&last| position <= last) {
                return false;
            }
            chosen.push(position);
            let found = extend(rest, chosen, within);
            chosen.pop();
            found
        })
    }
    extend(lists, &mut Vec::new(), within)
}

impl Model {
    /// All matches with their scores: the best first, then the oldest.
    pub(crate) fn search(&self, node: &Node, stats: &Stats<'_>) -> Vec<(String, u64, f64)> {
        let scored = self
            .docs
            .iter()
            .filter_map(|(key, (born, doc))| stats.score(node, (key, doc)).map(|score| (key.clone(), *born, score)));
        let mut found: Vec<_> = scored.collect();
        found.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.1.cmp(&b.1)));
        found
    }

    /// Applies to both.
    pub(crate) fn upsert(&mut self, index: &Index, key: &str, doc: ModelDoc) {
        let born = index.apply_now(engine::index::Change::Upsert(Box::new(doc.build(key)))).expect("in order");
        self.docs.insert(key.to_owned(), (born, doc));
    }

    /// Applies to both.
    pub(crate) fn delete(&mut self, index: &Index, key: &str) {
        index.apply_now(engine::index::Change::Delete(key.as_bytes().into())).expect("in order");
        self.docs.remove(key);
    }
}

/// A small reproducible generator (xorshift).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % end
    }

    /// A word; common ones are common.
    pub(crate) fn word(&mut self) -> String {
        const WORDS: [&str; 12] = ["a", "ab", "abc", "b", "ba", "bab", "c", "cab", "caba", "d", "dab", "é"];
        let (x, y) = (self.below(12), self.below(12));
        WORDS[x.min(y) as usize].to_owned()
    }

    pub(crate) fn doc(&mut self) -> ModelDoc {
        let words = |dice: &mut Self, most: u64| (0..dice.below(most)).map(|_| dice.word()).collect();
        ModelDoc {
            texts: [words(self, 12), words(self, 4)],
            number: (self.below(8) > 0).then(|| self.below(10) as f64),
            tags: words(self, 3),
            point: (self.below(4) > 0).then(|| (self.below(50) as f64 / 10.0, self.below(50) as f64 / 10.0)),
            sort: (self.below(4) > 0).then(|| self.word()),
            score: if self.below(3) > 0 { 1.0 } else { self.below(5) as f32 / 4.0 },
            payload: (self.below(3) > 0).then(|| [self.below(256) as u8, self.below(256) as u8]),
        }
    }
}
