//! Which are the best so many?
//!
//! Everything that orders documents is made into an unsigned number, greater being better, so that
//! comparing is one instruction; the place breaks ties.

use crate::segment::DocId;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A document among the best: `key`, then `tie`, greater being better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ranked {
    /// What it is ranked by.
    pub key: u64,
    tie: u64,
}

/// Which of two equals is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// The one that was indexed first.
    First,
    /// The one that was indexed last.
    Last,
}

/// The best documents so far.
#[derive(Debug)]
pub struct TopK {
    k: usize,
    ties: Ties,
    /// The worst of the best on top.
    heap: BinaryHeap<Reverse<Ranked>>,
}

impl TopK {
    /// Keeps `k` documents.
    pub fn new(k: usize, ties: Ties) -> Self {
        Self { k, ties, heap: BinaryHeap::with_capacity(k.min(1024)) }
    }

    /// How many documents are to be kept.
    pub fn wanted(&self) -> usize {
        self.k
    }

    /// The key that a document must exceed to be kept for sure, once there are enough. Documents
    /// come in order of place, so with [`Ties::First`] one that only equals it is not kept.
    pub fn threshold(&self) -> Option<u64> {
        if self.heap.len() < self.k {
            return None;
        }
        Some(self.heap.peek().map_or(u64::MAX, |Reverse(worst)| worst.key))
    }

    /// Offers a document.
    #[inline]
    pub fn offer(&mut self, key: u64, segment: usize, doc: DocId) {
        let place = (segment as u64) << 32 | u64::from(doc);
        let tie = if self.ties == Ties::First { !place } else { place };
        let ranked = Ranked { key, tie };
        if self.heap.len() < self.k {
            self.heap.push(Reverse(ranked));
        } else if let Some(mut worst) = self.heap.peek_mut() {
            if ranked > worst.0 {
                *worst = Reverse(ranked);
            }
        }
    }

    /// The documents kept, the best first: key, segment, document.
    pub fn into_sorted(self) -> Vec<(u64, usize, DocId)> {
        let ties = self.ties;
        let sorted = self.heap.into_sorted_vec();
        let place = |ranked: Ranked| {
            let place = if ties == Ties::First { !ranked.tie } else { ranked.tie };
            (ranked.key, (place >> 32) as usize, place as DocId)
        };
        // Ascending in `Reverse` is descending in what it holds.
        sorted.into_iter().map(|Reverse(ranked)| place(ranked)).collect()
    }
}

/// A number of which the order is that of the floating-point numbers.
#[inline]
pub fn ordered(value: f64) -> u64 {
    let bits = value.to_bits();
    // Negative numbers the other way round, and below the positive ones. Zero has one sign.
    if bits >> 63 == 1 && value != 0.0 {
        !bits
    } else {
        bits & !(1 << 63) | 1 << 63
    }
}

/// The floating-point number of [`ordered`].
pub fn unordered(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_keep_their_order(a: f64, b: f64) {
            prop_assume!(!a.is_nan() && !b.is_nan());
            prop_assert_eq!(ordered(a).cmp(&ordered(b)), a.partial_cmp(&b).expect("numbers"));
            prop_assert_eq!(unordered(ordered(a)), a);
        }

        #[test]
        fn the_best_are_those_of_a_sort(keys in vec(0u64..6, 0..40), k in 0usize..12, first: bool) {
            let ties = if first { Ties::First } else { Ties::Last };
            let mut top = TopK::new(k, ties);
            let mut all = Vec::new();
            for (at, &key) in keys.iter().enumerate() {
                let place = (at / 10, (at % 10) as DocId);
                top.offer(key, place.0, place.1);
                all.push((key, place.0, place.1));
            }
            all.sort_by_key(|&(key, segment, doc)| {
                (Reverse(key), if first { (segment as i64, i64::from(doc)) } else { (-(segment as i64), -i64::from(doc)) })
            });
            all.truncate(k);
            prop_assert_eq!(top.into_sorted(), all);
        }
    }
}
