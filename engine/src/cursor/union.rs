//! Which documents match any of these clauses?

use super::budget::Budget;
use super::phrase::Alignment;
use super::window::Window;
use super::{Bound, BoxCursor, Cursor};
use crate::score::explain::Explanation;
use crate::score::{Scale, Scoring};
use crate::segment::{DocFacts, DocId, END};

/// Cursor over the documents that any child has.
pub struct Union<'a> {
    children: Vec<BoxCursor<'a>>,
    /// Where each child is: side by side, so that finding the least of hundreds is a few vector
    /// instructions.
    heads: Vec<DocId>,
    weight: f64,
    best_branch: bool,
    doc: DocId,
    alignment: Alignment,
    budget: &'a Budget<'a>,
}

impl<'a> Union<'a> {
    /// A cursor that is worth the sum of its matching children, or their best.
    pub fn new(children: Vec<BoxCursor<'a>>, weight: f64, best_branch: bool, budget: &'a Budget<'a>) -> Self {
        let heads: Vec<DocId> = children.iter().map(|child| child.doc()).collect();
        let doc = least(&heads);
        Self { children, heads, weight, best_branch, doc, alignment: Alignment::default(), budget }
    }

    fn settle(&mut self) -> DocId {
        self.doc = if self.budget.spend(1 + self.heads.len() as u32 / 2) { END } else { least(&self.heads) };
        self.doc
    }

    fn matching(&mut self) -> impl Iterator<Item = &mut BoxCursor<'a>> {
        let doc = self.doc;
        self.children.iter_mut().zip(&self.heads).filter(move |(_, &head)| head == doc).map(|(child, _)| child)
    }
}

fn least(heads: &[DocId]) -> DocId {
    heads.iter().copied().min().unwrap_or(END)
}

impl Cursor for Union<'_> {
    fn doc(&self) -> DocId {
        self.doc
    }

    fn next(&mut self) -> DocId {
        let doc = self.doc;
        if doc == END {
            return END;
        }
        for (child, head) in self.children.iter_mut().zip(&mut self.heads) {
            if *head == doc {
                *head = child.next();
            }
        }
        self.settle()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc >= target {
            return self.doc;
        }
        for (child, head) in self.children.iter_mut().zip(&mut self.heads) {
            if *head < target {
                *head = child.seek(target);
            }
        }
        self.settle()
    }

    fn cost(&self) -> u64 {
        self.children.iter().map(|child| child.cost()).sum()
    }

    fn bound(&mut self, from: DocId) -> Bound {
        let mut bound = Bound { score: 0.0, up_to: END - 1 };
        for child in &mut self.children {
            let part = child.bound(from);
            bound.score = if self.best_branch { bound.score.max(part.score) } else { bound.score + part.score };
            bound.up_to = bound.up_to.min(part.up_to);
        }
        bound.score *= self.weight;
        bound
    }

    fn score(&mut self, scale: &Scale) -> f64 {
        let (weight, best) = (self.weight, self.best_branch);
        let values = self.matching().map(|child| child.score(scale));
        weight * if best { values.fold(0.0, f64::max) } else { values.sum() }
    }

    fn positions(&mut self, out: &mut Vec<u32>) {
        self.matching().for_each(|child| child.positions(out));
    }

    fn proximity(&mut self) -> f64 {
        let count = self.heads.iter().filter(|&&head| head == self.doc).count();
        if count == 1 {
            // As if the others were not there: they may not be, in another segment.
            return self.matching().next().map_or(1.0, |child| child.proximity());
        }
        let mut alignment = std::mem::take(&mut self.alignment);
        alignment.read(self.matching());
        let spread = alignment.spread();
        self.alignment = alignment;
        if spread > 0.0 {
            spread.max(1.0)
        } else {
            (count - 1) as f64
        }
    }

    fn fill(&mut self, window: &mut Window) {
        if self.doc >= window.end() {
            return;
        }
        for child in &mut self.children {
            child.fill(window);
        }
    }

    fn fills_fast(&self) -> bool {
        self.children.iter().all(|child| child.fills_fast())
    }

    fn explain(&mut self, scoring: &Scoring, facts: DocFacts) -> Explanation {
        let scale = scoring.scale(facts);
        let total = self.score(&scale);
        let mut children: Vec<Explanation> = self.matching().map(|child| child.explain(scoring, facts)).collect();
        if children.len() == 1 && self.weight == 1.0 {
            if let Some(only) = children.pop() {
                return only;
            }
        }
        let sum = if self.weight == 0.0 { 0.0 } else { total / self.weight };
        Explanation { text: format!("(Weight {:.2} * total children {sum:.2})", self.weight), children }
    }
}
