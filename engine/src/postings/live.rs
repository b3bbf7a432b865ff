//! How are postings kept while documents still arrive?
//!
//! Uncompressed, in arrays that only grow. A full block moves behind an `Arc` and never changes
//! again, so a query copies a list by counting references and copying less than one block: the
//! writer is held up for that long and no longer.

use super::impact::Impact;
use super::positions;
use super::{Block, BLOCK};
use crate::schema::FieldMask;
use crate::segment::{DocId, END};
use std::sync::Arc;

#[derive(Debug, Clone, Copy)]
struct Entry {
    doc: DocId,
    freq: u32,
    mask: u32,
    /// Where this posting's positions end in the block's.
    end: u32,
}

/// Up to [`BLOCK`] postings.
#[derive(Debug, Clone, Default)]
struct LiveBlock {
    entries: Vec<Entry>,
    positions: Vec<u8>,
    max_freq: u32,
    min_len: u32,
}

/// One term's postings in a live segment.
#[derive(Debug, Default)]
pub struct LiveList {
    full: Vec<Arc<LiveBlock>>,
    last: LiveBlock,
}

impl LiveList {
    /// Adds a posting; arguments as those of [`super::writer::ListWriter::push`]. Returns by how
    /// many bytes the list grew.
    pub fn push(&mut self, doc: DocId, freq: u32, mask: u32, len: u32, positions: &[u8]) -> usize {
        let before = self.last.memory();
        let block = &mut self.last;
        block.min_len = if block.entries.is_empty() { len } else { block.min_len.min(len) };
        block.max_freq = block.max_freq.max(freq);
        block.positions.extend_from_slice(positions);
        block.entries.push(Entry { doc, freq, mask, end: block.positions.len() as u32 });
        let grown = block.memory() - before;
        if block.entries.len() == BLOCK {
            let capacity = self.full.capacity();
            self.full.push(Arc::new(std::mem::take(&mut self.last)));
            let slots = (self.full.capacity() - capacity) * size_of::<Arc<LiveBlock>>();
            return grown + slots + size_of::<LiveBlock>() + 2 * size_of::<usize>();
        }
        grown
    }

    /// How many postings there are.
    pub fn len(&self) -> usize {
        self.full.len() * BLOCK + self.last.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The list as it is now, for a reader. `masks` is the segment's table.
    pub fn view(&self, masks: &Arc<Vec<FieldMask>>) -> LiveView {
        let mut blocks = Vec::with_capacity(self.full.len() + 1);
        blocks.extend(self.full.iter().cloned());
        if !self.last.entries.is_empty() {
            blocks.push(Arc::new(self.last.clone()));
        }
        LiveView { blocks: blocks.into(), len: self.len(), masks: Arc::clone(masks) }
    }
}

impl LiveBlock {
    fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.positions.capacity()
    }
}

/// A live list as it was at one moment.
#[derive(Clone)]
pub struct LiveView {
    blocks: Arc<[Arc<LiveBlock>]>,
    len: usize,
    masks: Arc<Vec<FieldMask>>,
}

impl LiveView {
    /// Calls `visit` with `(doc, freq, mask, positions)` of each posting in order.
    pub fn for_each(&self, mut visit: impl FnMut(DocId, u32, FieldMask, &[u8])) {
        for block in self.blocks.iter() {
            let mut start = 0;
            for entry in &block.entries {
                let end = entry.end as usize;
                visit(entry.doc, entry.freq, self.masks[entry.mask as usize], &block.positions[start..end]);
                start = end;
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn last_of(&self, block: usize) -> DocId {
        self.blocks.get(block).and_then(|block| block.entries.last()).map_or(END, |entry| entry.doc)
    }

    fn copy(&self, block: usize, out: &mut Block, value: impl Fn(&Entry) -> u32) -> usize {
        let entries = self.blocks.get(block).map_or(&[][..], |block| &block.entries);
        for (slot, entry) in out.iter_mut().zip(entries) {
            *slot = value(entry);
        }
        entries.len()
    }

    pub(super) fn decode_docs(&self, block: usize, docs: &mut Block) -> usize {
        self.copy(block, docs, |entry| entry.doc)
    }

    pub(super) fn decode_freqs(&self, block: usize, freqs: &mut Block) {
        self.copy(block, freqs, |entry| entry.freq);
    }

    pub(super) fn decode_masks(&self, block: usize, masks: &mut Block) {
        self.copy(block, masks, |entry| entry.mask);
    }

    pub(super) fn masks(&self) -> &[FieldMask] {
        &self.masks
    }

    pub(super) fn impacts(&self, block: usize, mut visit: impl FnMut(Impact)) {
        if let Some(block) = self.blocks.get(block) {
            visit(Impact { freq: block.max_freq, len: block.min_len });
        }
    }

    pub(super) fn list_impacts(&self, mut visit: impl FnMut(Impact)) {
        if self.blocks.len() > 1 {
            let freq = self.blocks.iter().map(|block| block.max_freq).max().unwrap_or(0);
            let len = self.blocks.iter().map(|block| block.min_len).min().unwrap_or(0);
            visit(Impact { freq, len });
        }
    }

    pub(super) fn has_positions(&self) -> bool {
        self.blocks.first().is_some_and(|block| !block.positions.is_empty())
    }

    pub(super) fn positions(&self, block: usize, slot: usize, out: &mut Vec<u32>) {
        let Some(block) = self.blocks.get(block) else { return };
        let start = if slot == 0 { 0 } else { block.entries[slot - 1].end as usize };
        let mut bytes = &block.positions[start..block.entries[slot].end as usize];
        positions::read(&mut bytes, out);
    }
}
