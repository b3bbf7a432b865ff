//! Which documents match all of these clauses, and none of those?
//!
//! Clauses that only add to scores (optional ones) and clauses that must not match are part of the
//! same operator: they are looked at where a candidate is at hand, and never make one.

use super::budget::Budget;
use super::phrase::{Alignment, Within};
use super::window::{Window, WINDOW};
use super::{Bound, BoxCursor, Cursor};
use crate::score::explain::Explanation;
use crate::score::{Scale, Scoring};
use crate::segment::{DocFacts, DocId, END};

/// What one seek costs, in postings decoded and put into a window. Measured: benches/query.rs.
const SEEK_COST: u64 = 16;

/// Cursor over the documents that all required children have.
pub struct Intersect<'a> {
    /// The cheapest first.
    required: Vec<BoxCursor<'a>>,
    /// For each clause of the query in its order, its place in `required`.
    order: Vec<usize>,
    optional: Vec<BoxCursor<'a>>,
    excluded: Vec<BoxCursor<'a>>,
    within: Within,
    weight: f64,
    /// Documents of the segment: what densities are of.
    documents: DocId,
    doc: DocId,
    alignment: Alignment,
    /// Two windows, once `fill` has needed them.
    scratch: Option<[Window; 2]>,
    budget: &'a Budget<'a>,
}

/// The clauses of an intersection.
#[derive(Default)]
pub struct Clauses<'a> {
    /// Must match, in the query's order; at least one.
    pub required: Vec<BoxCursor<'a>>,
    /// Add to the score when they match.
    pub optional: Vec<BoxCursor<'a>>,
    /// Must not match.
    pub excluded: Vec<BoxCursor<'a>>,
}

impl<'a> Intersect<'a> {
    /// A cursor over a segment of `documents` documents.
    pub fn new(clauses: Clauses<'a>, within: Within, weight: f64, documents: DocId, budget: &'a Budget<'a>) -> Self {
        let Clauses { required, optional, excluded } = clauses;
        let mut places: Vec<usize> = (0..required.len()).collect();
        places.sort_by_key(|&at| required[at].cost());
        let mut order = vec![0; places.len()];
        for (place, &clause) in places.iter().enumerate() {
            order[clause] = place;
        }
        let mut slots: Vec<Option<BoxCursor<'a>>> = required.into_iter().map(Some).collect();
        let required = places.into_iter().filter_map(|at| slots[at].take()).collect();
        let mut cursor = Self {
            required,
            order,
            optional,
            excluded,
            within,
            weight,
            documents,
            doc: 0,
            alignment: Alignment::default(),
            scratch: None,
            budget,
        };
        cursor.settle_from(0);
        cursor
    }

    /// Goes to the first match from `target` on.
    fn settle_from(&mut self, target: DocId) -> DocId {
        let mut doc = self.required[0].seek(target);
        'candidate: while doc != END {
            if self.budget.spend(1) {
                doc = END;
                break;
            }
            // A bit is looked at in a moment, where a list may have to be decoded.
            if self.required[1..].iter().any(|child| lacks(child, doc)) {
                doc = self.required[0].next();
                continue;
            }
            for child in &mut self.required[1..] {
                let other = child.seek(doc);
                if other != doc {
                    doc = self.required[0].seek(other);
                    continue 'candidate;
                }
            }
            let excluded = self.excluded.iter_mut().any(|child| !lacks(child, doc) && child.seek(doc) == doc);
            if !excluded && self.is_within() {
                break;
            }
            doc = self.required[0].next();
        }
        self.doc = doc;
        doc
    }

    /// Whether the clauses, which all have a document, stand near enough in it. Documents come in order.
    fn is_within_at(&mut self, doc: DocId) -> bool {
        self.required.iter_mut().all(|child| child.seek(doc) == doc) && self.is_within()
    }

    fn is_within(&mut self) -> bool {
        if !self.within.restricts() {
            return true;
        }
        self.read_positions();
        self.alignment.satisfies(self.within)
    }

    fn read_positions(&mut self) {
        self.alignment.clear();
        // In the query's order.
        for &at in &self.order {
            self.alignment.add(&mut self.required[at]);
        }
    }
}

/// Whether bits say that a child does not have a document.
fn lacks(child: &BoxCursor<'_>, doc: DocId) -> bool {
    let word = child.bits().and_then(|bits| bits.get(doc as usize / 64));
    word.is_some_and(|word| word >> (doc % 64) & 1 == 0)
}

/// Documents that a child of this cost has in a window, on average.
fn share(cost: u64, documents: DocId) -> u64 {
    cost.saturating_mul(u64::from(WINDOW)) / u64::from(documents.max(1))
}

impl Cursor for Intersect<'_> {
    fn doc(&self) -> DocId {
        self.doc
    }

    fn next(&mut self) -> DocId {
        if self.doc == END {
            return END;
        }
        self.settle_from(self.doc + 1)
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc >= target {
            return self.doc;
        }
        self.settle_from(target)
    }

    fn cost(&self) -> u64 {
        self.required[0].cost()
    }

    fn bound(&mut self, from: DocId) -> Bound {
        let mut bound = Bound { score: 0.0, up_to: END - 1 };
        for child in self.required.iter_mut().chain(&mut self.optional) {
            // An optional child may lag behind; a bound from where it is asked is all that is needed.
            let part = child.bound(from);
            bound.score += part.score;
            bound.up_to = bound.up_to.min(part.up_to);
        }
        bound.score *= self.weight;
        bound
    }

    fn score(&mut self, scale: &Scale) -> f64 {
        let mut sum = 0.0;
        // In the query's order, so that the sum does not depend on costs.
        for &at in &self.order {
            sum += self.required[at].score(scale);
        }
        for child in &mut self.optional {
            if child.seek(self.doc) == self.doc {
                sum += child.score(scale);
            }
        }
        sum * self.weight
    }

    fn positions(&mut self, out: &mut Vec<u32>) {
        for child in &mut self.required {
            child.positions(out);
        }
    }

    fn proximity(&mut self) -> f64 {
        if self.order.len() == 1 {
            return self.required[0].proximity();
        }
        self.read_positions();
        let spread = self.alignment.spread();
        if spread > 0.0 {
            spread.max(1.0)
        } else {
            (self.order.len() - 1) as f64
        }
    }

    fn fill(&mut self, window: &mut Window) {
        if self.within.restricts() && !self.required.iter().all(|child| child.bits().is_some()) {
            // Positions can only be looked at document by document.
            let mut doc = self.seek(window.start());
            while doc < window.end() {
                window.insert(doc);
                doc = self.next();
            }
            return;
        }
        if self.doc >= window.end() {
            return;
        }
        let start = window.start();
        let [mut found, mut other] = self.scratch.take().unwrap_or_default();
        found.reset(start);
        self.required[0].fill(&mut found);
        let children = self.required[1..].iter_mut().map(|child| (child, true));
        for (child, wanted) in children.chain(self.excluded.iter_mut().map(|child| (child, false))) {
            if self.budget.spend(WINDOW / 64) {
                // What was not looked at is not found.
                found.reset(start);
                break;
            }
            if let Some(bits) = child.bits() {
                if wanted {
                    found.intersect_bits(bits);
                } else {
                    found.subtract_bits(bits);
                }
                continue;
            }
            let (candidates, share) = (found.count(), share(child.cost(), self.documents));
            if candidates == 0 {
                break;
            }
            if candidates * SEEK_COST < share || !child.fills_fast() {
                found.retain(|doc| (child.seek(doc) == doc) == wanted);
            } else {
                other.reset(start);
                child.fill(&mut other);
                if wanted {
                    found.intersect(&other);
                } else {
                    found.subtract(&other);
                }
            }
        }
        if self.within.restricts() {
            // Bits have moved no cursor: each can still be sought.
            found.retain(|doc| !self.budget.spend(1) && self.is_within_at(doc));
        }
        window.union(&found);
        self.scratch = Some([found, other]);
    }

    fn fills_fast(&self) -> bool {
        true
    }

    fn explain(&mut self, scoring: &Scoring, facts: DocFacts) -> Explanation {
        let scale = scoring.scale(facts);
        let total = self.score(&scale);
        let mut children: Vec<Explanation> = Vec::new();
        for &at in &self.order {
            children.push(self.required[at].explain(scoring, facts));
        }
        for child in &mut self.optional {
            if child.doc() == self.doc {
                children.push(child.explain(scoring, facts));
            }
        }
        let sum = if self.weight == 0.0 { 0.0 } else { total / self.weight };
        Explanation { text: format!("(Weight {:.2} * total children {sum:.2})", self.weight), children }
    }
}
