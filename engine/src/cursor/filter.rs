//! Which documents have a value in a range, or a point in a circle?
//!
//! A column answers in two ways: whether one document matches, and which documents do, by the order
//! of values. Which is cheaper depends on how many match and on what else the query asks: beside a
//! rare term only a few documents are looked at; alone, a range of few documents is a short list.

use super::budget::Budget;
use super::ids::Ids;
use super::window::Window;
use super::{Bound, Cursor};
use crate::columns::geo::Circle;
use crate::columns::numeric::NumericRange;
use crate::columns::Run;
use crate::schema::FieldId;
use crate::score::explain::Explanation;
use crate::score::{Leaf, Scale, Scoring};
use crate::segment::{DocFacts, DocId, Segment, END};

/// What is asked of a column.
#[derive(Debug, Clone, Copy)]
pub enum Predicate {
    /// A number in a range.
    Range(FieldId, NumericRange),
    /// A point in a circle.
    Circle(FieldId, Circle),
}

impl Predicate {
    /// Whether a document matches.
    #[inline]
    pub fn matches(&self, segment: &Segment, doc: DocId) -> bool {
        match self {
            Self::Range(field, range) => range.contains(segment.number(*field, doc)),
            Self::Circle(field, circle) => circle.contains(segment.point(*field, doc)),
        }
    }

    /// Runs of documents that hold every match; `None` when only looking at each can tell.
    pub fn candidates<'s>(&self, segment: &'s Segment) -> Option<Vec<Run<'s>>> {
        let Segment::Sealed(sealed) = segment else { return None };
        Some(match self {
            Self::Range(field, range) => {
                let column = sealed.columns().numeric(*field);
                column.map(|column| Run { docs: column.in_range(range), certain: true }).into_iter().collect()
            }
            Self::Circle(field, circle) => {
                sealed.columns().geo(*field).map(|column| column.candidates(circle)).unwrap_or_default()
            }
        })
    }

    /// The documents of these runs that match, part by part, until the budget is used up.
    fn each_match(&self, segment: &Segment, runs: &[Run<'_>], budget: &Budget<'_>, mut visit: impl FnMut(DocId)) {
        for run in runs {
            for part in run.docs.chunks(1024) {
                if budget.spend(part.len() as u32) {
                    return;
                }
                if run.certain {
                    part.iter().for_each(|&doc| visit(doc));
                } else {
                    part.iter().filter(|&&doc| self.matches(segment, doc)).for_each(|&doc| visit(doc));
                }
            }
        }
    }
}

/// Cursor over the documents that a predicate is true of.
pub struct Filter<'a> {
    segment: &'a Segment,
    predicate: Predicate,
    /// All matches as bits, when they were worth gathering; else documents are looked at.
    bits: Option<Vec<u64>>,
    documents: DocId,
    doc: DocId,
    cost: u64,
    leaf: Leaf,
    scoring: &'a Scoring,
    budget: &'a Budget<'a>,
}

impl<'a> Filter<'a> {
    /// A cursor that looks at documents one by one.
    pub fn looking(
        segment: &'a Segment,
        predicate: Predicate,
        cost: u64,
        leaf: Leaf,
        scoring: &'a Scoring,
        budget: &'a Budget<'a>,
    ) -> Self {
        Self::new(segment, predicate, None, cost, leaf, scoring, budget)
    }

    /// A cursor over the few of these candidates that match.
    pub fn listed(
        segment: &'a Segment,
        predicate: Predicate,
        candidates: &[Run<'_>],
        leaf: Leaf,
        scoring: &'a Scoring,
        budget: &'a Budget<'a>,
    ) -> Ids<'a> {
        let mut ids = Vec::new();
        predicate.each_match(segment, candidates, budget, |doc| ids.push(doc));
        Ids::new(ids, leaf, scoring)
    }

    /// A cursor over those of many candidates that match.
    pub fn gathered(
        segment: &'a Segment,
        predicate: Predicate,
        candidates: &[Run<'_>],
        leaf: Leaf,
        scoring: &'a Scoring,
        budget: &'a Budget<'a>,
    ) -> Self {
        let mut bits = vec![0; (segment.len() as usize).div_ceil(64)];
        let mut cost = 0;
        predicate.each_match(segment, candidates, budget, |doc| {
            bits[doc as usize / 64] |= 1 << (doc % 64);
            cost += 1;
        });
        Self::new(segment, predicate, Some(bits), cost, leaf, scoring, budget)
    }

    fn new(
        segment: &'a Segment,
        predicate: Predicate,
        bits: Option<Vec<u64>>,
        cost: u64,
        leaf: Leaf,
        scoring: &'a Scoring,
        budget: &'a Budget<'a>,
    ) -> Self {
        let documents = segment.len();
        let mut cursor = Self { segment, predicate, bits, documents, doc: 0, cost, leaf, scoring, budget };
        cursor.settle(0);
        cursor
    }

    fn settle(&mut self, mut doc: DocId) -> DocId {
        match &self.bits {
            Some(bits) => {
                let mut at = doc as usize / 64;
                let mut word = bits.get(at).copied().unwrap_or(0) & (u64::MAX << (doc % 64));
                while word == 0 && at + 1 < bits.len() {
                    at += 1;
                    word = bits[at];
                }
                doc = if word == 0 || self.budget.spend(1) { END } else { (at * 64) as DocId + word.trailing_zeros() };
            }
            None => {
                while doc < self.documents && !self.predicate.matches(self.segment, doc) {
                    doc += 1;
                    if self.budget.spend(1) {
                        doc = END;
                    }
                }
            }
        }
        self.doc = if doc < self.documents { doc } else { END };
        self.doc
    }

    /// One word of matches for each 64 documents of a numeric column, without a branch.
    fn fill_numbers(&self, window: &mut Window, values: &[f64], range: &NumericRange) {
        let start = window.start() as usize;
        let end = (window.end() as usize).min(values.len());
        let mut words = Vec::with_capacity((end - start.min(end)).div_ceil(64));
        for chunk in values.get(start..end).unwrap_or(&[]).chunks(64) {
            let mut word = 0;
            for (bit, &value) in chunk.iter().enumerate() {
                word |= u64::from(range.contains(value)) << bit;
            }
            words.push(word);
        }
        window.union_words(&words, self.doc);
    }
}

impl Cursor for Filter<'_> {
    fn doc(&self) -> DocId {
        self.doc
    }

    fn next(&mut self) -> DocId {
        if self.doc == END {
            return END;
        }
        self.settle(self.doc + 1)
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc >= target {
            return self.doc;
        }
        self.settle(target)
    }

    fn cost(&self) -> u64 {
        self.cost
    }

    fn bound(&mut self, _from: DocId) -> Bound {
        Bound { score: self.scoring.ceiling(&self.leaf, 1, 0), up_to: END - 1 }
    }

    fn score(&mut self, scale: &Scale) -> f64 {
        self.leaf.value(1, scale)
    }

    fn positions(&mut self, _out: &mut Vec<u32>) {}

    fn fill(&mut self, window: &mut Window) {
        if self.doc >= window.end() || self.budget.spend(1024) {
            return;
        }
        if let Some(bits) = &self.bits {
            window.union_bits(bits, self.doc);
            return;
        }
        if let (Segment::Sealed(sealed), Predicate::Range(field, range)) = (self.segment, &self.predicate) {
            if let Some(column) = sealed.columns().numeric(*field) {
                self.fill_numbers(window, column.values(), range);
            }
            return;
        }
        let mut doc = self.seek(window.start());
        while doc < window.end() {
            window.insert(doc);
            doc = self.next();
        }
    }

    fn bits(&self) -> Option<&[u64]> {
        self.bits.as_deref()
    }

    fn fills_fast(&self) -> bool {
        self.bits.is_some() || matches!(self.predicate, Predicate::Range(..))
    }

    fn explain(&mut self, scoring: &Scoring, facts: DocFacts) -> Explanation {
        scoring.explain_leaf(&self.leaf, "filter", 1, facts, &scoring.scale(facts))
    }
}
