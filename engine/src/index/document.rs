//! What is a document once it is analysed?
//!
//! Made on an indexing thread, away from every lock, from the analyser's tokens and the parsed
//! values: terms sorted and grouped, positions encoded. The writer only copies from it.

use crate::columns::{geo, SortValue};
use crate::dict::Space;
use crate::index::occurrences::{Occurrences, Terms};
use crate::postings::positions;
use crate::schema::{FieldId, FieldMask, IndexOptions, ALL_FIELDS};
use crate::segment::DocFacts;

pub use crate::index::occurrences::Gathered;

/// What an index keeps of each occurrence of a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// False for `NOOFFSETS`.
    pub positions: bool,
    /// False for `NOFREQS`: each term counts once in a document.
    pub freqs: bool,
    /// False for `NOFIELDS`: every posting is in all fields.
    pub fields: bool,
}

impl Keep {
    /// Everything.
    pub const ALL: Self = Self { positions: true, freqs: true, fields: true };
}

impl From<&IndexOptions> for Keep {
    fn from(options: &IndexOptions) -> Self {
        Self { positions: options.store_positions, freqs: options.store_frequencies, fields: options.store_field_masks }
    }
}

/// An analysed document, ready to be inserted.
#[derive(Debug)]
pub struct Document {
    pub(crate) key: Box<[u8]>,
    pub(crate) payload: Option<Box<[u8]>>,
    pub(crate) numbers: Vec<(FieldId, f64)>,
    pub(crate) points: Vec<(FieldId, u64)>,
    pub(crate) sort: Vec<(FieldId, SortValue)>,
    facts: DocFacts,
    terms: Terms,
}

/// One distinct term of a document.
#[derive(Debug)]
pub struct Term<'a> {
    /// With its space's prefix.
    pub key: &'a [u8],
    /// Weighted number of occurrences.
    pub freq: u32,
    /// The text fields it occurs in.
    pub mask: FieldMask,
    /// As [`positions::write`] writes them; empty when none are kept.
    pub positions: &'a [u8],
}

impl Document {
    /// The key it is found by.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// What scorers will ask about it.
    pub fn facts(&self) -> DocFacts {
        self.facts
    }

    /// Its distinct terms, in order of their keys.
    pub fn terms(&self) -> impl Iterator<Item = Term<'_>> {
        self.terms.iter()
    }

    /// Bytes that it holds: what a bounded queue counts.
    pub fn memory(&self) -> usize {
        self.terms.memory()
            + self.key.len()
            + self.payload.as_ref().map_or(0, |payload| payload.len())
            + size_of::<Self>()
    }
}

/// Gathers what the analyser and the value parsers say about one document.
#[derive(Debug)]
pub struct DocumentBuilder {
    keep: Keep,
    key: Box<[u8]>,
    score: f32,
    payload: Option<Box<[u8]>>,
    len: u32,
    numbers: Vec<(FieldId, f64)>,
    points: Vec<(FieldId, u64)>,
    sort: Vec<(FieldId, SortValue)>,
    occurrences: Occurrences,
    parts: Vec<(Gathered, u32)>,
}

impl DocumentBuilder {
    /// Begins a document.
    pub fn new(key: &[u8], keep: Keep) -> Self {
        Self {
            keep,
            key: key.into(),
            score: 1.0,
            payload: None,
            len: 0,
            numbers: Vec::new(),
            points: Vec::new(),
            sort: Vec::new(),
            occurrences: Occurrences::default(),
            parts: Vec::new(),
        }
    }

    /// Its own score; moved into 0 to 1.
    pub fn score(&mut self, score: f32) -> &mut Self {
        self.score = if score.is_nan() { 1.0 } else { score.clamp(0.0, 1.0) };
        self
    }

    /// Its payload.
    pub fn payload(&mut self, payload: &[u8]) -> &mut Self {
        self.payload = Some(payload.into());
        self
    }

    /// An occurrence of a word in the text field with bit `text_bit`, as token number `position` of
    /// that field. `freq` is what it is worth: `max(1, floor(WEIGHT))`. The document grows longer
    /// by it.
    pub fn word(&mut self, text_bit: u8, term: &[u8], position: u32, freq: u32) -> &mut Self {
        self.len = self.len.saturating_add(freq.max(1));
        self.derived(text_bit, term, position, freq)
    }

    /// A term derived from a word at the same place (a stem, a sound, a synonym group). The
    /// document does not grow longer by it.
    pub fn derived(&mut self, text_bit: u8, term: &[u8], position: u32, freq: u32) -> &mut Self {
        let position = Some(positions::in_field(text_bit, position));
        self.token(Space::Text, term, freq.max(1), 1 << text_bit, position)
    }

    /// A tag of a field, as it is to be found.
    pub fn tag(&mut self, field: FieldId, value: &[u8]) -> &mut Self {
        self.token(Space::Tag(field), value, 1, ALL_FIELDS, None)
    }

    /// Says that a field has no value, for `ismissing`.
    pub fn missing(&mut self, field: FieldId) -> &mut Self {
        self.token(Space::Missing(field), b"", 1, ALL_FIELDS, None)
    }

    /// A field's number. NaN is none.
    pub fn number(&mut self, field: FieldId, value: f64) -> &mut Self {
        if !value.is_nan() {
            self.numbers.push((field, value));
        }
        self
    }

    /// A field's point, in degrees.
    pub fn point(&mut self, field: FieldId, longitude: f64, latitude: f64) -> &mut Self {
        self.points.push((field, geo::encode(longitude, latitude)));
        self
    }

    /// A sortable field's value, normalised unless `UNF`. Numeric fields need none: their number is
    /// their sort value.
    pub fn sort_text(&mut self, field: FieldId, value: &[u8]) -> &mut Self {
        self.sort.push((field, SortValue::Text(value.into())));
        self
    }

    fn token(&mut self, space: Space, term: &[u8], freq: u32, mask: FieldMask, position: Option<u32>) -> &mut Self {
        self.occurrences.push(space, term, freq, mask, position);
        self
    }

    /// Adds a part of a text that another builder has gathered with positions from 0 on: it begins at `position` of
    /// its field.
    pub fn append(&mut self, part: Gathered, position: u32) -> &mut Self {
        self.len = self.len.saturating_add(part.len());
        self.parts.push((part, position));
        self
    }

    /// Sorts and groups its terms alone, for another builder to [append](Self::append).
    pub fn gather(self) -> Gathered {
        self.occurrences.gather(self.len)
    }

    /// Sorts and groups.
    pub fn finish(self) -> Document {
        let terms = Terms::new(self.keep, self.occurrences, self.parts);
        Document {
            key: self.key,
            payload: self.payload,
            numbers: self.numbers,
            points: self.points,
            sort: self.sort,
            facts: DocFacts { len: self.len, max_freq: terms.max_freq(), score: self.score },
            terms,
        }
    }
}
