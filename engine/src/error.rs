//! What went wrong, in the words that clients know?
//!
//! The texts follow RediSearch 2.10 where a client may match on them. Names are bytes; in a text
//! they appear lossily decoded.

use crate::schema::FieldId;
use std::fmt;
use thiserror::Error;

/// Bytes of the user's, shown as text.
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

/// Why a schema or its options were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// `FT.CREATE` without fields.
    #[error("Fields arguments are missing")]
    NoFields,
    /// An attribute that exists.
    #[error("Duplicate field in schema - {}", Shown(.0))]
    DuplicateField(Vec<u8>),
    /// More than [`MAX_FIELDS`](crate::limits::MAX_FIELDS).
    #[error("Schema is limited to {} fields", crate::limits::MAX_FIELDS)]
    TooManyFields,
    /// More than [`MAX_TEXT_FIELDS`](crate::limits::MAX_TEXT_FIELDS).
    #[error("Schema is limited to {} TEXT fields", crate::limits::MAX_TEXT_FIELDS)]
    TooManyTextFields,
    /// More than [`NARROW_TEXT_FIELDS`](crate::limits::NARROW_TEXT_FIELDS) without `MAXTEXTFIELDS`.
    #[error("Cannot add more fields. Declare index with wide fields to allow adding unlimited fields")]
    NarrowIndex,
    /// More than [`MAX_SORTABLE_FIELDS`](crate::limits::MAX_SORTABLE_FIELDS).
    #[error("Schema is limited to {} Sortable fields", crate::limits::MAX_SORTABLE_FIELDS)]
    TooManySortableFields,
    /// `NOINDEX` with an option that only makes sense for an index.
    #[error("'Field `{}` cannot be defined with both `NOINDEX` and `{}`'", Shown(.0), .1)]
    NoIndexConflict(Vec<u8>, &'static str),
    /// An option that this type does not have, or whose value is out of range.
    #[error("Bad value or unsupported option {} for field `{}`", .1, Shown(.0))]
    BadOption(Vec<u8>, &'static str),
    /// A phonetic matcher that does not exist.
    #[error(
        "Matcher Format: <2 chars algorithm>:<2 chars language>. Support algorithms: double metaphone (dm). \
         Supported languages: English (en), French (fr), Portuguese (pt) and Spanish (es)"
    )]
    PhoneticMatcher,
    /// A stop word list longer than [`MAX_STOP_WORDS`](crate::limits::MAX_STOP_WORDS).
    #[error("Too many stop words: at most {} are allowed", crate::limits::MAX_STOP_WORDS)]
    TooManyStopWords,
}

/// Why a field's value could not be indexed. The document that holds it is not indexed at all.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("{reason}")]
pub struct ValueError {
    /// The field.
    pub field: FieldId,
    /// What is wrong with the value.
    pub reason: ValueProblem,
}

/// What can be wrong with a field's value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ValueProblem {
    /// Not a number as a whole.
    #[error("Invalid numeric value: '{}'", Shown(.0))]
    NotANumber(Vec<u8>),
    /// Not two numbers.
    #[error("Invalid lon/lat format. Use \"lon lat\" or \"lon,lat\"")]
    NotAPoint,
    /// Two numbers outside the grid.
    #[error("Invalid geo coordinates: longitude must be within +-180, latitude within +-85.05112878")]
    OffTheGrid,
}
