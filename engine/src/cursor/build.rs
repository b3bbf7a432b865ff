//! How does a query become cursors?
//!
//! In two steps. [`Prepared`] is the query bound to a snapshot ([`super::bind`]). From it a tree of cursors
//! is made for each segment, as often as one is needed.

use super::all::All;
use super::bind::{addends, bind, leaves, of_segment, Bound, BoundTerm};
use super::budget::Budget;
use super::filter::{Filter, Predicate};
use super::ids::Ids;
use super::intersect::{Clauses, Intersect};
use super::not::Not;
use super::optional::Optional;
use super::phrase::Within;
use super::plan::Node;
use super::profile::{Profile, Profiler};
use super::term::TermCursor;
use super::union::Union;
use super::BoxCursor;
use crate::collect::accumulate::Sum;
use crate::index::Snapshot;
use crate::score::gauge::Peak;
use crate::score::{Leaf, Scoring};
use std::sync::Arc;

/// What finding out how many documents are in a range or a circle costs, in postings.
const FILTER_COST: u32 = 64;

/// What making a term's cursor costs, in postings: it holds a block decoded.
const CURSOR_COST: u32 = 1024;

/// The least of these costs, and the least of the others.
fn least_two(costs: &[u64]) -> (u64, u64) {
    costs.iter().fold(
        (u64::MAX, u64::MAX),
        |(first, second), &cost| {
            if cost < first {
                (cost, first)
            } else {
                (first, second.min(cost))
            }
        },
    )
}

/// A query bound to a snapshot.
pub struct Prepared<'a> {
    snapshot: &'a Snapshot,
    scoring: &'a Scoring,
    budget: &'a Budget<'a>,
    root: Bound<'a>,
    prunable: bool,
    profiler: Option<Profiler>,
}

impl<'a> Prepared<'a> {
    /// Binds a query to a snapshot.
    pub fn new(snapshot: &'a Snapshot, node: &Node, scoring: &'a Scoring, budget: &'a Budget<'a>) -> Self {
        let (root, prunable) = bind(snapshot, node, scoring, budget);
        Self { snapshot, scoring, budget, root, prunable, profiler: None }
    }

    /// The same, whose cursors count and measure what they do.
    #[must_use]
    pub fn profiled(self) -> Self {
        Self { profiler: Some(Profiler::default()), ..self }
    }

    /// What its cursors have done, if they were to count.
    pub fn profile(&self) -> Option<Profile> {
        self.profiler.as_ref().map(|profiler| profiler.report(&self.root))
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
    /// gathers nothing ahead, and does not ask again what has been asked.
    pub fn cursor_for_matches(&self, segment: usize) -> BoxCursor<'a> {
        self.build_known(&self.root, segment)
    }

    fn build_known(&self, bound: &Bound<'a>, segment: usize) -> BoxCursor<'a> {
        let Bound::Intersect { required, optional, weight, .. } = bound else { return self.build(bound, segment, 0) };
        let mut required: Vec<_> = required.iter().map(|child| self.build_known(child, segment)).collect();
        if required.len() == 1 && optional.is_empty() && *weight == 1.0 {
            if let Some(only) = required.pop() {
                return only;
            }
        }
        let optional = optional.iter().map(|child| self.build(child, segment, 0)).collect();
        let clauses = Clauses { required, optional, excluded: Vec::new() };
        let documents = self.snapshot.segment(segment).len();
        Box::new(Intersect::new(clauses, Within { slop: None, in_order: false }, *weight, documents, self.budget))
    }

    /// What the documents that are known to match are worth, when that is a sum over terms.
    pub fn sum(&self, segment: usize) -> Option<Sum<'a>> {
        let (mut terms, mut constants) = (Vec::new(), Vec::new());
        addends(&self.root, self.scoring.best_branch(), &mut terms, &mut constants)?;
        let terms = terms.into_iter().filter_map(|term| self.term(term, segment)).collect();
        Some(Sum::of(terms, constants, self.scoring))
    }

    /// The leaves that may add up to what a document of a segment is worth, each where it is worth most.
    pub fn peaks(&self, segment: usize) -> Vec<Peak> {
        let mut peaks = Vec::new();
        self.add_peaks(&self.root, segment, 1.0, &mut peaks);
        peaks
    }

    fn add_peaks(&self, bound: &Bound<'a>, segment: usize, factor: f64, peaks: &mut Vec<Peak>) {
        match bound {
            Bound::All(leaf) | Bound::Filter(_, leaf) | Bound::Ids(_, leaf) => {
                peaks.push(Peak { leaf: *leaf, freq: 1, factor });
            }
            Bound::Term(term) => {
                let list = term.lists.get(segment).and_then(Option::as_ref);
                peaks.extend(list.map(|list| Peak { leaf: term.leaf, freq: list.max_freq(), factor }));
            }
            Bound::Intersect { required, optional, weight, .. } => {
                required
                    .iter()
                    .chain(optional)
                    .for_each(|child| self.add_peaks(child, segment, factor * weight, peaks));
            }
            Bound::Union { children, weight, .. } => {
                children.iter().for_each(|child| self.add_peaks(child, segment, factor * weight, peaks));
            }
            Bound::Optional(child) => self.add_peaks(child, segment, factor, peaks),
            Bound::Empty | Bound::Not(_) => {}
        }
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
        if self.budget.spend(CURSOR_COST) {
            return None;
        }
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
            // Of a query whose time is over nothing is found.
            Bound::Filter(..) if self.budget.spend(FILTER_COST) => 0,
            Bound::Filter(predicate, _) => predicate
                .candidates(self.snapshot.segment(segment))
                .map_or(all, |runs| runs.iter().map(|run| run.docs.len() as u64).sum()),
            Bound::Ids(places, _) => of_segment(places, segment).len() as u64,
        }
    }

    fn empty(&self) -> BoxCursor<'a> {
        Box::new(Ids::new(Vec::new(), self.scoring.filter(0.0), self.scoring))
    }

    /// `lead` is the cost of the cheapest clause that leads this one: about so many documents will
    /// be asked for.
    fn build(&self, bound: &Bound<'a>, segment: usize, lead: u64) -> BoxCursor<'a> {
        match &self.profiler {
            None => self.build_plain(bound, segment, lead),
            Some(profiler) => {
                let size = self.cost(bound, segment);
                profiler.watch(bound, size, || self.build_plain(bound, segment, lead))
            }
        }
    }

    fn build_plain(&self, bound: &Bound<'a>, segment: usize, lead: u64) -> BoxCursor<'a> {
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
                let (first, second) = least_two(&costs);
                // The cheapest is led by the next; there may be many thousands of clauses.
                let least_but = |at: usize| if costs[at] == first { second } else { first }.min(lead);
                let least = first.min(lead);
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
            Bound::Union { children, weight, .. } => {
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
        let matches: u64 = runs.iter().map(|run| run.docs.len() as u64).sum();
        if lead < matches / 2 || (matches > documents / 4 && matches!(predicate, Predicate::Range(..))) {
            return looking(matches);
        }
        // A list costs its sorting, bits cost a 64th of the segment.
        if matches <= documents / 512 {
            return Box::new(Filter::listed(segment, predicate, &runs, leaf, scoring, budget));
        }
        Box::new(Filter::gathered(segment, predicate, &runs, leaf, scoring, budget))
    }
}
