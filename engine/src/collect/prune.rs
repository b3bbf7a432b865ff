//! How are the best documents found without looking at all that match?
//!
//! Once there are enough good documents, all others need to be is not better than the worst of them. One number
//! of a document may say so ([`super::gate`]). Blocks of postings know bounds of what their documents are worth: a
//! stretch is passed over for a single term block by block, for other trees by the bound of the whole tree. In
//! unions of terms, those that cannot make a document good enough by themselves do not lead (MaxScore).
//!
//! The outcome is exactly that of looking at all of them; `engine/tests` says so for every operator.

use super::gate::Gate;
use super::topk::{ordered, unordered, TopK};
use crate::cursor::term::TermCursor;
use crate::cursor::window::Window;
use crate::cursor::{BoxCursor, Cursor};
use crate::score::{Leaf, Scale, Scoring};
use crate::segment::visible::Visibility;
use crate::segment::{DocId, Segment, END};

/// A segment as its documents are offered to the best.
pub struct Offer<'a, 't> {
    /// The segment and its place in the snapshot.
    pub segment: &'a Segment,
    /// Its place in the snapshot.
    pub number: usize,
    /// What the query sees of it.
    pub visible: &'t Visibility<'a>,
    /// The scorer.
    pub scoring: &'a Scoring,
    /// The best so far, of all segments.
    pub top: &'t mut TopK,
}

impl Offer<'_, '_> {
    /// What a tree must be worth to be looked at, by [`Scoring::ceiling`]'s reckoning: more than this.
    pub(super) fn floor(&self) -> Option<f64> {
        let threshold = unordered(self.top.threshold()?);
        let outer = self.outer();
        // Where every document's score is 0, none is better than those there are.
        Some(if outer == 1.0 {
            threshold
        } else if outer > 0.0 {
            // A hair less: exact ceilings are only exact as they are.
            let floor = threshold / outer;
            floor - floor.abs() * 1e-9
        } else {
            f64::INFINITY
        })
    }

    /// What ceilings are multiplied by.
    fn outer(&self) -> f64 {
        self.scoring.outer_ceiling(self.segment.max_score())
    }

    /// The score that a document must exceed.
    pub(super) fn least(&self) -> f64 {
        self.top.threshold().map_or(f64::NEG_INFINITY, unordered)
    }

    /// Offers every document of a segment.
    pub fn all(&mut self, leaf: &Leaf, gate: &mut Gate<'_>) {
        let mut least = self.least();
        for doc in 0..self.visible.end() {
            if !gate.admits(doc) {
                continue;
            }
            let scale = self.scale(doc);
            let score = self.scoring.result(&scale, leaf.value(1, &scale), 1.0);
            if score > least && self.visible.contains(doc) {
                self.offer(doc, score);
                least = self.least();
                gate.narrow(least);
            }
        }
    }

    #[inline]
    pub(super) fn scale(&self, doc: DocId) -> Scale {
        self.scoring.scale(self.segment.facts(doc))
    }

    fn offer(&mut self, doc: DocId, score: f64) {
        self.top.offer(ordered(score), self.number, doc);
    }

    /// Offers a document whose tree is worth `tree`, if it is worth looking at.
    pub(super) fn offer_tree(&mut self, doc: DocId, scale: &Scale, tree: f64, proximity: impl FnOnce() -> f64) {
        let best = self.scoring.result(scale, tree, 1.0);
        if self.top.threshold().is_some_and(|threshold| ordered(best) <= threshold) || !self.visible.contains(doc) {
            return;
        }
        let divisor = if self.scoring.needs_proximity() { proximity() } else { 1.0 };
        self.offer(doc, self.scoring.result(scale, tree, divisor));
    }

    /// Offers the document that a cursor is at.
    pub fn offer_current(&mut self, cursor: &mut BoxCursor<'_>) {
        let doc = cursor.doc();
        let scale = self.scale(doc);
        let tree = cursor.score(&scale);
        self.offer_tree(doc, &scale, tree, || cursor.proximity());
    }

    /// Offers all documents of one term.
    pub fn one_term(&mut self, cursor: &mut TermCursor<'_>, gate: &mut Gate<'_>) {
        let leaf = cursor.leaf();
        while cursor.doc() != END && cursor.doc() < self.visible.end() {
            if let Some(floor) = self.floor() {
                if cursor.skip_blocks(floor) == END {
                    break;
                }
            }
            let mut least = self.least();
            gate.narrow(least);
            // Most blocks have no document that may be good enough, and then need no frequencies.
            if cursor.docs_of_block().iter().any(|&doc| gate.admits(doc)) {
                let (docs, freqs) = cursor.rest_of_block();
                for (&doc, &freq) in docs.iter().zip(freqs).filter(|(&doc, _)| gate.admits(doc)) {
                    let scale = self.scale(doc);
                    let score = self.scoring.result(&scale, leaf.value(freq, &scale), 1.0);
                    if score > least && self.visible.contains(doc) {
                        self.offer(doc, score);
                        least = self.least();
                    }
                }
            }
            cursor.next_block();
        }
    }

    /// Offers the documents of a window, all of which a tree has and the query sees.
    pub fn window(&mut self, cursor: &mut BoxCursor<'_>, window: &Window, gate: &mut Gate<'_>) {
        // Up to `known` the tree's bound is known, and above the floor or not.
        let (mut known, mut good) = (None, true);
        window.for_each(|doc| {
            if !gate.admits(doc) {
                return;
            }
            if known.is_none_or(|known| doc > known) {
                good = true;
                if let Some(floor) = self.floor() {
                    let bound = cursor.bound(doc);
                    known = Some(bound.up_to);
                    good = bound.score > floor;
                }
            }
            if good && cursor.seek(doc) == doc {
                self.offer_current(cursor);
                gate.narrow(self.least());
            }
        });
    }
}

/// How far apart a document's terms stand, asked of a cursor that is only made when somebody asks.
pub(super) struct Apart<'c, F> {
    make: Option<F>,
    cursor: Option<BoxCursor<'c>>,
}

impl<'c, F: FnOnce() -> BoxCursor<'c>> Apart<'c, F> {
    pub(super) fn new(make: F) -> Self {
        Self { make: Some(make), cursor: None }
    }

    /// The divisor of a document that matches; documents come in order.
    pub(super) fn proximity(&mut self, doc: DocId) -> f64 {
        if let Some(make) = self.make.take() {
            self.cursor = Some(make());
        }
        let Some(cursor) = &mut self.cursor else { return 1.0 };
        if cursor.seek(doc) == doc {
            cursor.proximity()
        } else {
            // Only when the budget is used up.
            1.0
        }
    }
}

/// The terms of a union by what they can give: a document that only has weak ones is not good enough, once there are
/// enough good ones.
pub struct Leaders<'a> {
    /// Those that can give least first.
    cursors: Vec<TermCursor<'a>>,
    /// `sums[i]` is what the first i can give together.
    sums: Vec<f64>,
    /// Those before it cannot make a document good enough by themselves.
    leading: usize,
    scratch: Window,
}

impl<'a> Leaders<'a> {
    /// The leaders of a union of these terms, whose values add up.
    pub fn new(cursors: Vec<TermCursor<'a>>) -> Self {
        let mut ranked: Vec<(f64, TermCursor<'a>)> =
            cursors.into_iter().map(|cursor| (cursor.list_bound(), cursor)).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut sums = vec![0.0];
        for (bound, _) in &ranked {
            sums.push(sums[sums.len() - 1] + bound);
        }
        let cursors = ranked.into_iter().map(|(_, cursor)| cursor).collect();
        Self { cursors, sums, leading: 0, scratch: Window::default() }
    }

    /// Keeps of a window the documents that may be worth more than the floor. Windows come in order.
    pub fn narrow(&mut self, window: &mut Window, floor: f64) {
        while self.leading < self.cursors.len() && self.sums[self.leading + 1] <= floor {
            self.leading += 1;
        }
        if self.leading == 0 {
            return;
        }
        self.scratch.reset(window.start());
        for cursor in &mut self.cursors[self.leading..] {
            cursor.fill(&mut self.scratch);
        }
        window.intersect(&self.scratch);
    }
}
