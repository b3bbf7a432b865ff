//! How are documents scored whose value is a sum over terms?
//!
//! A document at a time, each term has to be sought for it; of a union of a thousand terms the least of
//! a thousand heads has to be found as well. That costs far more than the documents. So the terms are taken
//! one after the other: over a stretch of documents each adds its values to an array, and then the array is
//! read once.

use super::gate::Gate;
use super::prune::{Apart, Offer};
use crate::cursor::term::TermCursor;
use crate::cursor::window::{Window, WINDOW};
use crate::cursor::{BoxCursor, Cursor};
use crate::score::{Leaf, Scale, Scoring};
use crate::segment::{DocId, END};

/// Terms above which a union is scored this way. Measured: benches/query.rs.
pub const MANY: usize = 8;

/// Postings that are added in the time in which one term is sought for one document. Measured:
/// benches/query.rs.
const SEEK_COST: u64 = 8;

/// Values that are set to 0 in the time in which a posting is added.
const EMPTIED: u64 = 4;

/// Documents whose values are gathered at once: 128 KiB of them, which the second-level cache holds
/// with room for the terms' blocks.
const STRETCH: DocId = WINDOW / 4;

/// The terms over which a value is the sum, or of which it is the best.
pub struct Sum<'c> {
    terms: Vec<TermCursor<'c>>,
    /// Where each term is: side by side, so that those that are elsewhere are passed over quickly.
    heads: Vec<DocId>,
    /// What every document has besides.
    constants: Vec<Leaf>,
    /// Whether the best of the terms counts rather than their sum.
    best: bool,
    /// No document is worth more, by [`Scoring::ceiling`]'s reckoning.
    ceiling: f64,
    /// The values of a stretch of documents, once there was one. All 0 between stretches.
    values: Vec<f64>,
}

impl<'c> Sum<'c> {
    /// A sum of terms and of leaves that are worth the same for every document.
    pub fn of(terms: Vec<TermCursor<'c>>, constants: Vec<Leaf>, scoring: &Scoring) -> Self {
        let ceiling = terms.iter().map(TermCursor::list_bound).sum::<f64>()
            + constants.iter().map(|leaf| scoring.ceiling(leaf, 1, 0)).sum::<f64>();
        Self { constants, ceiling, ..Self::of_union(terms, false) }
    }

    /// What a union of terms is worth: their sum, or the best of them.
    pub fn of_union(terms: Vec<TermCursor<'c>>, best: bool) -> Self {
        let heads = terms.iter().map(|term| term.doc()).collect();
        Self { terms, heads, constants: Vec::new(), best, ceiling: f64::INFINITY, values: Vec::new() }
    }

    /// Whether adding all postings, and emptying the array, is cheaper than seeking each term for each of so many
    /// documents of a window of a segment of `documents`.
    pub fn is_cheaper_for(&self, matches: u64, documents: DocId) -> bool {
        if self.terms.is_empty() {
            return true;
        }
        let postings: u64 = self.terms.iter().map(|term| term.cost()).sum();
        let here = postings.saturating_mul(u64::from(WINDOW)) / u64::from(documents.max(WINDOW));
        let emptied = u64::from(documents.min(WINDOW)) / EMPTIED;
        here + emptied <= matches * SEEK_COST * self.terms.len() as u64
    }
}

impl Offer<'_, '_> {
    /// Offers all documents of a union of terms and says how many there are that the query sees. `tree`
    /// gives a cursor that knows how far apart a document's terms stand.
    pub fn many_terms<'c>(
        &mut self,
        terms: Vec<TermCursor<'c>>,
        gate: &mut Gate<'_>,
        tree: impl FnOnce() -> BoxCursor<'c>,
    ) -> u64 {
        let mut sum = Sum::of_union(terms, self.scoring.best_branch());
        let mut apart = Apart::new(tree);
        let mut window = Window::default();
        let mut total = 0;
        loop {
            let first = sum.heads.iter().copied().min().unwrap_or(END);
            if first >= self.visible.end() {
                return total;
            }
            window.reset(first / WINDOW * WINDOW);
            let mut start = first / STRETCH * STRETCH;
            while start < window.end().min(self.visible.end()) {
                self.gather(&mut sum, start, |docs| window.insert_all(docs));
                self.read(&mut sum, start, &window, gate, |doc| apart.proximity(doc));
                start += STRETCH;
            }
            self.visible.restrict(&mut window);
            total += window.count();
        }
    }

    /// Offers the documents of a window, all of which match and are seen, and are worth a sum.
    pub fn summed_window(&mut self, sum: &mut Sum<'_>, window: &Window, tree: &mut BoxCursor<'_>, gate: &mut Gate<'_>) {
        if self.floor().is_some_and(|floor| sum.ceiling <= floor) {
            return;
        }
        let mut proximity = |doc| if tree.seek(doc) == doc { tree.proximity() } else { 1.0 };
        let mut start = window.start();
        while start < window.end().min(self.visible.end()) {
            if sum.terms.is_empty() {
                self.read(sum, start, window, gate, &mut proximity);
            } else {
                self.gather(sum, start, |_| ());
                self.read(sum, start, window, gate, &mut proximity);
                sum.values.fill(0.0);
            }
            start += STRETCH;
        }
    }

    /// Adds up the values of a stretch of documents, and leaves it behind.
    fn gather(&self, sum: &mut Sum<'_>, start: DocId, mut seen: impl FnMut(&[DocId])) {
        let end = start + STRETCH;
        let Sum { terms, heads, values, best, .. } = sum;
        values.resize(STRETCH as usize, 0.0);
        for (term, head) in terms.iter_mut().zip(heads).filter(|(_, head)| **head < end) {
            let leaf = term.leaf();
            term.seek(start);
            *head = term.each_before(end, |docs, freqs| {
                seen(docs);
                for (&doc, &freq) in docs.iter().zip(freqs) {
                    let scale = if leaf.is_linear() { Scale::default() } else { self.scale(doc) };
                    let value = leaf.value(freq, &scale);
                    let Some(sum) = values.get_mut((doc - start) as usize) else { continue };
                    *sum = if *best { sum.max(value) } else { *sum + value };
                }
            });
        }
    }

    /// Offers the documents of a stretch, and takes their values.
    fn read(
        &mut self,
        sum: &mut Sum<'_>,
        start: DocId,
        window: &Window,
        gate: &mut Gate<'_>,
        mut proximity: impl FnMut(DocId) -> f64,
    ) {
        let Sum { constants, values, .. } = sum;
        let mut least = self.least();
        window.for_each_in(start, start + STRETCH, |doc| {
            // Without terms there is no value.
            let value = values.get_mut((doc - start) as usize).map_or(0.0, std::mem::take);
            if !gate.admits(doc) {
                return;
            }
            let scale = self.scale(doc);
            let tree = value + constants.iter().map(|leaf| leaf.value(1, &scale)).sum::<f64>();
            if self.scoring.result(&scale, tree, 1.0) > least {
                self.offer_tree(doc, &scale, tree, || proximity(doc));
                least = self.least();
                gate.narrow(least);
            }
        });
    }
}
