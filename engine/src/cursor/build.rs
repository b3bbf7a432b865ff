//! How does a query become cursors?
//!
//! In two steps. [`Prepared`] is the query bound to a snapshot: patterns are expanded, terms have
//! their posting lists in every segment and their weight over the whole collection, and what cannot
//! match is gone. From it a tree of cursors is made for each segment, as often as one is needed.

use super::all::All;
use super::budget::Budget;
use super::filter::{Filter, Predicate};
use super::ids::Ids;
use super::intersect::{Clauses, Intersect};
use super::not::Not;
use super::optional::Optional;
use super::phrase::Within;
use super::plan::{Node, NodeKind};
use super::term::TermCursor;
use super::union::Union;
use super::BoxCursor;
use crate::dict::{is_derived, pattern::Pattern, Space};
use crate::index::Snapshot;
use crate::postings::PostingList;
use crate::schema::FieldMask;
use crate::score::{Leaf, Scoring};
use crate::segment::DocId;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A query bound to a snapshot.
pub struct Prepared<'a> {
    snapshot: &'a Snapshot,
    scoring: &'a Scoring,
    budget: &'a Budget<'a>,
    root: Bound<'a>,
    prunable: bool,
}

/// A clause bound to a snapshot.
enum Bound<'a> {
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
    },
    Not(Box<Bound<'a>>),
    Optional(Box<Bound<'a>>),
    Filter(Predicate, Leaf),
    /// In order: segment and document.
    Ids(Vec<(usize, DocId)>, Leaf),
}

/// The places, which are in order, that are in a segment.
fn of_segment(places: &[(usize, DocId)], segment: usize) -> &[(usize, DocId)] {
    let start = places.partition_point(|&(at, _)| at < segment);
    let end = places.partition_point(|&(at, _)| at <= segment);
    &places[start..end]
}

struct BoundTerm<'a> {
    name: Arc<[u8]>,
    fields: FieldMask,
    leaf: Leaf,
    /// By segment.
    lists: Vec<Option<PostingList<'a>>>,
}

impl<'a> Prepared<'a> {
    /// Binds a query to a snapshot.
    pub fn new(snapshot: &'a Snapshot, node: &Node, scoring: &'a Scoring, budget: &'a Budget<'a>) -> Self {
        let mut binder = Binder { snapshot, scoring, budget, prunable: scoring.needs_tree() };
        let root = binder.bind(node);
        let prunable = binder.prunable;
        Self { snapshot, scoring, budget, root, prunable }
    }

    /// Whether upper bounds hold: they do not when a weight is negative.
    pub fn prunable(&self) -> bool {
        self.prunable
    }

    /// The cursor over a segment.
    pub fn cursor(&self, segment: usize) -> BoxCursor<'a> {
        self.build(&self.root, segment, u64::MAX)
    }

    /// A cursor over a segment that is only going to be sought at documents known to match: it
    /// gathers nothing ahead.
    pub fn cursor_for_matches(&self, segment: usize) -> BoxCursor<'a> {
        self.build(&self.root, segment, 0)
    }

    /// What each document is worth when the whole query is `*`.
    pub fn all(&self) -> Option<Leaf> {
        match &self.root {
            Bound::All(leaf) => Some(*leaf),
            _ => None,
        }
    }

    /// The cursor over a segment when the whole query is one term.
    pub fn term_cursor(&self, segment: usize) -> Option<TermCursor<'a>> {
        match &self.root {
            Bound::Term(term) => self.term(term, segment),
            _ => None,
        }
    }

    /// The cursors over a segment when the whole query is a union of terms, or of such unions: its value is
    /// the sum of theirs, or the best of them, wherever they stand.
    pub fn term_cursors(&self, segment: usize) -> Option<Vec<TermCursor<'a>>> {
        let mut terms = Vec::new();
        match &self.root {
            Bound::Union { .. } => leaves(&self.root, &mut terms)?,
            _ => return None,
        }
        Some(terms.into_iter().filter_map(|term| self.term(term, segment)).collect())
    }

    /// How many terms [`Prepared::term_cursors`] is about.
    pub fn term_count(&self) -> usize {
        let mut terms = Vec::new();
        leaves(&self.root, &mut terms).map_or(0, |()| terms.len())
    }

    fn term(&self, term: &BoundTerm<'a>, segment: usize) -> Option<TermCursor<'a>> {
        let list = term.lists.get(segment)?.clone()?;
        Some(TermCursor::new(list, term.fields, term.leaf, self.scoring, Arc::clone(&term.name), self.budget))
    }

    /// About how many documents of a segment a clause matches.
    fn cost(&self, bound: &Bound<'a>, segment: usize) -> u64 {
        let all = u64::from(self.snapshot.segment(segment).len());
        match bound {
            Bound::Empty => 0,
            Bound::All(_) | Bound::Not(_) | Bound::Optional(_) => all,
            Bound::Term(term) => term.lists.get(segment).and_then(Option::as_ref).map_or(0, |list| list.len() as u64),
            Bound::Intersect { required, .. } => {
                required.iter().map(|child| self.cost(child, segment)).min().unwrap_or(all)
            }
            Bound::Union { children, .. } => children.iter().map(|child| self.cost(child, segment)).sum(),
            Bound::Filter(predicate, _) => predicate
                .candidates(self.snapshot.segment(segment))
                .map_or(all, |runs| runs.iter().map(|run| run.len() as u64).sum()),
            Bound::Ids(places, _) => of_segment(places, segment).len() as u64,
        }
    }

    fn empty(&self) -> BoxCursor<'a> {
        Box::new(Ids::new(Vec::new(), self.scoring.filter(0.0), self.scoring))
    }

    /// `lead` is the cost of the cheapest clause that leads this one: about so many documents will
    /// be asked for.
    fn build(&self, bound: &Bound<'a>, segment: usize, lead: u64) -> BoxCursor<'a> {
        let documents = self.snapshot.segment(segment).len();
        match bound {
            Bound::Empty => self.empty(),
            Bound::All(leaf) => Box::new(All::new(documents, *leaf, self.scoring, self.budget)),
            Bound::Term(term) => match self.term(term, segment) {
                Some(cursor) => Box::new(cursor),
                None => self.empty(),
            },
            Bound::Intersect { required, optional, excluded, within, weight } => {
                let costs: Vec<u64> = required.iter().map(|child| self.cost(child, segment)).collect();
                if costs.contains(&0) {
                    return self.empty();
                }
                let least_but = |at: usize| {
                    let others = costs.iter().enumerate().filter(|(other, _)| *other != at);
                    others.map(|(_, &cost)| cost).min().unwrap_or(u64::MAX).min(lead)
                };
                let least = costs.iter().copied().min().unwrap_or(u64::MAX).min(lead);
                let beside = |children: &[Bound<'a>]| -> Vec<BoxCursor<'a>> {
                    children.iter().map(|child| self.build(child, segment, least)).collect()
                };
                let clauses = Clauses {
                    required: required
                        .iter()
                        .enumerate()
                        .map(|(at, child)| self.build(child, segment, least_but(at)))
                        .collect(),
                    optional: beside(optional),
                    excluded: beside(excluded),
                };
                Box::new(Intersect::new(clauses, *within, *weight, documents, self.budget))
            }
            Bound::Union { children, weight } => {
                let children = children.iter().filter(|child| self.cost(child, segment) > 0);
                let children = children.map(|child| self.build(child, segment, lead)).collect();
                Box::new(Union::new(children, *weight, self.scoring.best_branch(), self.budget))
            }
            Bound::Not(child) => Box::new(Not::new(self.build(child, segment, lead), documents, self.budget)),
            Bound::Optional(child) => {
                let all = All::new(documents, self.scoring.filter(0.0), self.scoring, self.budget);
                Box::new(Optional::new(self.build(child, segment, lead), Box::new(all)))
            }
            Bound::Filter(predicate, leaf) => self.filter(*predicate, *leaf, segment, lead),
            Bound::Ids(places, leaf) => {
                let here = of_segment(places, segment).iter().map(|&(_, doc)| doc).collect();
                Box::new(Ids::new(here, *leaf, self.scoring))
            }
        }
    }

    fn filter(&self, predicate: Predicate, leaf: Leaf, at: usize, lead: u64) -> BoxCursor<'a> {
        let segment = self.snapshot.segment(at);
        let (scoring, budget) = (self.scoring, self.budget);
        let documents = u64::from(segment.len());
        let looking = |cost| Box::new(Filter::looking(segment, predicate, cost, leaf, scoring, budget));
        let Some(runs) = predicate.candidates(segment) else { return looking(documents) };
        let matches: u64 = runs.iter().map(|run| run.len() as u64).sum();
        if lead < matches / 2 || (matches > documents / 4 && !predicate.is_approximate()) {
            return looking(matches);
        }
        // A list costs its sorting, bits cost a 64th of the segment.
        if matches <= documents / 512 {
            let mut ids: Vec<DocId> = runs.concat();
            if predicate.is_approximate() {
                ids.retain(|&doc| predicate.matches(segment, doc));
            }
            return Box::new(Ids::new(ids, leaf, scoring));
        }
        Box::new(Filter::gathered(segment, predicate, &runs, leaf, scoring, budget))
    }
}

/// Gathers the terms of a union, in the query's order. `None` when there is something else in it.
fn leaves<'b, 'a>(bound: &'b Bound<'a>, terms: &mut Vec<&'b BoundTerm<'a>>) -> Option<()> {
    match bound {
        Bound::Term(term) => terms.push(term),
        Bound::Union { children, weight: 1.0 } => children.iter().try_for_each(|child| leaves(child, terms))?,
        _ => return None,
    }
    Some(())
}

/// What looking up a term in a segment costs, in postings.
const TERM_COST: u32 = 64;

struct Binder<'a> {
    snapshot: &'a Snapshot,
    scoring: &'a Scoring,
    budget: &'a Budget<'a>,
    prunable: bool,
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
                union(children, weight)
            }
            NodeKind::Intersect { children, within } => self.intersect(children, *within, weight),
            NodeKind::Union(children) => {
                let children: Vec<Bound<'a>> = children.iter().map(|child| self.bind(child)).collect();
                union(self.flatten(children), weight)
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
        Bound::Term(BoundTerm { name: term.into(), fields, leaf, lists })
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
                Bound::Union { children, weight: 1.0 } => flat.extend(children),
                child => flat.push(child),
            }
        }
        flat
    }
}

fn union(children: Vec<Bound<'_>>, weight: f64) -> Bound<'_> {
    let mut children: Vec<_> = children.into_iter().filter(|child| !matches!(child, Bound::Empty)).collect();
    match children.len() {
        0 => Bound::Empty,
        1 if weight == 1.0 => children.pop().unwrap_or(Bound::Empty),
        _ => Bound::Union { children, weight },
    }
}
