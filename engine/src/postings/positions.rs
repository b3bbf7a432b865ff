//! Where in a document does a term stand?
//!
//! A position is the place of a token in its field plus the field's own range of numbers
//! ([`in_field`]), so that no phrase reaches from one field into another and a field filter can be
//! applied to single occurrences. A posting's positions are one run of varints: the first position
//! plus one, then differences, each shifted left once with the low bit saying whether more follow.
//! A posting without positions is the single byte 0.

use super::varint;
use crate::schema::FieldMask;

/// Bits of a position that count tokens within one field. Tokens past 2^24 share the last number.
pub const FIELD_SHIFT: u32 = 24;

/// How far apart tokens of different fields are held to be when proximity is scored. The distance
/// has no meaning there; this is that between elements of a multi-value field.
pub const ACROSS_FIELDS: u32 = crate::limits::MULTI_TEXT_SLOP;

/// The position of a field's token number `token`, for the field with bit `text_bit`.
pub fn in_field(text_bit: u8, token: u32) -> u32 {
    (u32::from(text_bit) << FIELD_SHIFT) | token.min((1 << FIELD_SHIFT) - 1)
}

/// The position of the same field that is `by` tokens later.
pub fn moved(position: u32, by: u32) -> u32 {
    in_field((position >> FIELD_SHIFT) as u8, (position & ((1 << FIELD_SHIFT) - 1)).saturating_add(by))
}

/// The bit of the field that a position belongs to.
pub fn field_of(position: u32) -> FieldMask {
    1 << (position >> FIELD_SHIFT)
}

/// How many tokens apart two positions are.
pub fn distance(a: u32, b: u32) -> u32 {
    if a >> FIELD_SHIFT == b >> FIELD_SHIFT {
        a.abs_diff(b)
    } else {
        ACROSS_FIELDS
    }
}

/// Appends the positions of one posting, which must be in increasing order.
pub fn write(out: &mut Vec<u8>, positions: &[u32]) {
    let mut previous = None;
    for (at, &position) in positions.iter().enumerate() {
        let delta = match previous {
            None => u64::from(position) + 1,
            Some(previous) => u64::from(position.saturating_sub(previous)),
        };
        varint::write(out, delta << 1 | u64::from(at + 1 < positions.len()));
        previous = Some(position);
    }
    if positions.is_empty() {
        out.push(0);
    }
}

/// Takes the positions of one posting off the front of `bytes` and appends them.
pub fn read(bytes: &mut &[u8], out: &mut Vec<u32>) {
    let first = varint::read(bytes);
    if first >> 1 == 0 {
        return;
    }
    let mut position = ((first >> 1) - 1) as u32;
    out.push(position);
    let mut more = first & 1 == 1;
    while more && !bytes.is_empty() {
        let value = varint::read(bytes);
        position = position.wrapping_add((value >> 1) as u32);
        out.push(position);
        more = value & 1 == 1;
    }
}

/// The bytes of the next posting's positions; `bytes` moves behind them.
pub fn take<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let all = *bytes;
    let mut at = 0;
    // The low bit of a value is in its first byte.
    let mut more = true;
    while more && at < all.len() {
        more = all[at] & 1 == 1;
        while at < all.len() && all[at] >= 0x80 {
            at += 1;
        }
        at = (at + 1).min(all.len());
    }
    *bytes = &all[at..];
    &all[..at]
}

/// Moves `bytes` behind the positions of so many postings.
pub fn skip(bytes: &mut &[u8], mut postings: usize) {
    /// The bits of eight bytes that say that a number, or a posting, goes on.
    const GOES_ON: u64 = 0x8181_8181_8181_8181;
    while postings > 0 {
        // Most terms stand once in a short text: a posting is then one byte.
        let several = postings.min(8);
        match bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes)) {
            Some(word) if word & (GOES_ON >> (64 - 8 * several)) == 0 => {
                *bytes = &bytes[several..];
                postings -= several;
            }
            _ => {
                take(bytes);
                postings -= 1;
            }
        }
    }
}

/// How many positions there are in the bytes of any number of postings.
pub fn count(bytes: &[u8]) -> u64 {
    // The last byte of each number is below 0x80; a lone 0 is no position, and no number ends in 0
    // otherwise.
    bytes.iter().filter(|&&byte| byte < 0x80 && byte != 0).count() as u64
}

/// How far into a block's positions a reader has come, so that reading several postings of one
/// block passes over its bytes once.
#[derive(Debug, Clone, Default)]
pub struct Resume {
    /// The block plus one; 0 before any.
    pub(super) block: usize,
    /// The posting within it that `offset` is the start of.
    pub(super) slot: usize,
    /// Where that posting's positions begin.
    pub(super) offset: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            lists in vec(prop_oneof![btree_set(0u32..1 << 31, 0..20), btree_set(0u32..60, 1..2)], 0..40),
        ) {
            let lists: Vec<Vec<u32>> = lists.into_iter().map(|set| set.into_iter().collect()).collect();
            let mut bytes = Vec::new();
            lists.iter().for_each(|list| write(&mut bytes, list));
            prop_assert_eq!(count(&bytes), lists.iter().map(Vec::len).sum::<usize>() as u64);
            for count in 0..=lists.len() {
                let (mut skipping, mut taking) = (bytes.as_slice(), bytes.as_slice());
                skip(&mut skipping, count);
                (0..count).for_each(|_| {
                    take(&mut taking);
                });
                prop_assert_eq!(skipping, taking);
            }
            let (mut reading, mut skipping) = (bytes.as_slice(), bytes.as_slice());
            for list in &lists {
                let mut found = Vec::new();
                read(&mut reading, &mut found);
                prop_assert_eq!(&found, list);
                let mut slice = take(&mut skipping);
                prop_assert_eq!(skipping.len(), reading.len());
                found.clear();
                read(&mut slice, &mut found);
                prop_assert_eq!(&found, list);
            }
        }
    }

    #[test]
    fn fields_do_not_touch() {
        assert_eq!(distance(in_field(0, 3), in_field(0, 7)), 4);
        assert_eq!(distance(in_field(0, u32::MAX), in_field(1, 0)), ACROSS_FIELDS);
        assert_eq!(field_of(in_field(127, 5)), 1 << 127);
    }
}
