//! How are small integers stored in few bytes? Seven bits a byte, low ones first (LEB128).
//!
//! Reading past the end yields zeros, never a panic: bytes that come back from a damaged snapshot
//! must not take the server down.

/// Appends `value`.
#[inline]
pub fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Takes a value off the front of `bytes`.
#[inline]
pub fn read(bytes: &mut &[u8]) -> u64 {
    if let Some((&first, rest)) = bytes.split_first() {
        if first < 0x80 {
            *bytes = rest;
            return u64::from(first);
        }
    }
    read_long(bytes)
}

fn read_long(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    while let Some((&byte, rest)) = bytes.split_first() {
        *bytes = rest;
        if shift < 64 {
            value |= u64::from(byte & 0x7f) << shift;
        }
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// Takes a value off the front of `bytes`, cut to 32 bits.
#[inline]
pub fn read_u32(bytes: &mut &[u8]) -> u32 {
    read(bytes) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(values: Vec<u64>) {
            let mut bytes = Vec::new();
            values.iter().for_each(|&value| write(&mut bytes, value));
            let mut rest = bytes.as_slice();
            for &value in &values {
                prop_assert_eq!(read(&mut rest), value);
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_read_to_their_end(bytes: Vec<u8>) {
            let mut rest = bytes.as_slice();
            for _ in 0..=bytes.len() {
                read(&mut rest);
            }
            prop_assert!(rest.is_empty());
        }
    }
}
