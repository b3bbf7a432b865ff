//! Which documents of a stretch of ids match? One bit each.
//!
//! Counting and sorting need the set of matches, not their scores, and sets of dense lists are
//! cheapest to combine as bits: a list of 200,000 postings becomes bits in a fraction of a
//! millisecond, and an intersection of two is 64 documents an instruction.

use crate::segment::DocId;

/// Calls `visit` with the place of each bit that is set.
#[inline]
pub fn each_bit(words: &[u64], mut visit: impl FnMut(DocId)) {
    for (at, &word) in words.iter().enumerate() {
        let mut word = word;
        while word != 0 {
            visit((at * 64) as DocId + word.trailing_zeros());
            word &= word - 1;
        }
    }
}

/// Documents of a window. 8 KiB of bits: two of them stay in the first-level cache. With debug assertions so few that
/// the segments of tests go on from window to window.
pub const WINDOW: DocId = if cfg!(debug_assertions) { 256 } else { 65_536 };

const WORDS: usize = WINDOW as usize / 64;

/// A set of documents within `start..start + WINDOW`.
#[derive(Debug, Clone)]
pub struct Window {
    start: DocId,
    words: Box<[u64; WORDS]>,
}

impl Default for Window {
    fn default() -> Self {
        Self { start: 0, words: Box::new([0; WORDS]) }
    }
}

impl Window {
    /// Empties the set and moves it to begin at `start`, a multiple of 64.
    pub fn reset(&mut self, start: DocId) {
        debug_assert_eq!(start % 64, 0);
        self.start = start;
        self.words.fill(0);
    }

    /// The first document that it can hold.
    pub fn start(&self) -> DocId {
        self.start
    }

    /// One past the last document that it can hold.
    pub fn end(&self) -> DocId {
        self.start.saturating_add(WINDOW)
    }

    /// Adds a document, which must be within.
    #[inline]
    pub fn insert(&mut self, doc: DocId) {
        let at = (doc - self.start) as usize;
        self.words[at / 64] |= 1 << (at % 64);
    }

    /// Adds documents, which must be within.
    #[inline]
    pub fn insert_all(&mut self, docs: &[DocId]) {
        for &doc in docs {
            self.insert(doc);
        }
    }

    /// Adds the documents from `start` to before `end`, cut to the window.
    pub fn insert_range(&mut self, start: DocId, end: DocId) {
        let (start, end) = (start.max(self.start), end.min(self.end()));
        if start >= end {
            return;
        }
        let (start, end) = ((start - self.start) as usize, (end - self.start) as usize);
        let (first, last) = (start / 64, (end - 1) / 64);
        let (low, high) = (u64::MAX << (start % 64), u64::MAX >> (63 - (end - 1) % 64));
        if first == last {
            self.words[first] |= low & high;
        } else {
            self.words[first] |= low;
            self.words[first + 1..last].fill(u64::MAX);
            self.words[last] |= high;
        }
    }

    /// Takes a document out.
    #[inline]
    pub fn remove(&mut self, doc: DocId) {
        let at = (doc - self.start) as usize;
        if at < WINDOW as usize {
            self.words[at / 64] &= !(1 << (at % 64));
        }
    }

    /// Whether a document is in it.
    #[inline]
    pub fn contains(&self, doc: DocId) -> bool {
        let at = doc.wrapping_sub(self.start) as usize;
        at < WINDOW as usize && self.words[at / 64] >> (at % 64) & 1 == 1
    }

    /// Takes out `end` and what follows.
    pub fn clear_from(&mut self, end: DocId) {
        if end >= self.end() {
            return;
        }
        let at = end.saturating_sub(self.start) as usize;
        if at % 64 != 0 {
            self.words[at / 64] &= (1 << (at % 64)) - 1;
        }
        self.words[at.div_ceil(64)..].fill(0);
    }

    /// Adds what is in `other`. Both must begin at the same document.
    pub fn union(&mut self, other: &Self) {
        self.words.iter_mut().zip(other.words.iter()).for_each(|(word, other)| *word |= other);
    }

    /// Keeps what is in `other` too. Both must begin at the same document.
    pub fn intersect(&mut self, other: &Self) {
        self.words.iter_mut().zip(other.words.iter()).for_each(|(word, other)| *word &= other);
    }

    /// Keeps what `bits` has too: one word for each 64 documents from the segment's first.
    pub fn intersect_bits(&mut self, bits: &[u64]) {
        let bits = bits.get(self.start as usize / 64..).unwrap_or(&[]);
        let (here, beyond) = self.words.split_at_mut(bits.len().min(WORDS));
        here.iter_mut().zip(bits).for_each(|(word, bits)| *word &= bits);
        beyond.fill(0);
    }

    /// Takes out what `bits` has: one word for each 64 documents from the segment's first.
    pub fn subtract_bits(&mut self, bits: &[u64]) {
        let bits = bits.get(self.start as usize / 64..).unwrap_or(&[]);
        self.words.iter_mut().zip(bits).for_each(|(word, bits)| *word &= !bits);
    }

    /// Takes out what is in `other`.
    pub fn subtract(&mut self, other: &Self) {
        self.words.iter_mut().zip(other.words.iter()).for_each(|(word, other)| *word &= !other);
    }

    /// Adds what `bits` has from `first` on: one word for each 64 documents from the segment's first.
    pub fn union_bits(&mut self, bits: &[u64], first: DocId) {
        let bits = bits.get(self.start as usize / 64..).unwrap_or(&[]);
        self.union_words(bits, first);
    }

    /// Adds what `bits` has from `first` on: one word for each 64 documents from the window's start.
    pub fn union_words(&mut self, bits: &[u64], first: DocId) {
        let skipped = (first.saturating_sub(self.start) as usize).min(WINDOW as usize);
        let mut pairs = self.words.iter_mut().zip(bits).skip(skipped / 64);
        if let Some((word, bits)) = pairs.next() {
            *word |= bits & u64::MAX << (skipped % 64);
        }
        pairs.for_each(|(word, bits)| *word |= bits);
    }

    /// Copies it to its place in the bits of a segment: one word for each 64 documents.
    pub fn copy_to(&self, bits: &mut [u64]) {
        let place = bits.get_mut(self.start as usize / 64..).unwrap_or(&mut []);
        place.iter_mut().zip(self.words.iter()).for_each(|(bits, word)| *bits = *word);
    }

    /// How many documents are in it.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Calls `visit` with each document in order.
    #[inline]
    pub fn for_each(&self, visit: impl FnMut(DocId)) {
        self.for_each_in(self.start, self.start.saturating_add(WINDOW), visit);
    }

    /// Calls `visit` with each document from `start` to before `end`, both multiples of 64 and within.
    #[inline]
    pub fn for_each_in(&self, start: DocId, end: DocId, mut visit: impl FnMut(DocId)) {
        let first = ((start - self.start) / 64) as usize;
        let words = self.words.get(first..((end - self.start) / 64) as usize).unwrap_or(&[]);
        each_bit(words, |at| visit(start + at));
    }

    /// Keeps the documents for which `keep` is true.
    #[inline]
    pub fn retain(&mut self, mut keep: impl FnMut(DocId) -> bool) {
        for (at, word) in self.words.iter_mut().enumerate() {
            let (mut left, mut kept) = (*word, 0);
            while left != 0 {
                let bit = left.trailing_zeros();
                // Without a branch that nobody could predict.
                kept |= u64::from(keep(self.start + (at * 64) as DocId + bit)) << bit;
                left &= left - 1;
            }
            *word = kept;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_window_is_a_set(
            docs in vec(640u32..890, 0..50),
            gone in vec(640u32..900, 0..10),
            range in (500u32..890, 500u32..890),
            cut in 600u32..1000,
            (bits, first) in (vec(any::<u64>(), 0..16), 500u32..1100),
        ) {
            let mut window = Window::default();
            window.reset(640);
            let mut set: BTreeSet<u32> = docs.iter().copied().collect();
            window.insert_all(&docs);
            window.insert_range(range.0, range.1);
            set.extend(range.0.max(640)..range.1.max(640));
            window.union_bits(&bits, first);
            set.extend((first.max(640)..window.end().min(1024)).filter(|&doc| {
                bits.get(doc as usize / 64).is_some_and(|word| word >> (doc % 64) & 1 == 1)
            }));
            for doc in gone {
                window.remove(doc);
                set.remove(&doc);
            }
            window.clear_from(cut);
            set.retain(|&doc| doc < cut);
            window.retain(|doc| doc % 7 != 0);
            set.retain(|doc| doc % 7 != 0);
            let mut found = Vec::new();
            window.for_each(|doc| found.push(doc));
            prop_assert_eq!(window.count(), found.len() as u64);
            prop_assert!((500..1100).all(|doc| window.contains(doc) == set.contains(&doc)));
            prop_assert_eq!(found, set.into_iter().collect::<Vec<_>>());
        }
    }
}
