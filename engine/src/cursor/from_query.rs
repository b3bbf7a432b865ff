//! How does a query become a plan?
//!
//! Almost one to one: [`crate::query`] has bound words and fields already. What is left is to find
//! the dictionary's keys, to make patterns of what was written, and to leave out clauses on fields
//! that do not exist.

use super::phrase::Within;
use super::plan::{Node, NodeKind};
use crate::columns::geo::Circle;
use crate::columns::numeric::NumericRange;
use crate::dict::Space;
use crate::query::{Clause, ClauseKind, Expansion, Query, TagMatch};
use crate::schema::{FieldId, FieldMask, ALL_FIELDS};
use crate::text::Term;

impl From<&Query> for Node {
    fn from(query: &Query) -> Self {
        Self::from(&query.root)
    }
}

impl From<&Clause> for Node {
    fn from(clause: &Clause) -> Self {
        let all = |clauses: &[Clause]| clauses.iter().map(Node::from).collect();
        let kind = match &clause.kind {
            ClauseKind::Empty => NodeKind::Empty,
            ClauseKind::All => NodeKind::All,
            ClauseKind::Term { term, .. } => word(term, clause.fields),
            ClauseKind::Exact(terms) => NodeKind::Intersect {
                children: terms.iter().map(|term| Node::new(word(term, clause.fields))).collect(),
                within: Within { slop: Some(0), in_order: true },
            },
            ClauseKind::Expansion(expansion) => expand(Space::Text, expansion, clause.fields),
            ClauseKind::And { children, slop, in_order } => {
                NodeKind::Intersect { children: all(children), within: Within { slop: *slop, in_order: *in_order } }
            }
            ClauseKind::Or(children) => NodeKind::Union(all(children)),
            ClauseKind::Not(child) => NodeKind::Not(Box::new(Node::from(&**child))),
            ClauseKind::Optional(child) => {
                // The clause's own weight multiplies what the inner one adds.
                let child = Node::from(&**child);
                let weight = child.weight * clause.weight;
                NodeKind::Optional(Box::new(child.weighing(weight)))
            }
            ClauseKind::Numeric { field: Some(field), range, .. } => {
                let crate::query::NumericRange { min, max, min_exclusive, max_exclusive } = *range;
                NodeKind::Range(*field, NumericRange { min, max, min_exclusive, max_exclusive })
            }
            ClauseKind::Geo { field: Some(field), circle, .. } => {
                let centre = circle.centre;
                NodeKind::Circle(*field, Circle::new(centre.longitude, centre.latitude, circle.metres()))
            }
            ClauseKind::Tag { field: Some(field), values, .. } => tags(*field, values),
            ClauseKind::Numeric { field: None, .. }
            | ClauseKind::Geo { field: None, .. }
            | ClauseKind::Tag { field: None, .. } => NodeKind::Empty,
            ClauseKind::Missing { field, .. } => NodeKind::Missing(*field),
        };
        Node { kind, weight: clause.weight }
    }
}

fn word(term: &Term, fields: FieldMask) -> NodeKind {
    NodeKind::Term { term: term.key().into(), fields }
}

fn expand(space: Space, expansion: &Expansion, fields: FieldMask) -> NodeKind {
    NodeKind::Expand { space, pattern: (&expansion.kind).into(), fields, limit: expansion.max_terms }
}

fn tags(field: FieldId, values: &[TagMatch]) -> NodeKind {
    let one = |value: &TagMatch| match value {
        TagMatch::Is(tag) => NodeKind::Tag { field, value: tag.as_slice().into() },
        TagMatch::Like(expansion) => expand(Space::Tag(field), expansion, ALL_FIELDS),
    };
    match values {
        [only] => one(only),
        _ => NodeKind::Union(values.iter().map(|value| Node::new(one(value))).collect()),
    }
}
