//! Which documents do not match?
//!
//! For a negation that stands alone. Within an intersection the other clauses lead, and the negation
//! only takes out (see [`super::intersect`]).

use super::budget::Budget;
use super::window::Window;
use super::{Bound, BoxCursor, Cursor};
use crate::score::explain::Explanation;
use crate::score::{Scale, Scoring};
use crate::segment::{DocFacts, DocId, END};

/// Cursor over the documents of a segment that a child does not have. Worth nothing.
pub struct Not<'a> {
    child: BoxCursor<'a>,
    documents: DocId,
    doc: DocId,
    scratch: Window,
    budget: &'a Budget<'a>,
}

impl<'a> Not<'a> {
    /// A cursor over a segment of `documents` documents.
    pub fn new(child: BoxCursor<'a>, documents: DocId, budget: &'a Budget<'a>) -> Self {
        let mut cursor = Self { child, documents, doc: 0, scratch: Window::default(), budget };
        cursor.settle(0);
        cursor
    }

    fn settle(&mut self, mut doc: DocId) -> DocId {
        while doc < self.documents && self.child.seek(doc) == doc {
            if self.budget.spend(1) {
                doc = END;
                break;
            }
            doc += 1;
        }
        self.doc = if doc < self.documents { doc } else { END };
        self.doc
    }
}

impl Cursor for Not<'_> {
    fn doc(&self) -> DocId {
        self.doc
    }

    fn next(&mut self) -> DocId {
        if self.doc == END || self.budget.spend(1) {
            self.doc = END;
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
        u64::from(self.documents)
    }

    fn bound(&mut self, _from: DocId) -> Bound {
        Bound { score: 0.0, up_to: END - 1 }
    }

    fn score(&mut self, _scale: &Scale) -> f64 {
        0.0
    }

    fn positions(&mut self, _out: &mut Vec<u32>) {}

    fn fill(&mut self, window: &mut Window) {
        if self.doc >= window.end() || self.budget.spend(64) {
            return;
        }
        self.scratch.reset(window.start());
        // The child has passed what is before the current document, all of which it had or was left
        // behind.
        self.scratch.insert_range(self.doc, self.documents);
        let mut matches = Window::default();
        matches.reset(window.start());
        self.child.fill(&mut matches);
        self.scratch.subtract(&matches);
        window.union(&self.scratch);
    }

    fn fills_fast(&self) -> bool {
        self.child.fills_fast()
    }

    fn explain(&mut self, _scoring: &Scoring, _facts: DocFacts) -> Explanation {
        Explanation::leaf("(NOT : 0.00)".to_owned())
    }
}
