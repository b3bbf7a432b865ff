//! How is a packed posting list read? The inverse of [`super::writer`].

use super::impact::{Impact, Stored};
use super::positions::{self, Resume};
use super::varint;
use super::writer::{Arena, BlockInfo, HAS_FREQS, HAS_MASKS, HAS_POSITIONS};
use super::{Block, BLOCK};
use crate::schema::FieldMask;
use crate::segment::{DocId, END};
use bitpacking::{BitPacker, BitPacker4x};

/// One term's postings in a sealed segment: its header, read once.
#[derive(Clone)]
pub struct SealedList<'a> {
    arena: &'a Arena,
    len: usize,
    flags: u8,
    mask: u32,
    positions: usize,
    /// The entries of its blocks; empty when there is only one.
    blocks: &'a [BlockInfo],
    list_impacts: &'a [u8],
    bits: Option<&'a [u64]>,
    data: &'a [u8],
}

impl<'a> SealedList<'a> {
    /// Reads the header at `offset`, as [`super::writer::ListWriter::finish`] returned it.
    pub fn new(arena: &'a Arena, offset: u64) -> Self {
        let mut bytes = arena.bytes.get(offset as usize..).unwrap_or(&[]);
        let len = varint::read(&mut bytes) as usize;
        let flags = take(&mut bytes, 1).first().copied().unwrap_or(0);
        let mask = if flags & HAS_MASKS == 0 { varint::read_u32(&mut bytes) } else { 0 };
        let positions = if flags & HAS_POSITIONS != 0 { varint::read(&mut bytes) as usize } else { 0 };
        let (mut blocks, mut list_impacts): (&[BlockInfo], &[u8]) = (&[], &[]);
        let mut bits = None;
        if len > BLOCK {
            let first = varint::read(&mut bytes) as usize;
            blocks = arena.blocks.get(first..first + len.div_ceil(BLOCK)).unwrap_or(&[]);
            let impacts = usize::from(take(&mut bytes, 1).first().copied().unwrap_or(0));
            list_impacts = take(&mut bytes, impacts * size_of::<Stored>());
            bits = arena.dense.bits(offset);
        }
        Self { arena, len, flags, mask, positions, blocks, list_impacts, bits, data: bytes }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bits(&self) -> Option<&'a [u64]> {
        self.bits
    }

    pub(super) fn last_of(&self, block: usize) -> DocId {
        match self.blocks.get(block) {
            Some(info) => info.last,
            None => {
                let mut docs = [0; BLOCK];
                match self.decode_docs(block, &mut docs) {
                    0 => END,
                    count => docs[count - 1],
                }
            }
        }
    }

    /// The block's entry and where its data begin. A single full block has its widths before them.
    fn block(&self, block: usize) -> (BlockInfo, &'a [u8]) {
        match self.blocks.get(block) {
            Some(info) => (*info, self.data.get(info.data as usize..).unwrap_or(&[])),
            None if self.len == BLOCK => {
                let mut data = self.data;
                let widths = take(&mut data, 3);
                let width = |at: usize| widths.get(at).copied().unwrap_or(0);
                let info =
                    BlockInfo { doc_bits: width(0), freq_bits: width(1), mask_bits: width(2), ..BlockInfo::default() };
                (info, data)
            }
            None => (BlockInfo::default(), self.data),
        }
    }

    fn before(&self, block: usize) -> Option<DocId> {
        block.checked_sub(1).and_then(|before| self.blocks.get(before)).map(|info| info.last)
    }

    fn count(&self, block: usize) -> usize {
        self.len.saturating_sub(block * BLOCK).min(BLOCK)
    }

    #[inline]
    pub(super) fn decode_docs(&self, block: usize, docs: &mut Block) -> usize {
        let count = self.count(block);
        let (info, data) = self.block(block);
        if count == BLOCK {
            let packed = packed(data, 0, info.doc_bits);
            if packed.len() == width(info.doc_bits) {
                BitPacker4x::new().decompress_strictly_sorted(self.before(block), packed, docs, info.doc_bits);
            }
        } else {
            let mut doc = self.before(block).unwrap_or(0);
            self.tail(data, count, |at, delta, _, _| {
                doc = doc.wrapping_add(delta);
                docs[at] = doc;
            });
        }
        count
    }

    #[inline]
    pub(super) fn decode_freqs(&self, block: usize, freqs: &mut Block) {
        if self.flags & HAS_FREQS == 0 {
            freqs.fill(1);
            return;
        }
        let count = self.count(block);
        let (info, data) = self.block(block);
        if count == BLOCK {
            unpack(packed(data, width(info.doc_bits), info.freq_bits), info.freq_bits, freqs);
            freqs.iter_mut().for_each(|freq| *freq += 1);
        } else {
            self.tail(data, count, |at, _, freq, _| freqs[at] = freq + 1);
        }
    }

    pub(super) fn uniform_mask(&self) -> Option<FieldMask> {
        if self.flags & HAS_MASKS == 0 {
            self.arena.masks.get(self.mask as usize).copied()
        } else {
            None
        }
    }

    pub(super) fn decode_masks(&self, block: usize, masks: &mut Block) {
        if self.flags & HAS_MASKS == 0 {
            masks.fill(self.mask);
            return;
        }
        let count = self.count(block);
        let (info, data) = self.block(block);
        if count == BLOCK {
            let start = width(info.doc_bits) + width(info.freq_bits);
            unpack(packed(data, start, info.mask_bits), info.mask_bits, masks);
        } else {
            self.tail(data, count, |at, _, _, mask| masks[at] = mask);
        }
    }

    pub(super) fn masks(&self) -> &'a [FieldMask] {
        &self.arena.masks
    }

    pub(super) fn impacts(&self, block: usize, mut visit: impl FnMut(Impact)) {
        match self.blocks.get(block) {
            Some(info) => {
                let start = info.impacts as usize;
                let stored = self.arena.impacts.get(start..start + usize::from(info.impact_count)).unwrap_or(&[]);
                stored.iter().for_each(|&stored| visit(Impact::load(stored)));
            }
            None => {
                // One block: its frequencies are at hand, lengths are not worth the space.
                let mut freqs = [0; BLOCK];
                self.decode_freqs(block, &mut freqs);
                let freq = freqs[..self.count(block)].iter().copied().max().unwrap_or(0);
                visit(Impact { freq, len: 0 });
            }
        }
    }

    pub(super) fn list_impacts(&self, mut visit: impl FnMut(Impact)) {
        for stored in self.list_impacts.chunks_exact(2) {
            visit(Impact::load([stored[0], stored[1]]));
        }
    }

    pub(super) fn has_positions(&self) -> bool {
        self.flags & HAS_POSITIONS != 0
    }

    pub(super) fn positions(&self, block: usize, slot: usize, resume: &mut Resume, out: &mut Vec<u32>) {
        let mut rest = self.seek_positions(block, slot, resume);
        positions::read(&mut rest, out);
    }

    /// The bytes of one posting's positions, for a merge that copies them.
    pub fn position_bytes(&self, block: usize, slot: usize, resume: &mut Resume) -> &'a [u8] {
        let mut rest = self.seek_positions(block, slot, resume);
        positions::take(&mut rest)
    }

    fn seek_positions(&self, block: usize, slot: usize, resume: &mut Resume) -> &'a [u8] {
        if !self.has_positions() {
            return &[];
        }
        let within = self.blocks.get(block).map_or(0, |info| info.positions as usize);
        let start = self.positions + within;
        let bytes = self.arena.positions.get(start..).unwrap_or(&[]);
        if resume.block != block + 1 || resume.slot > slot {
            *resume = Resume { block: block + 1, slot: 0, offset: 0 };
        }
        let mut rest = bytes.get(resume.offset..).unwrap_or(&[]);
        positions::skip(&mut rest, slot - resume.slot);
        resume.slot = slot;
        resume.offset = bytes.len() - rest.len();
        rest
    }

    fn tail(&self, mut data: &[u8], count: usize, mut visit: impl FnMut(usize, u32, u32, u32)) {
        for at in 0..count {
            let delta = varint::read_u32(&mut data);
            let freq = if self.flags & HAS_FREQS != 0 { varint::read_u32(&mut data) } else { 0 };
            let mask = if self.flags & HAS_MASKS != 0 { varint::read_u32(&mut data) } else { self.mask };
            visit(at, delta, freq, mask);
        }
    }
}

/// Bytes of a packed block.
fn width(bits: u8) -> usize {
    usize::from(bits) * BLOCK / 8
}

fn packed(data: &[u8], start: usize, bits: u8) -> &[u8] {
    data.get(start..start + width(bits)).unwrap_or(&[])
}

fn unpack(packed: &[u8], bits: u8, out: &mut Block) {
    if bits > 0 && packed.len() == width(bits) {
        BitPacker4x::new().decompress(packed, out, bits);
    } else {
        out.fill(0);
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(count.min(bytes.len()));
    *bytes = rest;
    taken
}
