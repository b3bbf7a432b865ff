//! What does a query mean in one snapshot?
//!
//! Patterns are expanded, terms have their posting lists in every segment and their weight over the whole
//! collection, keys their places, and what cannot match is gone.

use super::budget::Budget;
use super::filter::Predicate;
use super::phrase::Within;
use super::plan::{Node, NodeKind};
use crate::dict::{is_derived, pattern::Pattern, Space};
use crate::index::Snapshot;
use crate::postings::PostingList;
use crate::schema::FieldMask;
use crate::score::{Leaf, Scoring};
use crate::segment::DocId;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A clause bound to a snapshot.
pub(super) enum Bound<'a> {
    Empty,
    All(Leaf),
    Term(BoundTerm<'a>),
    Intersect {
        required: Vec<Bound<'a>>,
        optional: Vec<Bound<'a>>,
        excluded: Vec<Bound<'a>>,
        within: Within,
        weight: f64,
    },
    Union {
        children: Vec<Bound<'a>>,
        weight: f64,
        /// What it came from: `UNION`, or the kind of a pattern.
        origin: &'static str,
    },
    Not(Box<Bound<'a>>),
    Optional(Box<Bound<'a>>),
    Filter(Predicate, Leaf),
    /// In order: segment and document.
    Ids(Vec<(usize, DocId)>, Leaf),
}

/// The places, which are in order, that are in a segment.
pub(super) fn of_segment(places: &[(usize, DocId)], segment: usize) -> &[(usize, DocId)] {
    let start = places.partition_point(|&(at, _)| at < segment);
    let end = places.partition_point(|&(at, _)| at <= segment);
    &places[start..end]
}

/// A term bound to a snapshot.
pub(super) struct BoundTerm<'a> {
    pub(super) space: Space,
    pub(super) name: Arc<[u8]>,
    pub(super) fields: FieldMask,
    pub(super) leaf: Leaf,
    /// By segment.
    pub(super) lists: Vec<Option<PostingList<'a>>>,
}

/// Gathers the terms of a union, in the query's order. `None` when there is something else in it.
pub(super) fn leaves<'b, 'a>(bound: &'b Bound<'a>, terms: &mut Vec<&'b BoundTerm<'a>>) -> Option<()> {
    match bound {
        Bound::Term(term) => terms.push(term),
        Bound::Union { children, weight: 1.0, .. } => children.iter().try_for_each(|child| leaves(child, terms))?,
        _ => return None,
    }
    Some(())
}

/// What looking up a term in a segment costs, in postings.
const TERM_COST: u32 = 64;

/// Binds clauses.
struct Binder<'a> {
    snapshot: &'a Snapshot,
    scoring: &'a Scoring,
    budget: &'a Budget<'a>,
    prunable: bool,
}

/// Binds a query to a snapshot. Also says whether upper bounds hold: they do not when a weight is negative.
pub(super) fn bind<'a>(
    snapshot: &'a Snapshot,
    node: &Node,
    scoring: &'a Scoring,
    budget: &'a Budget<'a>,
) -> (Bound<'a>, bool) {
    let mut binder = Binder { snapshot, scoring, budget, prunable: scoring.needs_tree() };
    let root = binder.bind(node);
    (root, binder.prunable)
}

impl<'a> Binder<'a> {
    fn bind(&mut self, node: &Node) -> Bound<'a> {
        self.prunable &= node.weight >= 0.0 && node.weight.is_finite();
        let weight = node.weight;
        match &node.kind {
            NodeKind::Empty => Bound::Empty,
            NodeKind::All => Bound::All(self.scoring.all(weight)),
            NodeKind::Term { term, fields } => self.term(Space::Text, term, *fields, weight),
            NodeKind::Tag { field, value } => self.term(Space::Tag(*field), value, FieldMask::MAX, weight),
            NodeKind::Missing(field) => self.term(Space::Missing(*field), b"", FieldMask::MAX, weight),
            NodeKind::Expand { space, pattern, fields, limit } => {
                let terms = self.expand(*space, pattern, *limit);
                let children = terms.iter().map(|term| self.term(*space, term, *fields, 1.0)).collect();
                union(children, weight, pattern.name())
            }
            NodeKind::Intersect { children, within } => self.intersect(children, *within, weight),
            NodeKind::Union(children) => {
                let children: Vec<Bound<'a>> = children.iter().map(|child| self.bind(child)).collect();
                union(self.flatten(children), weight, "UNION")
            }
            NodeKind::Not(child) => match self.bind(child) {
                Bound::Empty => Bound::All(self.scoring.filter(0.0)),
                Bound::All(_) => Bound::Empty,
                child => Bound::Not(Box::new(child)),
            },
            NodeKind::Optional(child) => match self.bind(child) {
                Bound::Empty => Bound::All(self.scoring.filter(0.0)),
                child => Bound::Optional(Box::new(child)),
            },
            NodeKind::Range(field, range) => {
                Bound::Filter(Predicate::Range(*field, *range), self.scoring.filter(weight))
            }
            NodeKind::Circle(field, circle) => {
                Bound::Filter(Predicate::Circle(*field, *circle), self.scoring.filter(weight))
            }
            NodeKind::Keys(keys) => self.keys(keys, weight),
        }
    }

    fn term(&self, space: Space, term: &[u8], fields: FieldMask, weight: f64) -> Bound<'a> {
        if fields == 0 || self.budget.spend(TERM_COST * self.snapshot.segment_count() as u32) {
            return Bound::Empty;
        }
        let key = space.key(term);
        let lists: Vec<_> = self.snapshot.segments().map(|segment| segment.list(&key)).collect();
        let postings: u64 = lists.iter().flatten().map(|list| list.len() as u64).sum();
        if postings == 0 {
            return Bound::Empty;
        }
        let leaf = match space {
            Space::Text => self.scoring.term(weight, postings),
            Space::Tag(_) | Space::Missing(_) => self.scoring.filter(weight),
        };
        Bound::Term(BoundTerm { space, name: term.into(), fields, leaf, lists })
    }

    fn keys(&self, keys: &[Box<[u8]>], weight: f64) -> Bound<'a> {
        let mut places = Vec::new();
        for key in keys {
            if self.budget.spend(32) {
                break;
            }
            places.extend(self.snapshot.find(key));
        }
        places.sort_unstable();
        if places.is_empty() {
            Bound::Empty
        } else {
            Bound::Ids(places, self.scoring.filter(weight))
        }
    }

    /// The first terms in order that match in any segment.
    fn expand(&self, space: Space, pattern: &Pattern, limit: usize) -> BTreeSet<Box<[u8]>> {
        let mut terms = BTreeSet::new();
        for segment in self.snapshot.segments() {
            let mut here = 0;
            segment.matching(space, pattern, self.budget, |term| {
                if here >= limit || self.budget.spend(16) {
                    return false;
                }
                if space != Space::Text || !is_derived(term) {
                    here += 1;
                    terms.insert(term.into());
                }
                true
            });
        }
        // The first `limit` of all are among the first `limit` of each.
        while terms.len() > limit {
            terms.pop_last();
        }
        terms
    }

    fn intersect(&mut self, nodes: &[Node], within: Within, weight: f64) -> Bound<'a> {
        let (mut required, mut optional, mut excluded) = (Vec::new(), Vec::new(), Vec::new());
        for node in nodes {
            match &node.kind {
                NodeKind::Not(child) => match self.bind(child) {
                    Bound::Empty => {}
                    child => excluded.push(child),
                },
                NodeKind::Optional(child) => match self.bind(child) {
                    Bound::Empty => {}
                    child => optional.push(child),
                },
                _ => match self.bind(node) {
                    Bound::Empty => return Bound::Empty,
                    child => required.push(child),
                },
            }
        }
        if required.is_empty() {
            required.push(Bound::All(self.scoring.filter(0.0)));
        }
        if required.len() == 1 && optional.is_empty() && excluded.is_empty() && weight == 1.0 {
            if let Some(only) = required.pop() {
                return only;
            }
        }
        Bound::Intersect { required, optional, excluded, within, weight }
    }

    /// Puts the children of unions in their place where that changes no score.
    fn flatten(&self, children: Vec<Bound<'a>>) -> Vec<Bound<'a>> {
        if self.scoring.needs_proximity() || self.scoring.best_branch() {
            return children;
        }
        let mut flat = Vec::with_capacity(children.len());
        for child in children {
            match child {
                Bound::Union { children, weight: 1.0, .. } => flat.extend(children),
                child => flat.push(child),
            }
        }
        flat
    }
}

fn union<'a>(children: Vec<Bound<'a>>, weight: f64, origin: &'static str) -> Bound<'a> {
    let mut children: Vec<_> = children.into_iter().filter(|child| !matches!(child, Bound::Empty)).collect();
    match children.len() {
        0 => Bound::Empty,
        1 if weight == 1.0 => children.pop().unwrap_or(Bound::Empty),
        _ => Bound::Union { children, weight, origin },
    }
}
