//! These documents: `INKEYS`, and the results of selective ranges and circles.

use super::{Bound, Cursor};
use crate::score::explain::Explanation;
use crate::score::{Leaf, Scale, Scoring};
use crate::segment::{DocFacts, DocId, END};

/// Cursor over a list of documents.
pub struct Ids<'a> {
    ids: Vec<DocId>,
    at: usize,
    leaf: Leaf,
    scoring: &'a Scoring,
}

impl<'a> Ids<'a> {
    /// A cursor over `ids`, in any order, each worth the leaf's value.
    pub fn new(mut ids: Vec<DocId>, leaf: Leaf, scoring: &'a Scoring) -> Self {
        ids.sort_unstable();
        ids.dedup();
        Self { ids, at: 0, leaf, scoring }
    }
}

impl Cursor for Ids<'_> {
    fn doc(&self) -> DocId {
        self.ids.get(self.at).copied().unwrap_or(END)
    }

    fn next(&mut self) -> DocId {
        self.at += usize::from(self.at < self.ids.len());
        self.doc()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.at += self.ids[self.at..].partition_point(|&doc| doc < target);
        self.doc()
    }

    fn cost(&self) -> u64 {
        self.ids.len() as u64
    }

    fn bound(&mut self, _from: DocId) -> Bound {
        Bound { score: self.scoring.ceiling(&self.leaf, 1, 0), up_to: END - 1 }
    }

    fn score(&mut self, scale: &Scale) -> f64 {
        self.leaf.value(1, scale)
    }

    fn positions(&mut self, _out: &mut Vec<u32>) {}

    fn fills_fast(&self) -> bool {
        true
    }

    fn explain(&mut self, scoring: &Scoring, facts: DocFacts) -> Explanation {
        scoring.explain_leaf(&self.leaf, "filter", 1, facts, &scoring.scale(facts))
    }
}
