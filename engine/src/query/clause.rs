//! What does a query ask of one index?
//!
//! The tree that an index executes: fields are known, words are terms, stop words are gone.

use super::ast::Attributes;
use super::{GeoRadius, NumericRange};
use crate::dict::pattern::Pattern;
use crate::schema::{FieldId, FieldKind, FieldMask, Schema, ALL_FIELDS};
use crate::text::Term;

/// A query bound to a schema and a language.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The outermost clause.
    pub root: Clause,
}

impl Query {
    /// The same query, of which only what `filter` finds too counts (`FILTER`, `GEOFILTER`, `INKEYS`).
    #[must_use]
    pub fn filtered(self, filter: Clause) -> Self {
        let children = match self.root {
            Clause { kind: ClauseKind::And { mut children, slop: None, in_order: false }, weight, fields, written }
                if weight == 1.0 && fields == ALL_FIELDS && written == Attributes::default() =>
            {
                children.push(filter);
                children
            }
            root => vec![root, filter],
        };
        Self { root: Clause::new(ClauseKind::And { children, slop: None, in_order: false }) }
    }

    /// Every term that can be in a matching document by itself, each once: the words to highlight and
    /// to spell-check. What only a `-` clause names is not among them.
    pub fn terms(&self) -> Vec<&Term> {
        let mut terms = Vec::new();
        self.root.visit(&mut |clause| match &clause.kind {
            ClauseKind::Term { term, .. } => terms.push(term),
            ClauseKind::Exact(words) => terms.extend(words),
            _ => {}
        });
        terms.sort_unstable();
        terms.dedup();
        terms
    }
}

/// A clause: what it asks for, in which fields, and what it is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Clause {
    /// What it asks for.
    pub kind: ClauseKind,
    /// The text fields that it is restricted to; [`ALL_FIELDS`] when it is not. A term or pattern
    /// restricted to none at all (a field that does not exist) finds nothing.
    pub fields: FieldMask,
    /// A factor of its score.
    pub weight: f64,
    /// The attributes as they were written, for `FT.EXPLAIN`.
    pub written: Attributes,
}

impl Clause {
    /// A clause in all fields with weight 1.
    pub fn new(kind: ClauseKind) -> Self {
        Self { kind, fields: ALL_FIELDS, weight: 1.0, written: Attributes::default() }
    }

    /// The documents with a number in `range` in the field that queries call `name` (`FILTER`); none
    /// when there is no such numeric field.
    pub fn numeric(schema: &Schema, name: &[u8], range: NumericRange) -> Self {
        let field = searchable(schema, name, |kind| matches!(kind, FieldKind::Numeric));
        Self::new(ClauseKind::Numeric { field, name: name.to_vec(), range })
    }

    /// The documents with a point in `circle` in the field that queries call `name` (`GEOFILTER`); none
    /// when there is no such geo field.
    pub fn geo(schema: &Schema, name: &[u8], circle: GeoRadius) -> Self {
        let field = searchable(schema, name, |kind| matches!(kind, FieldKind::Geo));
        Self::new(ClauseKind::Geo { field, name: name.to_vec(), circle })
    }

    /// The documents with these keys (`INKEYS`).
    pub fn keys<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self::new(ClauseKind::Keys(keys.into_iter().map(|key| key.as_ref().into()).collect()))
    }

    /// Calls `see` with this clause and those in it, outermost first, but not with what a `-` clause
    /// excludes.
    pub fn visit<'c>(&'c self, see: &mut impl FnMut(&'c Clause)) {
        see(self);
        match &self.kind {
            ClauseKind::And { children, .. } | ClauseKind::Or(children) => {
                children.iter().for_each(|child| child.visit(see));
            }
            ClauseKind::Optional(child) => child.visit(see),
            _ => {}
        }
    }
}

/// The field that queries call `name`, when it is of the right type and can be searched.
pub(super) fn searchable(schema: &Schema, name: &[u8], fits: impl Fn(&FieldKind) -> bool) -> Option<FieldId> {
    let field = schema.by_attribute(name)?;
    (field.definition.indexed && fits(&field.definition.kind)).then_some(field.id)
}

/// What a clause asks for.
///
/// Where a field is `None`, no field of the right type has that name, and the clause finds nothing;
/// the name is kept for `FT.EXPLAIN`.
#[derive(Debug, Clone, PartialEq)]
pub enum ClauseKind {
    /// No document.
    Empty,
    /// Every document.
    All,
    /// The documents with a term.
    Term {
        /// The term.
        term: Term,
        /// Whether it was not written but stands beside a word that was.
        expanded: bool,
    },
    /// The documents with these terms at positions one after the other.
    Exact(Vec<Term>),
    /// The documents with any of the terms that a pattern stands for.
    Expansion(Expansion),
    /// The documents that all clauses find.
    And {
        /// The clauses.
        children: Vec<Clause>,
        /// How many positions between the clauses' terms, in the best alignment, may be unmatched;
        /// `None` for any number.
        slop: Option<u32>,
        /// Whether the terms must come in the order of the clauses.
        in_order: bool,
    },
    /// The documents that any of the clauses finds.
    Or(Vec<Clause>),
    /// The documents that the clause does not find.
    Not(Box<Clause>),
    /// Every document; those that the clause finds score more.
    Optional(Box<Clause>),
    /// The documents with a number in an interval.
    Numeric {
        /// The field.
        field: Option<FieldId>,
        /// What the query calls it.
        name: Vec<u8>,
        /// The interval.
        range: NumericRange,
    },
    /// The documents with a point in a circle.
    Geo {
        /// The field.
        field: Option<FieldId>,
        /// What the query calls it.
        name: Vec<u8>,
        /// The circle.
        circle: GeoRadius,
    },
    /// The documents with any of these tags.
    Tag {
        /// The field.
        field: Option<FieldId>,
        /// What the query calls it.
        name: Vec<u8>,
        /// The tags, in their normal form.
        values: Vec<TagMatch>,
    },
    /// The documents without a value in a field.
    Missing {
        /// The field.
        field: FieldId,
        /// What the query calls it.
        name: Vec<u8>,
    },
    /// The documents with any of these keys.
    Keys(Vec<Box<[u8]>>),
}

/// A pattern, and how many terms of a dictionary it may stand for.
#[derive(Debug, Clone, PartialEq)]
pub struct Expansion {
    /// The pattern.
    pub kind: ExpansionKind,
    /// How many terms it expands to at most. 0 for a part of a word that is too short to search for.
    pub max_terms: usize,
}

/// A pattern of terms: of words, or of tags in a tag clause. In their normal form.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpansionKind {
    /// Terms that start with this.
    Prefix(Vec<u8>),
    /// Terms that end with this.
    Suffix(Vec<u8>),
    /// Terms that this is in.
    Infix(Vec<u8>),
    /// Terms that match a pattern.
    Wildcard {
        /// `*` any run of characters, `?` any one, a backslash before what stands for itself.
        pattern: Vec<u8>,
        /// The pattern as it was written.
        written: Vec<u8>,
    },
    /// Terms at a Levenshtein distance of at most `distance` code points.
    Fuzzy {
        /// The word.
        text: Box<str>,
        /// 1 to 3.
        distance: u8,
    },
}

impl ExpansionKind {
    /// The pattern, compiled: what dictionaries are walked with, and words compared with.
    pub fn pattern(&self) -> Pattern {
        match self {
            Self::Prefix(part) => Pattern::prefix(part),
            Self::Suffix(part) => Pattern::suffix(part),
            Self::Infix(part) => Pattern::infix(part),
            Self::Wildcard { pattern, .. } => Pattern::wildcard(pattern),
            Self::Fuzzy { text, distance } => Pattern::fuzzy(text.as_bytes(), *distance),
        }
    }
}

/// Which tags match.
#[derive(Debug, Clone, PartialEq)]
pub enum TagMatch {
    /// This one.
    Is(Vec<u8>),
    /// Those of a pattern.
    Like(Expansion),
}
