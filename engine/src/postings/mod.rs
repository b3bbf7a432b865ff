//! postings/: which documents have this term, how often, in which fields and where?
//!
//! A posting list is a sequence of blocks of up to [`BLOCK`] postings in increasing document order.
//! Live segments keep lists as plain arrays ([`live`]), sealed ones bit-packed ([`writer`] makes
//! them, [`reader`] reads them). [`PostingList`] is the one face of both: a cursor decodes a block
//! into arrays and does not know where it came from.

mod bytes;
mod dense;
pub mod impact;
pub mod live;
pub mod positions;
pub mod reader;
pub mod varint;
pub mod writer;

use crate::schema::FieldMask;
use crate::segment::DocId;
use impact::Impact;

/// Postings in a full block: what one bit-packing instruction sequence handles.
pub const BLOCK: usize = 128;

/// A block's document ids, or one value for each of them.
pub type Block = [u32; BLOCK];

/// How much there is in posting lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Postings.
    pub records: u64,
    /// Positions in them.
    pub positions: u64,
    /// Blocks of postings.
    pub blocks: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.positions += other.positions;
        self.blocks += other.blocks;
    }
}

/// One term's postings in one segment.
#[derive(Clone)]
pub enum PostingList<'a> {
    /// Copied from a live segment when the query began.
    Live(live::LiveView),
    /// In a sealed segment.
    Sealed(reader::SealedList<'a>),
}

impl<'a> PostingList<'a> {
    /// How many postings there are, those of dead documents included.
    pub fn len(&self) -> usize {
        match self {
            Self::Live(list) => list.len(),
            Self::Sealed(list) => list.len(),
        }
    }

    /// Whether there is none. Never true of a list that a segment hands out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many blocks there are; all but the last are full.
    pub fn block_count(&self) -> usize {
        self.len().div_ceil(BLOCK)
    }

    /// The last document of a block, without decoding it when it is a full block.
    pub fn last_of(&self, block: usize) -> DocId {
        match self {
            Self::Live(list) => list.last_of(block),
            Self::Sealed(list) => list.last_of(block),
        }
    }

    /// The first block at or after `from` whose last document is not below `target`; the number of
    /// blocks when there is none.
    pub fn find_block(&self, from: usize, target: DocId) -> usize {
        let count = self.block_count();
        // Targets are mostly near: gallop, then halve.
        let (mut low, mut step) = (from, 1);
        let mut high = low;
        loop {
            if high >= count {
                high = count;
                break;
            }
            if self.last_of(high) >= target {
                break;
            }
            low = high + 1;
            high += step;
            step *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.last_of(middle) >= target {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// One bit for each document of the segment, of lists that many documents are in.
    pub fn bits(&self) -> Option<&'a [u64]> {
        match self {
            Self::Live(_) => None,
            Self::Sealed(list) => list.bits(),
        }
    }

    /// Decodes the documents of a block and says how many they are.
    pub fn decode_docs(&self, block: usize, docs: &mut Block) -> usize {
        match self {
            Self::Live(list) => list.decode_docs(block, docs),
            Self::Sealed(list) => list.decode_docs(block, docs),
        }
    }

    /// Decodes the frequencies of a block: each at least 1.
    pub fn decode_freqs(&self, block: usize, freqs: &mut Block) {
        match self {
            Self::Live(list) => list.decode_freqs(block, freqs),
            Self::Sealed(list) => list.decode_freqs(block, freqs),
        }
    }

    /// The mask that every posting has, when they all have the same and that is known cheaply.
    pub fn uniform_mask(&self) -> Option<FieldMask> {
        match self {
            Self::Live(_) => None,
            Self::Sealed(list) => list.uniform_mask(),
        }
    }

    /// Decodes the field masks of a block: for each posting, a place in [`PostingList::masks`].
    pub fn decode_masks(&self, block: usize, masks: &mut Block) {
        match self {
            Self::Live(list) => list.decode_masks(block, masks),
            Self::Sealed(list) => list.decode_masks(block, masks),
        }
    }

    /// The distinct field masks of the segment.
    pub fn masks(&self) -> &[FieldMask] {
        match self {
            Self::Live(list) => list.masks(),
            Self::Sealed(list) => list.masks(),
        }
    }

    /// Calls `visit` with pairs of which each posting of the block is dominated by one: what a
    /// bound on the block's scores is made from.
    pub fn impacts(&self, block: usize, visit: impl FnMut(Impact)) {
        match self {
            Self::Live(list) => list.impacts(block, visit),
            Self::Sealed(list) => list.impacts(block, visit),
        }
    }

    /// As [`PostingList::impacts`] for the whole list; for a list of one block, nothing: that
    /// block's own say it.
    pub fn list_impacts(&self, visit: impl FnMut(Impact)) {
        match self {
            Self::Live(list) => list.list_impacts(visit),
            Self::Sealed(list) => list.list_impacts(visit),
        }
    }

    /// The greatest frequency of any posting, or more.
    pub fn max_freq(&self) -> u32 {
        let mut most = 0;
        self.list_impacts(|impact| most = most.max(impact.freq));
        if most == 0 {
            self.impacts(0, |impact| most = most.max(impact.freq));
        }
        most
    }

    /// Whether positions are kept.
    pub fn has_positions(&self) -> bool {
        match self {
            Self::Live(list) => list.has_positions(),
            Self::Sealed(list) => list.has_positions(),
        }
    }

    /// Appends the positions of one posting. `resume` is where the search for them may begin: give
    /// the same one for postings of a list in increasing order.
    pub fn positions(&self, block: usize, slot: usize, resume: &mut positions::Resume, out: &mut Vec<u32>) {
        match self {
            Self::Live(list) => list.positions(block, slot, out),
            Self::Sealed(list) => list.positions(block, slot, resume, out),
        }
    }
}

#[cfg(test)]
mod tests;
