//! In which order do documents stand by a text or tag value?
//!
//! Within a segment a value is its rank among the distinct ones, so comparing two documents is
//! comparing two numbers. Ranks of different segments have nothing to do with one another: there
//! the bytes are compared.

use crate::segment::DocId;

/// The rank of a document without a value.
pub const NO_RANK: u32 = u32::MAX;

/// The sort values of one field by document.
#[derive(Debug)]
pub struct SortColumn {
    pub(super) ranks: Box<[u32]>,
    /// Where each distinct value ends in `bytes`.
    pub(super) ends: Box<[u32]>,
    pub(super) bytes: Box<[u8]>,
}

impl SortColumn {
    /// Makes a column of values by document.
    pub fn new(values: &[Option<&[u8]>]) -> Self {
        let mut order: Vec<DocId> = (0..values.len() as DocId).filter(|&doc| values[doc as usize].is_some()).collect();
        order.sort_unstable_by_key(|&doc| values[doc as usize]);
        let mut ranks = vec![NO_RANK; values.len()].into_boxed_slice();
        let (mut ends, mut bytes): (Vec<u32>, Vec<u8>) = (Vec::new(), Vec::new());
        let mut previous = None;
        for doc in order {
            let value = values[doc as usize];
            if value != previous {
                bytes.extend_from_slice(value.unwrap_or_default());
                ends.push(bytes.len() as u32);
                previous = value;
            }
            ranks[doc as usize] = (ends.len() - 1) as u32;
        }
        Self { ranks, ends: ends.into_boxed_slice(), bytes: bytes.into_boxed_slice() }
    }

    /// A document's rank, or [`NO_RANK`].
    #[inline]
    pub fn rank(&self, doc: DocId) -> u32 {
        self.ranks.get(doc as usize).copied().unwrap_or(NO_RANK)
    }

    /// The value with a rank.
    pub fn value_at(&self, rank: u32) -> Option<&[u8]> {
        let rank = rank as usize;
        let end = *self.ends.get(rank)? as usize;
        let start = if rank == 0 { 0 } else { self.ends[rank - 1] as usize };
        Some(&self.bytes[start..end])
    }

    /// A document's value.
    pub fn value(&self, doc: DocId) -> Option<&[u8]> {
        self.value_at(self.rank(doc))
    }

    /// How many distinct values are below `value`, and whether it is one itself.
    pub fn place(&self, value: &[u8]) -> (u32, bool) {
        let (mut low, mut high) = (0, self.ends.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.value_at(middle).is_some_and(|at| at < value) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low, self.value_at(low) == Some(value))
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.ranks.len() * 4 + self.ends.len() * 4 + self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranks_are_in_the_order_of_values(values in vec(option::of("[abc]{0,3}"), 0..40), probe in "[abc]{0,3}") {
            let bytes: Vec<Option<&[u8]>> = values.iter().map(|value| value.as_deref().map(str::as_bytes)).collect();
            let column = SortColumn::new(&bytes);
            for (doc, &value) in bytes.iter().enumerate() {
                prop_assert_eq!(column.value(doc as DocId), value);
                prop_assert_eq!(column.rank(doc as DocId) == NO_RANK, value.is_none());
                for (other, &other_value) in bytes.iter().enumerate() {
                    if value.is_some() && other_value.is_some() {
                        let ranks = column.rank(doc as DocId).cmp(&column.rank(other as DocId));
                        prop_assert_eq!(ranks, value.cmp(&other_value));
                    }
                }
            }
            let mut distinct: Vec<&[u8]> = bytes.iter().flatten().copied().collect();
            distinct.sort_unstable();
            distinct.dedup();
            let place = distinct.partition_point(|&value| value < probe.as_bytes());
            prop_assert_eq!(column.place(probe.as_bytes()), (place as u32, distinct.contains(&probe.as_bytes())));
        }
    }
}
