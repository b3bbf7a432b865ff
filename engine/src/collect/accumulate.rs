//! How is a union of many terms scored?
//!
//! Looking for the least of a thousand heads for each document costs far more than the documents. So the
//! terms are taken one after the other: over a stretch of documents each adds its values to an array, and
//! then the array is read once. Matches are counted on the way.

use super::prune::{Apart, Offer};
use crate::cursor::term::TermCursor;
use crate::cursor::window::{Window, WINDOW};
use crate::cursor::{BoxCursor, Cursor};
use crate::score::Scale;
use crate::segment::{DocId, END};

/// Terms above which a union is scored this way. Measured: benches/query.rs.
pub const MANY: usize = 8;

/// Documents whose values are gathered at once: 128 KiB of them, which the second-level cache holds
/// with room for the terms' blocks.
const STRETCH: DocId = 16_384;

/// The values of a stretch of documents.
struct Values {
    start: DocId,
    values: Vec<f64>,
}

impl Offer<'_, '_> {
    /// Offers all documents of a union of terms and says how many there are that the query sees. `tree`
    /// gives a cursor that knows how far apart a document's terms stand.
    pub fn many_terms<'c>(&mut self, mut terms: Vec<TermCursor<'c>>, tree: impl FnOnce() -> BoxCursor<'c>) -> u64 {
        let mut heads: Vec<DocId> = terms.iter().map(|term| term.doc()).collect();
        let mut window = Window::default();
        let mut gathered = Values { start: 0, values: vec![0.0; STRETCH as usize] };
        let mut apart = Apart::new(tree);
        let mut total = 0;
        loop {
            let first = heads.iter().copied().min().unwrap_or(END);
            if first >= self.visible.end() {
                return total;
            }
            window.reset(first / WINDOW * WINDOW);
            let mut start = first / STRETCH * STRETCH;
            while start < window.end().min(self.visible.end()) {
                let end = start + STRETCH;
                gathered.start = start;
                for (term, head) in terms.iter_mut().zip(&mut heads).filter(|(_, head)| **head < end) {
                    *head = self.gather(term, end, &mut gathered, &mut window);
                }
                self.read(&mut gathered, &window, |doc| apart.proximity(doc));
                start = end;
            }
            self.visible.restrict(&mut window);
            total += window.count();
        }
    }

    /// Adds the values of one term's documents before `end`, and returns the first one after.
    fn gather(&self, term: &mut TermCursor<'_>, end: DocId, gathered: &mut Values, window: &mut Window) -> DocId {
        let leaf = term.leaf();
        let best = self.scoring.best_branch();
        let Values { start, values } = gathered;
        term.each_before(end, |docs, freqs| {
            window.insert_all(docs);
            for (&doc, &freq) in docs.iter().zip(freqs) {
                let scale = if leaf.is_linear() { Scale::default() } else { self.scale(doc) };
                let value = leaf.value(freq, &scale);
                let Some(sum) = values.get_mut((doc - *start) as usize) else { continue };
                *sum = if best { sum.max(value) } else { *sum + value };
            }
        })
    }

    /// Offers the documents of a stretch and empties it.
    fn read(&mut self, gathered: &mut Values, window: &Window, mut proximity: impl FnMut(DocId) -> f64) {
        let Values { start, values } = gathered;
        let mut least = self.least();
        window.for_each_in(*start, *start + STRETCH, |doc| {
            let Some(value) = values.get_mut((doc - *start) as usize) else { return };
            let scale = self.scale(doc);
            let tree = std::mem::take(value);
            if self.scoring.result(&scale, tree, 1.0) > least {
                self.offer_tree(doc, &scale, tree, || proximity(doc));
                least = self.least();
            }
        });
    }
}
