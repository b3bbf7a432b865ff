//! What is one field, and which options does each type have?

use super::{FieldId, FieldMask};
use crate::error::SchemaError;

/// A field of a [`Schema`](super::Schema): its definition and the places it was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its place among all fields.
    pub id: FieldId,
    /// Its bit in a [`FieldMask`], for `TEXT` fields.
    pub text_bit: Option<u8>,
    /// Its place in a document's sort values, for `SORTABLE` fields.
    pub sort_slot: Option<u16>,
    /// What the user declared.
    pub definition: FieldDefinition,
}

impl Field {
    /// The mask with this field's bit; 0 when it is not a `TEXT` field.
    pub fn mask(&self) -> FieldMask {
        self.text_bit.map_or(0, |bit| 1 << bit)
    }

    /// The name in queries.
    pub fn attribute(&self) -> &[u8] {
        &self.definition.attribute
    }

    /// The hash field that the value comes from.
    pub fn identifier(&self) -> &[u8] {
        &self.definition.identifier
    }

    /// The options, when this is a `TEXT` field.
    pub fn text(&self) -> Option<&TextOptions> {
        match &self.definition.kind {
            FieldKind::Text(options) => Some(options),
            _ => None,
        }
    }

    /// The options, when this is a `TAG` field.
    pub fn tag(&self) -> Option<&TagOptions> {
        match &self.definition.kind {
            FieldKind::Tag(options) => Some(options),
            _ => None,
        }
    }
}

/// What the user declared about a field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDefinition {
    /// The hash field that the value comes from.
    pub identifier: Vec<u8>,
    /// The name in queries (`AS`).
    pub attribute: Vec<u8>,
    /// Its type, with the options of that type.
    pub kind: FieldKind,
    /// Whether the value is kept in a column for sorting and returning.
    pub sortable: Sortable,
    /// False for `NOINDEX`: no query finds the document by this field.
    pub indexed: bool,
    /// `INDEXEMPTY`: whether an empty value can be searched for.
    pub index_empty: bool,
    /// `INDEXMISSING`: whether documents without a value can be found by `ismissing`.
    pub index_missing: bool,
}

/// A field's type.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldKind {
    /// Words of a language.
    Text(TextOptions),
    /// Values that match whole.
    Tag(TagOptions),
    /// A double.
    Numeric,
    /// A point on the globe.
    Geo,
}

impl FieldKind {
    /// The word that declares it.
    pub fn name(&self) -> &'static str {
        match self {
            FieldKind::Text(_) => "TEXT",
            FieldKind::Tag(_) => "TAG",
            FieldKind::Numeric => "NUMERIC",
            FieldKind::Geo => "GEO",
        }
    }
}

/// Options of a `TEXT` field.
#[derive(Debug, Clone, PartialEq)]
pub struct TextOptions {
    /// `WEIGHT`: what one occurrence in this field is worth.
    pub weight: f64,
    /// False for `NOSTEM`.
    pub stem: bool,
    /// `PHONETIC`: whether words are also found by their sound.
    pub phonetic: Option<PhoneticLanguage>,
    /// `WITHSUFFIXTRIE`: whether suffix and infix clauses get an index of their own.
    pub suffix_trie: bool,
}

impl Default for TextOptions {
    fn default() -> Self {
        Self { weight: 1.0, stem: true, phonetic: None, suffix_trie: false }
    }
}

/// The language of a phonetic matcher. The codes are those of double metaphone for each of them;
/// the word is kept because `FT.INFO` and a saved definition must repeat it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhoneticLanguage {
    /// `dm:en`
    English,
    /// `dm:fr`
    French,
    /// `dm:pt`
    Portuguese,
    /// `dm:es`
    Spanish,
}

impl PhoneticLanguage {
    /// Reads `dm:en` and the like.
    ///
    /// # Errors
    /// [`SchemaError::PhoneticMatcher`] for any other word.
    pub fn parse(matcher: &[u8]) -> Result<Self, SchemaError> {
        match matcher {
            b"dm:en" => Ok(Self::English),
            b"dm:fr" => Ok(Self::French),
            b"dm:pt" => Ok(Self::Portuguese),
            b"dm:es" => Ok(Self::Spanish),
            _ => Err(SchemaError::PhoneticMatcher),
        }
    }

    /// The word that [`PhoneticLanguage::parse`] reads.
    pub fn matcher(self) -> &'static str {
        match self {
            Self::English => "dm:en",
            Self::French => "dm:fr",
            Self::Portuguese => "dm:pt",
            Self::Spanish => "dm:es",
        }
    }
}

/// Options of a `TAG` field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagOptions {
    /// `SEPARATOR`: the byte between two tags of one value.
    pub separator: u8,
    /// `CASESENSITIVE`: whether tags keep their case.
    pub case_sensitive: bool,
    /// `WITHSUFFIXTRIE`: whether suffix and infix clauses get an index of their own.
    pub suffix_trie: bool,
}

impl Default for TagOptions {
    fn default() -> Self {
        Self { separator: b',', case_sensitive: false, suffix_trie: false }
    }
}

/// Whether, and in which form, a value is kept for sorting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sortable {
    /// It is not.
    No,
    /// `SORTABLE`: text and tags in lower case and normalised, numbers as they are.
    Normalised,
    /// `SORTABLE UNF`: as it was written.
    AsWritten,
}

impl FieldDefinition {
    /// A field of `kind` with no options, called in queries what it is called in documents.
    pub fn new(name: impl Into<Vec<u8>>, kind: FieldKind) -> Self {
        let identifier = name.into();
        Self {
            attribute: identifier.clone(),
            identifier,
            kind,
            sortable: Sortable::No,
            indexed: true,
            index_empty: false,
            index_missing: false,
        }
    }

    /// A `TEXT` field with default options.
    pub fn text(name: impl Into<Vec<u8>>) -> Self {
        Self::new(name, FieldKind::Text(TextOptions::default()))
    }

    /// A `TAG` field with default options.
    pub fn tag(name: impl Into<Vec<u8>>) -> Self {
        Self::new(name, FieldKind::Tag(TagOptions::default()))
    }

    /// A `NUMERIC` field.
    pub fn numeric(name: impl Into<Vec<u8>>) -> Self {
        Self::new(name, FieldKind::Numeric)
    }

    /// A `GEO` field.
    pub fn geo(name: impl Into<Vec<u8>>) -> Self {
        Self::new(name, FieldKind::Geo)
    }

    /// The same field, called `attribute` in queries (`AS`).
    #[must_use]
    pub fn named(mut self, attribute: impl Into<Vec<u8>>) -> Self {
        self.attribute = attribute.into();
        self
    }

    /// The same field with a sort column. Numbers are always kept as written, as `FT.INFO` reports
    /// them.
    #[must_use]
    pub fn sortable(mut self, as_written: bool) -> Self {
        let number = matches!(self.kind, FieldKind::Numeric);
        self.sortable = if as_written || number { Sortable::AsWritten } else { Sortable::Normalised };
        self
    }

    /// Whether options contradict one another, or do not exist for this type.
    ///
    /// # Errors
    /// The first contradiction, in the words of `FT.CREATE`.
    pub fn check(&self) -> Result<(), SchemaError> {
        if !self.indexed && self.index_missing {
            return Err(SchemaError::NoIndexConflict(self.attribute.clone(), "INDEXMISSING"));
        }
        if !self.indexed && self.index_empty {
            return Err(SchemaError::NoIndexConflict(self.attribute.clone(), "INDEXEMPTY"));
        }
        let bad = |reason| Err(SchemaError::BadOption(self.attribute.clone(), reason));
        match &self.kind {
            FieldKind::Text(options) if !options.weight.is_finite() || options.weight < 0.0 => bad("weight"),
            FieldKind::Numeric | FieldKind::Geo if self.index_empty => bad("INDEXEMPTY"),
            _ => Ok(()),
        }
    }
}
