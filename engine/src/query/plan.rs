//! Which keys and columns does a query need?
//!
//! The bridge to execution: [`crate::cursor`] knows keys, columns and fields by number, but nothing of
//! words and names.

use super::{Clause, ClauseKind, Expansion, Query, TagMatch};
use crate::columns::geo::Circle;
use crate::cursor::phrase::Within;
use crate::cursor::plan::{Node, NodeKind};
use crate::dict::Space;
use crate::schema::{FieldId, FieldMask, ALL_FIELDS};
use crate::text::Term;

/// What an index executes for `query`.
pub fn plan(query: &Query) -> Node {
    node(&query.root)
}

fn node(clause: &Clause) -> Node {
    let kind = match &clause.kind {
        ClauseKind::Empty => NodeKind::Empty,
        ClauseKind::All => NodeKind::All,
        ClauseKind::Term { term, .. } => word(term, clause.fields),
        ClauseKind::Exact(terms) => NodeKind::Intersect {
            children: terms.iter().map(|term| Node::new(word(term, clause.fields))).collect(),
            within: Within { slop: Some(0), in_order: true },
        },
        ClauseKind::Expansion(expansion) => expanded(expansion, Space::Text, clause.fields),
        ClauseKind::And { children, slop, in_order } => NodeKind::Intersect {
            children: children.iter().map(node).collect(),
            within: Within { slop: *slop, in_order: *in_order },
        },
        ClauseKind::Or(children) => NodeKind::Union(children.iter().map(node).collect()),
        ClauseKind::Not(child) => NodeKind::Not(Box::new(node(child))),
        ClauseKind::Optional(child) => NodeKind::Optional(Box::new(node(child))),
        ClauseKind::Numeric { field: Some(field), range, .. } => NodeKind::Range(*field, *range),
        ClauseKind::Geo { field: Some(field), circle, .. } => {
            let centre = circle.centre;
            NodeKind::Circle(*field, Circle::new(centre.longitude, centre.latitude, circle.metres()))
        }
        ClauseKind::Tag { field: Some(field), values, .. } => tags(*field, values),
        ClauseKind::Numeric { .. } | ClauseKind::Geo { .. } | ClauseKind::Tag { .. } => NodeKind::Empty,
        ClauseKind::Missing { field, .. } => NodeKind::Missing(*field),
        ClauseKind::Keys(keys) => NodeKind::Keys(keys.clone()),
    };
    Node { kind, weight: clause.weight }
}

fn word(term: &Term, fields: FieldMask) -> NodeKind {
    if fields == 0 {
        return NodeKind::Empty;
    }
    NodeKind::Term { term: term.key().into_boxed_slice(), fields }
}

fn expanded(expansion: &Expansion, space: Space, fields: FieldMask) -> NodeKind {
    if fields == 0 || expansion.max_terms == 0 {
        return NodeKind::Empty;
    }
    NodeKind::Expand { space, pattern: expansion.kind.pattern(), fields, limit: expansion.max_terms }
}

/// One tag by itself, several as a union.
fn tags(field: FieldId, values: &[TagMatch]) -> NodeKind {
    let tag = |value: &TagMatch| match value {
        TagMatch::Is(value) => NodeKind::Tag { field, value: value.clone().into_boxed_slice() },
        TagMatch::Like(expansion) => expanded(expansion, Space::Tag(field), ALL_FIELDS),
    };
    match values {
        [value] => tag(value),
        _ => NodeKind::Union(values.iter().map(|value| Node::new(tag(value))).collect()),
    }
}
