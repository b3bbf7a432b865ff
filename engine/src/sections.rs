//! How do arrays become bytes, and damaged bytes an error?
//!
//! Everything that an index saves is a sequence of sections, each an array of numbers of one width:
//!
//! ```text
//! tag       1 byte, what it is
//! length    8 bytes, how many elements
//! elements  little endian
//! checksum  4 bytes: CRC-32 of all of the above
//! ```
//!
//! A reader says which tag it expects. It allocates as elements arrive, so that a damaged length costs no
//! more memory than there are bytes.

use crc32fast::Hasher;
use std::io::{self, ErrorKind, Read, Write};
use thiserror::Error;

/// Why bytes are not an index.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FormatError {
    /// They do not begin as an index does.
    #[error("not an index")]
    NotAnIndex,
    /// They were written by another version.
    #[error("an index of format version {0}, this is version {1}")]
    Version(u32, u32),
    /// They end too early.
    #[error("the index ends within section {0}")]
    Truncated(u8),
    /// Another section was to come.
    #[error("section {found} of the index stands where section {expected} was to come")]
    Misplaced {
        /// What was to come.
        expected: u8,
        /// What stands there.
        found: u8,
    },
    /// They were changed since.
    #[error("section {0} of the index is damaged: its checksum does not match")]
    Checksum(u8),
    /// Sections contradict one another.
    #[error("the index contradicts itself: {0}")]
    Inconsistent(&'static str),
    /// They could not be read.
    #[error("the index cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A number that sections are made of.
pub(crate) trait Plain: Copy {
    /// Bytes of one.
    const SIZE: usize;

    /// Appends the bytes of some.
    fn write(values: &[Self], out: &mut Vec<u8>);

    /// Appends what so many whole elements of bytes say.
    fn read(bytes: &[u8], out: &mut Vec<Self>);
}

macro_rules! plain {
    ($($number:ty)*) => {$(
        impl Plain for $number {
            const SIZE: usize = size_of::<$number>();

            fn write(values: &[Self], out: &mut Vec<u8>) {
                out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }

            fn read(bytes: &[u8], out: &mut Vec<Self>) {
                let chunks = bytes.chunks_exact(Self::SIZE);
                out.extend(chunks.map(|chunk| Self::from_le_bytes(chunk.try_into().unwrap_or_default())));
            }
        }
    )*};
}

plain!(u16 u32 u64 u128 f32 f64);

impl Plain for u8 {
    const SIZE: usize = 1;

    fn write(values: &[Self], out: &mut Vec<u8>) {
        out.extend_from_slice(values);
    }

    fn read(bytes: &[u8], out: &mut Vec<Self>) {
        out.extend_from_slice(bytes);
    }
}

/// Bytes handled at once: what the first-level cache holds of both sides.
const CHUNK: usize = 16 << 10;

/// Writes sections.
pub(crate) struct Sink<'w> {
    out: &'w mut dyn Write,
    buffer: Vec<u8>,
}

impl<'w> Sink<'w> {
    pub(crate) fn new(out: &'w mut dyn Write) -> Self {
        Self { out, buffer: Vec::with_capacity(CHUNK + 16) }
    }

    /// Writes bytes that are no section.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// Writes one section.
    pub(crate) fn put<T: Plain>(&mut self, tag: u8, values: &[T]) -> io::Result<()> {
        let mut checksum = Hasher::new();
        self.buffer.clear();
        self.buffer.push(tag);
        self.buffer.extend((values.len() as u64).to_le_bytes());
        for chunk in values.chunks(CHUNK / T::SIZE) {
            T::write(chunk, &mut self.buffer);
            checksum.update(&self.buffer);
            self.out.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        // Of an array without elements only the head is there.
        checksum.update(&self.buffer);
        self.buffer.extend(checksum.finalize().to_le_bytes());
        self.out.write_all(&self.buffer)
    }
}

/// Reads sections.
pub(crate) struct Source<'r> {
    input: &'r mut dyn Read,
}

impl<'r> Source<'r> {
    pub(crate) fn new(input: &'r mut dyn Read) -> Self {
        Self { input }
    }

    /// Reads bytes that are no section. False when there are too few.
    pub(crate) fn raw(&mut self, bytes: &mut [u8]) -> Result<bool, FormatError> {
        match self.input.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn fill(&mut self, tag: u8, bytes: &mut [u8]) -> Result<(), FormatError> {
        if self.raw(bytes)? {
            Ok(())
        } else {
            Err(FormatError::Truncated(tag))
        }
    }

    /// Reads the section that must come next.
    pub(crate) fn take<T: Plain>(&mut self, tag: u8) -> Result<Vec<T>, FormatError> {
        let mut head = [0; 9];
        self.fill(tag, &mut head)?;
        if head[0] != tag {
            return Err(FormatError::Misplaced { expected: tag, found: head[0] });
        }
        let mut checksum = Hasher::new();
        checksum.update(&head);
        let mut left = u64::from_le_bytes(head[1..].try_into().unwrap_or_default());
        let mut buffer = [0; CHUNK];
        let mut values = Vec::with_capacity(left.min((CHUNK / T::SIZE) as u64) as usize);
        while left > 0 {
            let count = left.min((CHUNK / T::SIZE) as u64);
            let bytes = &mut buffer[..count as usize * T::SIZE];
            self.fill(tag, bytes)?;
            checksum.update(bytes);
            T::read(bytes, &mut values);
            left -= count;
        }
        let mut expected = [0; 4];
        self.fill(tag, &mut expected)?;
        if checksum.finalize() != u32::from_le_bytes(expected) {
            return Err(FormatError::Checksum(tag));
        }
        Ok(values)
    }

    /// Reads the section that must come next, with so many elements.
    pub(crate) fn take_exactly<T: Plain>(&mut self, tag: u8, count: usize) -> Result<Box<[T]>, FormatError> {
        let values = self.take(tag)?;
        check(values.len() == count, "a section is longer or shorter than it must be")?;
        Ok(values.into_boxed_slice())
    }
}

/// An error unless something holds.
pub(crate) fn check(holds: bool, otherwise: &'static str) -> Result<(), FormatError> {
    if holds {
        Ok(())
    } else {
        Err(FormatError::Inconsistent(otherwise))
    }
}

/// An error unless these are the ends of pieces of an array of so many bytes.
pub(crate) fn check_ends(ends: &[u32], bytes: usize) -> Result<(), FormatError> {
    check(ends.is_sorted() && ends.last().map_or(0, |&end| end as usize) == bytes, "pieces of bytes overlap")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(a: Vec<u8>, b: Vec<u32>, c: Vec<u128>, d: Vec<f64>, many in 0usize..40_000) {
            let long: Vec<u16> = (0..many).map(|at| at as u16).collect();
            let mut bytes = Vec::new();
            let mut sink = Sink::new(&mut bytes);
            sink.put(1, &a).and_then(|()| sink.put(2, &b)).and_then(|()| sink.put(3, &c)).unwrap();
            sink.put(4, &d).and_then(|()| sink.put(5, &long)).unwrap();
            let mut input = bytes.as_slice();
            let mut source = Source::new(&mut input);
            prop_assert_eq!(source.take::<u8>(1).unwrap(), a);
            prop_assert_eq!(source.take::<u32>(2).unwrap(), b);
            prop_assert_eq!(source.take::<u128>(3).unwrap(), c);
            let read = source.take::<f64>(4).unwrap();
            prop_assert!(read.iter().map(|x| x.to_bits()).eq(d.iter().map(|x| x.to_bits())));
            prop_assert_eq!(source.take::<u16>(5).unwrap(), long);
        }

        #[test]
        fn damage_is_seen(values in proptest::collection::vec(any::<u32>(), 0..20), at: usize, bit in 0u8..8, cut: usize) {
            let mut bytes = Vec::new();
            Sink::new(&mut bytes).put(7, &values).unwrap();
            let cut = cut % bytes.len();
            prop_assert!(Source::new(&mut &bytes[..cut]).take::<u32>(7).is_err());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(Source::new(&mut bytes.as_slice()).take::<u32>(7).is_err());
        }
    }
}
