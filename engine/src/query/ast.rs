//! What was written in a query?
//!
//! The tree of a query as it stands, before any index is asked what its words mean.

use super::{GeoRadius, NumericRange};

/// A parsed query. Without a root it has no clause at all, and finds nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Ast {
    /// The outermost clause.
    pub root: Option<Node>,
}

/// A clause with what is attached to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it asks for.
    pub kind: NodeKind,
    /// `=>{...}` after it.
    pub attributes: Attributes,
    /// The text fields before it, when there are any: `@a|b:`.
    pub fields: Option<Vec<Vec<u8>>>,
}

impl Node {
    /// A clause without attributes and fields.
    pub fn new(kind: NodeKind) -> Self {
        Self { kind, attributes: Attributes::default(), fields: None }
    }

    /// Whether nothing is attached to it.
    pub fn is_bare(&self) -> bool {
        self.fields.is_none() && self.attributes == Attributes::default()
    }
}

/// `=>{...}`: what is not given is inherited or default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Attributes {
    /// `$weight`: a factor of the clause's score.
    pub weight: Option<f64>,
    /// `$slop`: positions that may lie between the terms of an intersection; negative for any.
    pub slop: Option<i64>,
    /// `$inorder`: whether the terms of an intersection must come in the query's order.
    pub in_order: Option<bool>,
    /// `$phonetic`: whether words are also found by their sound.
    pub phonetic: Option<bool>,
}

/// What a clause asks for. Texts are without escapes, and not normalised.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// `*`: every document.
    All,
    /// A word.
    Word(Word),
    /// `"..."`: words one after the other.
    Exact(Exact),
    /// `pre*`, `*suf`, `*in*`, `w'...'`, `%fuzzy%`.
    Pattern(Pattern),
    /// Clauses one after the other: all of them.
    And(Vec<Node>),
    /// Clauses with `|` between them: any of them.
    Or(Vec<Node>),
    /// `-`: everything else.
    Not(Box<Node>),
    /// `~`: no condition, only a part of the score.
    Optional(Box<Node>),
    /// `@f:[min max]` and comparisons.
    Numeric {
        /// The field.
        field: Vec<u8>,
        /// The interval.
        range: NumericRange,
    },
    /// `@f:[lon lat radius unit]`
    Geo {
        /// The field.
        field: Vec<u8>,
        /// The circle.
        circle: GeoRadius,
    },
    /// `@f:{a | b}`
    Tag {
        /// The field.
        field: Vec<u8>,
        /// The tags, any of which may match.
        values: Vec<TagValue>,
    },
    /// `ismissing(@f)`
    Missing {
        /// The field.
        field: Vec<u8>,
    },
}

/// A word of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its text.
    pub text: Vec<u8>,
    /// Where it stands.
    pub offset: usize,
    /// Whether it is a number: those are not stemmed.
    pub number: bool,
}

/// A quoted phrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exact {
    /// Its words. None at all, or one that is empty, asks for the empty text.
    pub words: Vec<Word>,
}

/// Part of a word, or a word with mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// `word*`
    Prefix(Vec<u8>),
    /// `*word`
    Suffix(Vec<u8>),
    /// `*word*`
    Infix(Vec<u8>),
    /// `w'...'`, still with its escapes.
    Wildcard(Vec<u8>),
    /// `%word%`, with the number of percent signs on each side.
    Fuzzy(Vec<u8>, u8),
}

/// One tag of a tag clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagValue {
    /// The whole tag.
    Is(Vec<u8>),
    /// A part of the tag.
    Like(Pattern),
}
