//! All documents: `*`.

use super::budget::Budget;
use super::window::Window;
use super::{Bound, Cursor};
use crate::score::explain::Explanation;
use crate::score::{Leaf, Scale, Scoring};
use crate::segment::{DocFacts, DocId, END};

/// Cursor over every version of a segment.
pub struct All<'a> {
    documents: DocId,
    doc: DocId,
    leaf: Leaf,
    scoring: &'a Scoring,
    budget: &'a Budget<'a>,
}

impl<'a> All<'a> {
    /// A cursor over a segment of `documents` documents, each worth the leaf's value.
    pub fn new(documents: DocId, leaf: Leaf, scoring: &'a Scoring, budget: &'a Budget<'a>) -> Self {
        let doc = if documents == 0 { END } else { 0 };
        Self { documents, doc, leaf, scoring, budget }
    }
}

impl Cursor for All<'_> {
    fn doc(&self) -> DocId {
        self.doc
    }

    fn next(&mut self) -> DocId {
        if self.doc == END {
            return END;
        }
        self.seek(self.doc + 1)
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc < target {
            self.doc = if target < self.documents && !self.budget.spend(1) { target } else { END };
        }
        self.doc
    }

    fn cost(&self) -> u64 {
        u64::from(self.documents)
    }

    fn bound(&mut self, _from: DocId) -> Bound {
        Bound { score: self.scoring.ceiling(&self.leaf, 1, 0), up_to: END - 1 }
    }

    fn score(&mut self, scale: &Scale) -> f64 {
        self.leaf.value(1, scale)
    }

    fn positions(&mut self, _out: &mut Vec<u32>) {}

    fn fill(&mut self, window: &mut Window) {
        if !self.budget.spend(64) {
            window.insert_range(self.doc, self.documents);
        }
    }

    fn fills_fast(&self) -> bool {
        true
    }

    fn explain(&mut self, scoring: &Scoring, facts: DocFacts) -> Explanation {
        scoring.explain_leaf(&self.leaf, "*", 1, facts, &scoring.scale(facts))
    }
}
