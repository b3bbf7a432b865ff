//! What is asked of an index, once the query's words are bound to its fields?
//!
//! The input of the engine's execution: a tree in which every word is a term as it is indexed, every
//! field a [`FieldId`], and every option decided. It names no segment and holds no statistics; see
//! [`super::build`] for what becomes of it.

use super::phrase::Within;
use crate::columns::geo::Circle;
use crate::columns::numeric::NumericRange;
use crate::dict::pattern::Pattern;
use crate::dict::Space;
use crate::schema::{FieldId, FieldMask};

/// A clause with what it is worth.
#[derive(Debug, Clone)]
pub struct Node {
    /// What must match.
    pub kind: NodeKind,
    /// Multiplies the clause's value (`$weight`).
    pub weight: f64,
}

/// What a clause asks for.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Nothing matches.
    Empty,
    /// Everything does.
    All,
    /// Documents with a word, or what is derived from one, in any of the fields.
    Term {
        /// As it is indexed.
        term: Box<[u8]>,
        /// Where.
        fields: FieldMask,
    },
    /// Documents with a tag.
    Tag {
        /// The field.
        field: FieldId,
        /// As it is indexed.
        value: Box<[u8]>,
    },
    /// Documents with a term that matches a pattern.
    Expand {
        /// Words, or the tags of a field.
        space: Space,
        /// The pattern.
        pattern: Pattern,
        /// Where, for words.
        fields: FieldMask,
        /// Terms at most: the first in order of their bytes.
        limit: usize,
    },
    /// Documents without a value for a field.
    Missing(FieldId),
    /// Documents that all clauses match. Negations and optional clauses among them take out and
    /// add to the score.
    Intersect {
        /// In the query's order.
        children: Vec<Node>,
        /// How near they must stand.
        within: Within,
    },
    /// Documents that any clause matches.
    Union(Vec<Node>),
    /// Documents that the clause does not match.
    Not(Box<Node>),
    /// All documents; the clause adds to their score.
    Optional(Box<Node>),
    /// Documents with a number in a range.
    Range(FieldId, NumericRange),
    /// Documents with a point in a circle.
    Circle(FieldId, Circle),
    /// Documents with these keys.
    Keys(Vec<Box<[u8]>>),
}

impl Node {
    /// A clause of weight 1.
    pub fn new(kind: NodeKind) -> Self {
        Self { kind, weight: 1.0 }
    }

    /// A word in any field.
    pub fn term(term: &[u8]) -> Self {
        Self::new(NodeKind::Term { term: term.into(), fields: FieldMask::MAX })
    }

    /// All of these, wherever they stand.
    pub fn all_of(children: Vec<Node>) -> Self {
        Self::new(NodeKind::Intersect { children, within: Within { slop: None, in_order: false } })
    }

    /// Any of these.
    pub fn any_of(children: Vec<Node>) -> Self {
        Self::new(NodeKind::Union(children))
    }

    /// These words one after the other.
    pub fn phrase(words: &[&[u8]]) -> Self {
        let children = words.iter().map(|word| Self::term(word)).collect();
        Self::new(NodeKind::Intersect { children, within: Within { slop: Some(0), in_order: true } })
    }

    /// The documents with these keys (`INKEYS`).
    pub fn keys<K: AsRef<[u8]>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self::new(NodeKind::Keys(keys.into_iter().map(|key| key.as_ref().into()).collect()))
    }

    /// All but these.
    #[expect(clippy::should_implement_trait, reason = "it makes a clause; it negates no value")]
    pub fn not(child: Node) -> Self {
        Self::new(NodeKind::Not(Box::new(child)))
    }

    /// The same clause with another weight.
    #[must_use]
    pub fn weighing(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }
}
