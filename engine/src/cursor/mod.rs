//! cursor/: which documents of a segment match, and what is each match worth?
//!
//! A query becomes a tree of cursors for each segment ([`plan`], [`build`]); each operator has a
//! file of its own. All keep one contract, [`Cursor`], whatever kind of segment is below.
//!
//! Cursors know nothing of births and deaths: they yield every version that matches, and whoever
//! drives the root asks [`crate::segment::visible::Visibility`].

pub mod all;
mod bind;
pub mod budget;
pub mod build;
pub mod filter;
pub mod ids;
pub mod intersect;
pub mod not;
pub mod optional;
pub mod phrase;
pub mod plan;
pub mod profile;
pub mod term;
pub mod union;
pub mod window;

use crate::score::explain::Explanation;
use crate::score::{Scale, Scoring};
use crate::segment::{DocFacts, DocId};
use window::Window;

/// An upper bound on scores that holds up to and including a document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    /// No document's tree is worth more, by [`Scoring::ceiling`]'s reckoning.
    pub score: f64,
    /// The last document that this is said of. At least the one asked from.
    pub up_to: DocId,
}

/// A walk over matching documents in increasing order.
///
/// Invariants, for all implementors:
/// - A new cursor is at its first document; one without documents is at [`END`](crate::segment::END).
/// - `seek` never goes back: a target at or before the current document changes nothing.
/// - At the end, `next` and `seek` are allowed and stay there.
/// - `score`, `positions`, `proximity` and `explain` speak of the current document, which is not
///   the end.
/// - After `fill`, only `fill` of a later window and `seek` at or past the window's end may follow.
/// - When the query's budget is used up, cursors go to their end.
pub trait Cursor {
    /// The current document, or [`END`](crate::segment::END).
    fn doc(&self) -> DocId;

    /// Goes to the next document and returns it.
    fn next(&mut self) -> DocId;

    /// Goes to the first document that is not before `target`, and returns it.
    fn seek(&mut self, target: DocId) -> DocId;

    /// About how many documents there are: an upper bound where the exact number is not known.
    fn cost(&self) -> u64;

    /// A bound for the documents from `from` on, which is not before the current one. Moves nothing.
    fn bound(&mut self, from: DocId) -> Bound;

    /// The value of the current document's tree.
    fn score(&mut self, scale: &Scale) -> f64;

    /// Adds the positions of the current document's occurrences to `out`, in no order. Nothing when
    /// there are none to know.
    fn positions(&mut self, out: &mut Vec<u32>);

    /// What the current document's score is divided by because its terms stand apart; at least 1.
    fn proximity(&mut self) -> f64 {
        1.0
    }

    /// Adds all documents within the window, from the current one on, to it, and leaves them behind. None that
    /// was passed: an intersection may have passed it because of a clause that does not look back.
    fn fill(&mut self, window: &mut Window) {
        let mut doc = self.seek(window.start());
        while doc < window.end() {
            window.insert(doc);
            doc = self.next();
        }
    }

    /// All its documents, one bit for each document of the segment, where they are at hand as such.
    fn bits(&self) -> Option<&[u64]> {
        None
    }

    /// Whether `fill` is much cheaper than walking.
    fn fills_fast(&self) -> bool;

    /// How the current document came to its value.
    fn explain(&mut self, scoring: &Scoring, facts: DocFacts) -> Explanation;
}

/// Any cursor.
pub type BoxCursor<'a> = Box<dyn Cursor + 'a>;
