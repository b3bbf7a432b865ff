//! dict/: which terms are there, and which of them match a pattern?
//!
//! One dictionary holds everything that has a posting list: words, tags of each field, and marks
//! of missing values. A [`Space`] keeps them apart; it is the first two bytes of every key.
//! Sealed segments have an FST ([`sealed`]), live ones a hash table and an ordered map ([`live`]);
//! a [`pattern::Pattern`] walks both in the same way. Fields that ask for it have their suffixes in order
//! besides ([`suffix`]).

pub mod live;
pub mod pattern;
pub mod sealed;
pub mod suffix;

use crate::schema::FieldId;

/// What kind of term a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// Words, and what is derived from them: stems (`+`), sounds (`<`), synonym groups (`~`).
    Text,
    /// Documents without a value for a field; the term is empty.
    Missing(FieldId),
    /// Tags of a field.
    Tag(FieldId),
}

/// A space as the first bytes of a key.
pub type Prefix = [u8; 2];

impl Space {
    /// The first bytes of the keys of this space. A schema has at most 1,024 fields, so three
    /// regions of 16,384 are never left.
    pub fn prefix(self) -> Prefix {
        match self {
            Self::Text => [0, 0],
            Self::Missing(field) => (0x4000 | field.0).to_be_bytes(),
            Self::Tag(field) => (0x8000 | field.0).to_be_bytes(),
        }
    }

    /// The key of a term.
    pub fn key(self, term: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(2 + term.len());
        key.extend_from_slice(&self.prefix());
        key.extend_from_slice(term);
        key
    }
}

/// Whether a word was not written by anyone but derived from another: patterns do not match these.
pub fn is_derived(term: &[u8]) -> bool {
    matches!(term.first(), Some(b'+' | b'<' | b'~'))
}
