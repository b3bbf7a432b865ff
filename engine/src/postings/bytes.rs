//! How are the posting lists of a segment saved and read?

use super::dense::Dense;
use super::impact::Stored;
use super::writer::{Arena, BlockInfo};
use super::Counts;
use crate::schema::FieldMask;
use crate::sections::{check, FormatError, Plain, Sink, Source};
use std::io;

/// Sections of posting lists.
const COUNTS: u8 = 20;
const LISTS: u8 = 21;
const BLOCKS: u8 = 22;
const IMPACTS: u8 = 23;
const POSITIONS: u8 = 24;
const MASKS: u8 = 25;

impl Plain for BlockInfo {
    const SIZE: usize = 20;

    fn write(values: &[Self], out: &mut Vec<u8>) {
        for info in values {
            u32::write(&[info.last, info.data, info.positions, info.impacts], out);
            out.extend([info.impact_count, info.doc_bits, info.freq_bits, info.mask_bits]);
        }
    }

    fn read(bytes: &[u8], out: &mut Vec<Self>) {
        out.extend(bytes.chunks_exact(Self::SIZE).map(|chunk| {
            let number = |at: usize| u32::from_le_bytes([chunk[at], chunk[at + 1], chunk[at + 2], chunk[at + 3]]);
            Self {
                last: number(0),
                data: number(4),
                positions: number(8),
                impacts: number(12),
                impact_count: chunk[16],
                doc_bits: chunk[17],
                freq_bits: chunk[18],
                mask_bits: chunk[19],
            }
        }));
    }
}

impl Arena {
    /// Writes all lists.
    pub(crate) fn write(&self, sink: &mut Sink<'_>) -> io::Result<()> {
        sink.put(COUNTS, &[self.counts.records, self.counts.positions, self.counts.blocks])?;
        sink.put(LISTS, &self.bytes)?;
        sink.put(BLOCKS, &self.blocks)?;
        sink.put(IMPACTS, self.impacts.as_flattened())?;
        sink.put(POSITIONS, &self.positions)?;
        sink.put(MASKS, &self.masks)
    }

    /// Reads all lists. What they hold is only as sound as their checksums; readers of them check
    /// every bound.
    pub(crate) fn read(source: &mut Source<'_>) -> Result<Self, FormatError> {
        let counts: Box<[u64]> = source.take_exactly(COUNTS, 3)?;
        let bytes = source.take(LISTS)?;
        let blocks: Vec<BlockInfo> = source.take(BLOCKS)?;
        let impacts: Vec<u8> = source.take(IMPACTS)?;
        let impacts: Vec<Stored> = impacts.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
        let positions = source.take(POSITIONS)?;
        let masks: Vec<FieldMask> = source.take(MASKS)?;
        let widths = |info: &BlockInfo| info.doc_bits.max(info.freq_bits).max(info.mask_bits) <= 32;
        check(blocks.iter().all(widths), "a block's numbers have more than 32 bits")?;
        let counts = Counts { records: counts[0], positions: counts[1], blocks: counts[2] };
        let mut arena = Self { bytes, blocks, impacts, positions, masks, counts, dense: Dense::default() };
        arena.shrink();
        Ok(arena)
    }
}
