//! segment/: a run of document versions in order of birth, and everything found by them.
//!
//! New versions go into the one live segment ([`live`]). A full one is frozen and turned into a
//! sealed one ([`sealed`]) by [`build`], which also merges sealed ones. What readers see is the same
//! for both kinds: postings, document facts, column values, and for each version when it was born
//! and when it died.

pub mod build;
mod bytes;
pub mod live;
pub mod sealed;
pub mod visible;

use crate::columns::geo::NO_POINT;
use crate::cursor::budget::Budget;
use crate::dict::pattern::Pattern;
use crate::dict::Space;
use crate::postings::{Counts, PostingList};
use crate::schema::{FieldId, FieldMask};
use live::LiveSegment;
use sealed::SealedSegment;
use visible::Visibility;

/// A document version's place in its segment.
pub type DocId = u32;

/// Not a document: what a cursor is at when it has passed all of them.
pub const END: DocId = DocId::MAX;

/// The number of a change to an index: of the birth or death of a version.
pub type Seq = u64;

/// The death of a version that lives.
pub const ALIVE: Seq = Seq::MAX;

/// Bytes held, by what for. The parts of `FT.INFO`'s memory figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Posting lists without positions.
    pub postings: usize,
    /// Positions of terms in documents.
    pub positions: usize,
    /// Term dictionaries.
    pub dictionary: usize,
    /// The document table, with keys and payloads.
    pub documents: usize,
    /// Numeric and geo columns.
    pub columns: usize,
    /// Sort columns.
    pub sort: usize,
    /// The table from keys to versions.
    pub keys: usize,
}

impl Memory {
    /// All of it.
    pub fn total(&self) -> usize {
        self.postings + self.positions + self.dictionary + self.documents + self.columns + self.sort + self.keys
    }
}

impl std::ops::AddAssign for Memory {
    fn add_assign(&mut self, other: Self) {
        self.postings += other.postings;
        self.positions += other.positions;
        self.dictionary += other.dictionary;
        self.documents += other.documents;
        self.columns += other.columns;
        self.sort += other.sort;
        self.keys += other.keys;
    }
}

/// What scorers ask about a document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DocFacts {
    /// Weighted number of its words.
    pub len: u32,
    /// The frequency of its most frequent term.
    pub max_freq: u32,
    /// Its own score, 0 to 1.
    pub score: f32,
}

/// A live or a sealed segment.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "always behind an Arc, and few")]
pub enum Segment {
    /// Still written to, or frozen and waiting to be sealed.
    Live(LiveSegment),
    /// Immutable, but for deaths.
    Sealed(SealedSegment),
}

impl Segment {
    /// How many versions there are, dead ones included. Of a live segment: so far.
    pub fn len(&self) -> DocId {
        match self {
            Self::Live(segment) => segment.len(),
            Self::Sealed(segment) => segment.docs.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The posting list of a key ([`Space::key`]).
    pub fn list(&self, key: &[u8]) -> Option<PostingList<'_>> {
        match self {
            Self::Live(segment) => segment.list(key).map(PostingList::Live),
            Self::Sealed(segment) => segment.list(key).map(PostingList::Sealed),
        }
    }

    /// Calls `visit` with the terms of a space that match, in order, until it says false or the budget is
    /// used up. Words that are in none of `fields` may be among them or not.
    pub fn matching(
        &self,
        space: Space,
        pattern: &Pattern,
        fields: FieldMask,
        budget: &Budget<'_>,
        visit: impl FnMut(&[u8]) -> bool,
    ) {
        match self {
            Self::Live(segment) => segment.matching(space, pattern, budget, visit),
            Self::Sealed(segment) => segment.matching(space, pattern, fields, budget, visit),
        }
    }

    /// Whether a document has a key, or had.
    pub fn has(&self, key: &[u8]) -> bool {
        match self {
            Self::Live(segment) => segment.has(key),
            Self::Sealed(segment) => segment.dict.get(key).is_some(),
        }
    }

    /// How many terms there are that are words or derived from some.
    pub fn word_count(&self) -> u64 {
        match self {
            Self::Live(segment) => segment.word_count(),
            Self::Sealed(segment) => segment.words,
        }
    }

    /// How much there is in its posting lists.
    pub fn counts(&self) -> Counts {
        match self {
            Self::Live(segment) => segment.counts(),
            Self::Sealed(segment) => segment.arena.counts(),
        }
    }

    /// The facts of a document.
    #[inline]
    pub fn facts(&self, doc: DocId) -> DocFacts {
        match self {
            Self::Live(segment) => segment.facts(doc),
            Self::Sealed(segment) => segment.docs.facts(doc),
        }
    }

    /// The greatest score of any document.
    pub fn max_score(&self) -> f32 {
        match self {
            Self::Live(_) => 1.0,
            Self::Sealed(segment) => segment.docs.max_score(),
        }
    }

    /// The number of a version's birth; that of its death, or [`ALIVE`].
    pub fn life(&self, doc: DocId) -> (Seq, Seq) {
        match self {
            Self::Live(segment) => segment.life(doc),
            Self::Sealed(segment) => segment.docs.life(doc),
        }
    }

    /// The first version born at or after `seq`; the number of versions when there is none.
    pub fn first_born_from(&self, seq: Seq) -> DocId {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.life(middle).0 < seq {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Lets a version die at `seq`, if it lives.
    pub fn kill(&self, doc: DocId, seq: Seq) {
        match self {
            Self::Live(segment) => segment.kill(doc, seq),
            Self::Sealed(segment) => segment.docs.kill(doc, seq),
        }
    }

    /// How many versions have died.
    pub fn deaths(&self) -> u32 {
        match self {
            Self::Live(segment) => segment.deaths(),
            Self::Sealed(segment) => segment.docs.deaths(),
        }
    }

    /// What a query with the number `seq` sees of this segment.
    pub fn visible(&self, seq: Seq) -> Visibility<'_> {
        Visibility::new(self, seq)
    }

    /// Calls `visit` with a document's key.
    pub fn with_key<R>(&self, doc: DocId, visit: impl FnOnce(&[u8]) -> R) -> R {
        match self {
            Self::Live(segment) => visit(segment.key(doc)),
            Self::Sealed(segment) => visit(segment.docs.key(doc)),
        }
    }

    /// A document's payload.
    pub fn payload(&self, doc: DocId) -> Option<&[u8]> {
        match self {
            Self::Live(segment) => segment.payload(doc),
            Self::Sealed(segment) => segment.docs.payload(doc),
        }
    }

    /// A document's number in a field; NaN when it has none.
    #[inline]
    pub fn number(&self, field: FieldId, doc: DocId) -> f64 {
        match self {
            Self::Live(segment) => segment.number(field, doc),
            Self::Sealed(segment) => segment.columns.numeric(field).map_or(f64::NAN, |column| column.value(doc)),
        }
    }

    /// A document's point in a field, or [`NO_POINT`].
    #[inline]
    pub fn point(&self, field: FieldId, doc: DocId) -> u64 {
        match self {
            Self::Live(segment) => segment.point(field, doc),
            Self::Sealed(segment) => segment.columns.geo(field).map_or(NO_POINT, |column| column.code(doc)),
        }
    }

    /// A document's sort value in a field that is not numeric.
    pub fn sort_text(&self, field: FieldId, doc: DocId) -> Option<&[u8]> {
        match self {
            Self::Live(segment) => segment.sort_text(field, doc),
            Self::Sealed(segment) => segment.columns.sort(field).and_then(|column| column.value(doc)),
        }
    }

    /// Bytes held.
    pub fn memory(&self) -> Memory {
        match self {
            Self::Live(segment) => segment.memory(),
            Self::Sealed(segment) => segment.memory(),
        }
    }
}
