//! Which documents are worth more because they match?
//!
//! For an optional clause that stands alone or in a union: every document matches. Within an
//! intersection see [`super::intersect`].

use super::window::Window;
use super::{Bound, BoxCursor, Cursor};
use crate::score::explain::Explanation;
use crate::score::{Scale, Scoring};
use crate::segment::{DocFacts, DocId, END};

/// Cursor over all documents of a segment, worth what the child is worth where it matches.
pub struct Optional<'a> {
    all: BoxCursor<'a>,
    child: BoxCursor<'a>,
}

impl<'a> Optional<'a> {
    /// `all` is a cursor over the whole segment.
    pub fn new(child: BoxCursor<'a>, all: BoxCursor<'a>) -> Self {
        Self { all, child }
    }

    fn child_matches(&mut self) -> bool {
        let doc = self.all.doc();
        self.child.seek(doc) == doc
    }
}

impl Cursor for Optional<'_> {
    fn doc(&self) -> DocId {
        self.all.doc()
    }

    fn next(&mut self) -> DocId {
        self.all.next()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.all.seek(target)
    }

    fn cost(&self) -> u64 {
        self.all.cost()
    }

    fn bound(&mut self, from: DocId) -> Bound {
        let bound = self.child.bound(from);
        // Past the child's last document nothing is worth anything.
        if bound.up_to == END {
            Bound { score: 0.0, up_to: END - 1 }
        } else {
            bound
        }
    }

    fn score(&mut self, scale: &Scale) -> f64 {
        if self.child_matches() {
            self.child.score(scale)
        } else {
            0.0
        }
    }

    fn positions(&mut self, out: &mut Vec<u32>) {
        if self.child_matches() {
            self.child.positions(out);
        }
    }

    fn proximity(&mut self) -> f64 {
        if self.child_matches() {
            self.child.proximity()
        } else {
            1.0
        }
    }

    fn fill(&mut self, window: &mut Window) {
        self.all.fill(window);
    }

    fn fills_fast(&self) -> bool {
        true
    }

    fn explain(&mut self, scoring: &Scoring, facts: DocFacts) -> Explanation {
        if self.child_matches() {
            self.child.explain(scoring, facts)
        } else {
            Explanation::leaf("(OPTIONAL : 0.00)".to_owned())
        }
    }
}
