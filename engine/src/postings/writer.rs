//! How does a posting list become packed bytes?
//!
//! All lists of a sealed segment share one [`Arena`]. A list is a header, then its blocks:
//!
//! ```text
//! header   varint length, flags, [mask], [positions start], then for lists of several blocks:
//!          first entry in `blocks`, number of list impacts, those impacts
//! block    128 differences of documents, frequencies - 1, mask numbers, each packed in as many
//!          bits as the block needs
//! tail     the same as varints, posting by posting
//! ```
//!
//! Lists of one block have no entry in `blocks`: most terms are rare, and for them the header is
//! three bytes.

use super::dense::Dense;
use super::impact::{self, Impact, Stored};
use super::{positions, varint};
use super::{Block, Counts, BLOCK};
use crate::schema::FieldMask;
use crate::segment::DocId;
use bitpacking::{BitPacker, BitPacker4x};

pub(super) const HAS_FREQS: u8 = 1;
pub(super) const HAS_MASKS: u8 = 2;
pub(super) const HAS_POSITIONS: u8 = 4;

/// The posting lists of one sealed segment.
#[derive(Debug, Default)]
pub struct Arena {
    pub(super) bytes: Vec<u8>,
    pub(super) blocks: Vec<BlockInfo>,
    pub(super) impacts: Vec<Stored>,
    pub(super) positions: Vec<u8>,
    /// The distinct field masks of all postings.
    pub(super) masks: Vec<FieldMask>,
    pub(super) counts: Counts,
    pub(super) dense: Dense,
}

/// What is known of a block without decoding it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BlockInfo {
    pub(super) last: DocId,
    /// Where the data begin, counted from the end of the list's header.
    pub(super) data: u32,
    /// Where the positions begin, counted from the list's.
    pub(super) positions: u32,
    /// The first of its impacts in the arena.
    pub(super) impacts: u32,
    pub(super) impact_count: u8,
    pub(super) doc_bits: u8,
    pub(super) freq_bits: u8,
    pub(super) mask_bits: u8,
}

impl Arena {
    /// Bytes held, as far as they are allocated. `(postings, positions)`.
    pub fn memory(&self) -> (usize, usize) {
        let postings = self.bytes.capacity()
            + self.blocks.capacity() * size_of::<BlockInfo>()
            + self.impacts.capacity() * size_of::<Stored>()
            + self.masks.capacity() * size_of::<FieldMask>()
            + self.dense.memory();
        (postings, self.positions.capacity())
    }

    /// How much there is in all lists.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Gives back what was allocated ahead.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.blocks.shrink_to_fit();
        self.impacts.shrink_to_fit();
        self.positions.shrink_to_fit();
        self.masks.shrink_to_fit();
        self.dense.shrink();
    }

    /// The number of a mask, given a new one if need be.
    pub fn intern(&mut self, mask: FieldMask) -> u32 {
        // There are as many as combinations of fields that terms occur in: a handful.
        match self.masks.iter().position(|&known| known == mask) {
            Some(at) => at as u32,
            None => {
                self.masks.push(mask);
                (self.masks.len() - 1) as u32
            }
        }
    }
}

/// The postings of one term while they are gathered. Reused from term to term.
#[derive(Debug, Default)]
pub struct ListWriter {
    docs: Vec<DocId>,
    freqs: Vec<u32>,
    masks: Vec<u32>,
    lens: Vec<u32>,
    positions: Vec<u8>,
    position_ends: Vec<usize>,
}

impl ListWriter {
    /// Adds a posting; documents must come in increasing order. `len` is the document's length,
    /// `mask` a number from [`Arena::intern`], `positions` as [`super::positions::write`] wrote
    /// them (empty when the index keeps none).
    pub fn push(&mut self, doc: DocId, freq: u32, mask: u32, len: u32, positions: &[u8]) {
        self.docs.push(doc);
        self.freqs.push(freq.max(1));
        self.masks.push(mask);
        self.lens.push(len);
        self.positions.extend_from_slice(positions);
        self.position_ends.push(self.positions.len());
    }

    /// How many postings were added.
    pub fn len(&self) -> usize {
        self.docs.len()
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.docs.is_empty()
    }

    /// Whether any posting is in one of these fields.
    pub fn is_in(&self, fields: FieldMask, arena: &Arena) -> bool {
        self.masks.iter().any(|&mask| arena.masks[mask as usize] & fields != 0)
    }

    /// Writes the list into the arena, becomes empty, and returns the place of its header.
    pub fn finish(&mut self, arena: &mut Arena) -> u64 {
        let offset = arena.bytes.len() as u64;
        let has_freqs = self.freqs.iter().any(|&freq| freq != 1);
        let has_masks = self.masks.iter().any(|&mask| mask != self.masks[0]);
        let has_positions = !self.positions.is_empty();
        varint::write(&mut arena.bytes, self.len() as u64);
        arena.counts += Counts {
            records: self.len() as u64,
            positions: positions::count(&self.positions),
            blocks: self.len().div_ceil(BLOCK) as u64,
        };
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        arena.bytes.push(flag(has_freqs, HAS_FREQS) | flag(has_masks, HAS_MASKS) | flag(has_positions, HAS_POSITIONS));
        if !has_masks {
            varint::write(&mut arena.bytes, u64::from(self.masks.first().copied().unwrap_or(0)));
        }
        if has_positions {
            varint::write(&mut arena.bytes, arena.positions.len() as u64);
            arena.positions.extend_from_slice(&self.positions);
        }
        let several = self.len() > BLOCK;
        if several {
            varint::write(&mut arena.bytes, arena.blocks.len() as u64);
            let all = self.impacts(0..self.len());
            arena.bytes.push(all.len() as u8);
            all.into_iter().for_each(|pair| arena.bytes.extend_from_slice(&pair.store()));
        }
        let data = arena.bytes.len();
        for start in (0..self.len()).step_by(BLOCK) {
            let end = (start + BLOCK).min(self.len());
            let mut info = if several { self.block_info(start, end, arena, data) } else { BlockInfo::default() };
            if end - start == BLOCK {
                self.pack(start, &mut info, has_freqs, has_masks, &mut arena.bytes, several);
            } else {
                self.write_tail(start, has_freqs, has_masks, &mut arena.bytes);
            }
            if several {
                arena.blocks.push(info);
            }
        }
        self.clear();
        offset
    }

    fn clear(&mut self) {
        self.docs.clear();
        self.freqs.clear();
        self.masks.clear();
        self.lens.clear();
        self.positions.clear();
        self.position_ends.clear();
    }

    fn impacts(&self, range: std::ops::Range<usize>) -> Vec<Impact> {
        let mut pairs: Vec<Impact> = range.map(|at| Impact { freq: self.freqs[at], len: self.lens[at] }).collect();
        impact::frontier(&mut pairs);
        pairs
    }

    fn block_info(&self, start: usize, end: usize, arena: &mut Arena, data: usize) -> BlockInfo {
        let pairs = self.impacts(start..end);
        let impacts = arena.impacts.len() as u32;
        arena.impacts.extend(pairs.iter().map(|pair| pair.store()));
        BlockInfo {
            last: self.docs[end - 1],
            data: (arena.bytes.len() - data) as u32,
            positions: if start == 0 { 0 } else { self.position_ends[start - 1] as u32 },
            impacts,
            impact_count: pairs.len() as u8,
            ..BlockInfo::default()
        }
    }

    /// Packs a full block. Without an entry in `blocks` the widths stand before the data.
    fn pack(
        &self,
        start: usize,
        info: &mut BlockInfo,
        has_freqs: bool,
        has_masks: bool,
        out: &mut Vec<u8>,
        several: bool,
    ) {
        let packer = BitPacker4x::new();
        let range = start..start + BLOCK;
        let docs = &self.docs[range.clone()];
        let before = if start == 0 { None } else { Some(self.docs[start - 1]) };
        info.doc_bits = packer.num_bits_strictly_sorted(before, docs);
        let mut freqs: Block = [0; BLOCK];
        for (slot, freq) in freqs.iter_mut().zip(&self.freqs[range.clone()]) {
            *slot = freq - 1;
        }
        info.freq_bits = if has_freqs { packer.num_bits(&freqs) } else { 0 };
        let masks = &self.masks[range];
        info.mask_bits = if has_masks { packer.num_bits(masks) } else { 0 };
        if !several {
            out.extend_from_slice(&[info.doc_bits, info.freq_bits, info.mask_bits]);
        }
        let mut buffer = [0; 4 * BLOCK];
        let used = packer.compress_strictly_sorted(before, docs, &mut buffer, info.doc_bits);
        out.extend_from_slice(&buffer[..used]);
        for (values, bits) in [(&freqs[..], info.freq_bits), (masks, info.mask_bits)] {
            if bits > 0 {
                let used = packer.compress(values, &mut buffer, bits);
                out.extend_from_slice(&buffer[..used]);
            }
        }
    }

    fn write_tail(&self, start: usize, has_freqs: bool, has_masks: bool, out: &mut Vec<u8>) {
        // The first document of a list is written as it is, others as differences.
        let mut before = if start == 0 { 0 } else { self.docs[start - 1] };
        for at in start..self.len() {
            varint::write(out, u64::from(self.docs[at] - before));
            before = self.docs[at];
            if has_freqs {
                varint::write(out, u64::from(self.freqs[at] - 1));
            }
            if has_masks {
                varint::write(out, u64::from(self.masks[at]));
            }
        }
    }
}
