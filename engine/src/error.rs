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
    /// A name without a type after it.
    #[error("Field `{}` does not have a type", Shown(.0))]
    NoType(Vec<u8>),
    /// A type that does not exist.
    #[error("Invalid field type for field `{}`", Shown(.0))]
    BadType(Vec<u8>),
    /// A type that exists elsewhere.
    #[error("Field `{}`: type {} is not supported", Shown(.0), .1)]
    UnsupportedType(Vec<u8>, &'static str),
    /// An option whose value is missing or does not fit, and why.
    #[error("Bad arguments for {0}: {1}")]
    BadArgument(&'static str, &'static str),
    /// A separator of more or less than one byte.
    #[error("Tag separator must be a single character. Got `{}`", Shown(.0))]
    TagSeparator(Vec<u8>),
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

/// Why a query was refused. Offsets count bytes from the start of the query.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// A word or sign where it can't stand. At the end of the query, the offset and the text are
    /// those of its last word or sign.
    #[error("Syntax error at offset {offset} near {}", Shown(.near))]
    Syntax {
        /// Where it stands.
        offset: usize,
        /// What stands there.
        near: Vec<u8>,
    },
    /// Brackets and signs deeper than [`MAX_QUERY_DEPTH`](crate::limits::MAX_QUERY_DEPTH).
    #[error("Syntax error at offset {offset}: more than {} levels of nesting", crate::limits::MAX_QUERY_DEPTH)]
    TooDeep {
        /// Where one level too many starts.
        offset: usize,
    },
    /// More clauses than [`MAX_QUERY_NODES`](crate::limits::MAX_QUERY_NODES).
    #[error("Syntax error at offset {offset}: more than {} clauses", crate::limits::MAX_QUERY_NODES)]
    TooLong {
        /// Where one clause too many starts.
        offset: usize,
    },
    /// A clause for a type of field that does not exist here.
    #[error("{feature} queries are not supported, at offset {offset}")]
    Unsupported {
        /// What was asked for.
        feature: &'static str,
        /// Where.
        offset: usize,
    },
    /// `$name` without a value in `PARAMS`.
    #[error("No such parameter `{}`", Shown(.0))]
    NoSuchParameter(Vec<u8>),
    /// A parameter's value that is not the number that is needed.
    #[error("Invalid numeric value ({}) for parameter `{}`", Shown(.value), Shown(.name))]
    ParameterNotNumeric {
        /// The parameter.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// A parameter that is given twice.
    #[error("Duplicate parameter `{}`", Shown(.0))]
    DuplicateParameter(Vec<u8>),
    /// A parameter's name without a value.
    #[error("Parameters must be specified in PARAM VALUE pairs")]
    ParametersNotPaired,
    /// An attribute that does not exist.
    #[error("Invalid attribute {}", Shown(.0))]
    UnknownAttribute(Vec<u8>),
    /// An attribute's value that is not of its type.
    #[error("Invalid value ({}) for `{name}`", Shown(.value))]
    AttributeValue {
        /// The attribute.
        name: &'static str,
        /// What was given.
        value: Vec<u8>,
    },
    /// `$phonetic: true` where no field is phonetic.
    #[error("field does not support phonetics")]
    NotPhonetic,
    /// `ismissing` of a field without `INDEXMISSING`.
    #[error("'ismissing' requires field '{}' to be defined with 'INDEXMISSING'", Shown(.0))]
    MissingNotIndexed(Vec<u8>),
    /// A suffix or infix in fields of which some are `WITHSUFFIXTRIE` and some are not.
    #[error("Contains query on fields without WITHSUFFIXTRIE support")]
    MixedSuffixes,
    /// A unit of length that does not exist.
    #[error("Invalid GeoFilter unit")]
    GeoUnit,
    /// A radius that is negative or no number.
    #[error("Invalid GeoFilter radius")]
    GeoRadius,
    /// A centre off the grid.
    #[error("Invalid GeoFilter lat/lon")]
    GeoCentre,
    /// A lower bound that is no number.
    #[error("Bad lower range: {}", Shown(.0))]
    LowerBound(Vec<u8>),
    /// An upper bound that is no number.
    #[error("Bad upper range: {}", Shown(.0))]
    UpperBound(Vec<u8>),
    /// A dialect that does not exist.
    #[error("DIALECT requires a non negative integer >=1 and <= 4")]
    Dialect,
}
