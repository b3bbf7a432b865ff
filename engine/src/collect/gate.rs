//! Which matches can be among the best, by one number of theirs?
//!
//! Scores fall as a document's length, or the frequency of its most frequent term, rises. So the worst of the best
//! says how great that number may be, and a look into one flat array is all that most matches cost.

use crate::cursor::window::Window;
use crate::score::gauge::{Gauge, Peak};
use crate::score::Scoring;
use crate::segment::{DocId, Segment};

/// Leaves above which finding the limit costs more than it saves.
const MOST_PEAKS: usize = 32;

/// Lets through the documents of a segment that may be good enough.
pub struct Gate<'a> {
    scoring: &'a Scoring,
    /// The gauge, each document's number, and the greatest score that a document has of itself.
    numbers: Option<(Gauge, &'a [u32], f32)>,
    peaks: Vec<Peak>,
    /// Documents with a number above this are not good enough. Below 0: none is.
    limit: i64,
    /// The score for which the limit was found.
    least: f64,
}

impl<'a> Gate<'a> {
    /// A gate for trees over these leaves. One that lets all through where there is nothing to go by.
    pub fn new(segment: &'a Segment, scoring: &'a Scoring, peaks: Vec<Peak>) -> Self {
        let numbers = match segment {
            Segment::Sealed(sealed) if peaks.len() <= MOST_PEAKS => scoring.gauge().map(|gauge| {
                let docs = sealed.docs();
                let numbers = if gauge == Gauge::Len { docs.lens() } else { docs.max_freqs() };
                (gauge, numbers, docs.max_score())
            }),
            _ => None,
        };
        Self { scoring, numbers, peaks, limit: i64::from(u32::MAX), least: f64::NEG_INFINITY }
    }

    /// Only lets through from now on what may be worth more than `least`, which never falls.
    pub fn narrow(&mut self, least: f64) {
        let Some((gauge, _, max_score)) = self.numbers else { return };
        if least <= self.least {
            return;
        }
        self.least = least;
        let enough = |number| self.scoring.summit(gauge, number, &self.peaks, max_score) > least;
        // The first number, up to the limit, with which it is not enough.
        let (mut low, mut high) = (0, self.limit + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if enough(middle as u32) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        self.limit = low - 1;
    }

    /// Keeps of a window the documents that may be good enough.
    pub fn retain(&self, window: &mut Window) {
        let Some((_, numbers, _)) = self.numbers else { return };
        match u32::try_from(self.limit) {
            Ok(u32::MAX) => {}
            Ok(limit) => window.retain(|doc| numbers.get(doc as usize).is_some_and(|&number| number <= limit)),
            Err(_) => window.clear_from(window.start()),
        }
    }

    /// Whether a document may be good enough.
    #[inline]
    pub fn admits(&self, doc: DocId) -> bool {
        let number = self.numbers.and_then(|(_, numbers, _)| numbers.get(doc as usize));
        number.is_none_or(|&number| i64::from(number) <= self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{Leaf, Scorer};
    use crate::segment::DocFacts;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn scorer() -> impl Strategy<Value = Scorer> {
        prop_oneof![Just(Scorer::Tfidf), Just(Scorer::TfidfDocNorm), Just(Scorer::Bm25Std)]
    }

    proptest! {
        #[test]
        fn no_document_is_worth_more_than_its_summit(
            scorer in scorer(),
            documents in 1u64..1_000_000,
            mean_len in 1.0..100.0f64,
            terms in vec((1u64..1_000_000, 0u32..20, 0u32..20, prop_oneof![3 => Just(1.0), 1 => 0.0..4.0f64]), 1..6),
            rest in 0u32..50,
            score in 0.0..1.0f32,
        ) {
            let scoring = Scoring::new(scorer, documents, mean_len, None);
            let gauge = scoring.gauge().expect("one of those that have one");
            let leaf = |n: u64| scoring.term(1.0, n.min(documents));
            let peak = |&(n, freq, more, factor): &(u64, u32, u32, f64)| Peak { leaf: leaf(n), freq: freq + more, factor };
            let peaks: Vec<Peak> = terms.iter().map(peak).collect();
            let most = terms.iter().map(|term| term.1).max().unwrap_or(0);
            let facts = DocFacts { len: terms.iter().map(|term| term.1).sum::<u32>() + rest, max_freq: most + rest, score };
            let scale = scoring.scale(facts);
            let value = |(n, freq, _, factor): &(u64, u32, u32, f64)| factor * Leaf::value(&leaf(*n), *freq, &scale);
            // In another order than the summit's.
            let tree: f64 = terms.iter().rev().map(value).sum();
            let result = scoring.result(&scale, tree, 1.0);
            let number = if gauge == Gauge::Len { facts.len } else { facts.max_freq };
            for max_score in [score, 1.0] {
                prop_assert!(scoring.summit(gauge, number, &peaks, max_score) >= result);
                prop_assert!(scoring.summit(gauge, number.saturating_sub(1), &peaks, max_score) >= result);
            }
        }
    }
}
