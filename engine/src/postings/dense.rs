//! Which documents have a term that many have? One bit for each document of the segment.
//!
//! Combining and counting such lists is 64 documents an instruction, where a list has to be decoded. Bits are
//! made of the lists when a segment comes to be, and not saved with it.

use super::reader::SealedList;
use super::writer::Arena;
use super::{PostingList, BLOCK};
use crate::segment::DocId;

/// A list gets bits when at least one of so many documents is in it. They are then at most some five times as large as
/// its packed documents; and since a document has few words, only few lists are of this kind: of documents with
/// 100 different words, bits take no more than 400 bytes a document, and mostly far less.
const SHARE: usize = 32;

/// The lists that have bits: their places, in order, and the bits.
#[derive(Debug, Default)]
pub(super) struct Dense(Vec<(u64, Box<[u64]>)>);

impl Dense {
    /// The bits of the list at a place.
    pub(super) fn bits(&self, offset: u64) -> Option<&[u64]> {
        let at = self.0.binary_search_by_key(&offset, |(offset, _)| *offset).ok()?;
        Some(&self.0[at].1)
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.0.capacity() * size_of::<(u64, Box<[u64]>)>()
            + self.0.iter().map(|(_, bits)| size_of_val(&**bits)).sum::<usize>()
    }

    pub(super) fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }
}

impl Arena {
    /// Makes bits for the list at a place if it is long enough, in a segment of so many documents. To be called in
    /// order of places.
    pub fn densify(&mut self, offset: u64, documents: DocId) {
        let list = SealedList::new(self, offset);
        let (len, documents) = (list.len(), documents as usize);
        let in_order = self.dense.0.last().is_none_or(|(last, _)| *last < offset);
        // Of a damaged segment nothing can be taken for granted.
        if len <= BLOCK || len.saturating_mul(SHARE) < documents || len > documents || !in_order {
            return;
        }
        let list = PostingList::Sealed(list);
        let mut bits = vec![0u64; documents.div_ceil(64)].into_boxed_slice();
        let mut docs = [0; BLOCK];
        for block in 0..list.block_count() {
            let count = list.decode_docs(block, &mut docs);
            for &doc in docs.iter().take(count).filter(|&&doc| (doc as usize) < documents) {
                bits[doc as usize / 64] |= 1 << (doc % 64);
            }
        }
        self.dense.0.push((offset, bits));
    }
}
