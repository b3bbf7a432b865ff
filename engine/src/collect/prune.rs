//! How are the best documents found without looking at all that match?
//!
//! Blocks of postings know bounds of what their documents are worth. Once there are enough good
//! documents, a stretch whose bound is not above the worst of them is passed over: for a single
//! term block by block, for unions of terms by MaxScore (terms that cannot make a document good
//! enough by themselves do not lead), for other trees by the bound of the whole tree.
//!
//! The outcome is exactly that of looking at all of them; `engine/tests` says so for every operator.

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
    fn floor(&self) -> Option<f64> {
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
    pub fn all(&mut self, leaf: &Leaf) {
        let mut least = self.least();
        for doc in 0..self.visible.end() {
            let scale = self.scale(doc);
            let score = self.scoring.result(&scale, leaf.value(1, &scale), 1.0);
            if score > least && self.visible.contains(doc) {
                self.offer(doc, score);
                least = self.least();
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
    pub fn one_term(&mut self, cursor: &mut TermCursor<'_>) {
        let leaf = cursor.leaf();
        while cursor.doc() != END && cursor.doc() < self.visible.end() {
            if let Some(floor) = self.floor() {
                if cursor.skip_blocks(floor) == END {
                    break;
                }
            }
            let (docs, freqs) = cursor.rest_of_block();
            let mut least = self.least();
            for (&doc, &freq) in docs.iter().zip(freqs) {
                let scale = self.scale(doc);
                let score = self.scoring.result(&scale, leaf.value(freq, &scale), 1.0);
                if score > least && self.visible.contains(doc) {
                    self.offer(doc, score);
                    least = self.least();
                }
            }
            cursor.next_block();
        }
    }

    /// Offers the documents of a window, all of which a tree has and the query sees.
    pub fn window(&mut self, cursor: &mut BoxCursor<'_>, window: &Window) {
        // Up to `known` the tree's bound is known, and above the floor or not.
        let (mut known, mut good) = (None, true);
        window.for_each(|doc| {
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
            }
        });
    }

    /// Offers all documents of a union of terms, whose values add up. `tree` gives a cursor that knows how
    /// far apart a document's terms stand.
    pub fn any_term<'c>(&mut self, cursors: Vec<TermCursor<'c>>, tree: impl FnOnce() -> BoxCursor<'c>) {
        let mut union = MaxScore::new(cursors);
        let mut apart = Apart::new(tree);
        let outer = self.outer();
        loop {
            let floor = self.floor();
            let doc = union.lead(floor);
            if doc >= self.visible.end() {
                break;
            }
            let scale = self.scale(doc);
            if let Some(tree) = union.value(doc, &scale, scale.outer / scale.norm / outer, floor) {
                self.offer_tree(doc, &scale, tree, || apart.proximity(doc));
            }
        }
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

/// Terms of a union up to which the bounds of blocks are asked for: with more of them the stretches
/// that all blocks have in common are too short to be worth it.
const BLOCKWISE: usize = 8;

/// A union of terms of which some lead and others only follow.
struct MaxScore<'a> {
    /// Those that can give least first.
    cursors: Vec<TermCursor<'a>>,
    /// For each cursor, its place in the query.
    places: Vec<usize>,
    /// `sums[i]` is what the first i can give together.
    sums: Vec<f64>,
    /// Those before it cannot make a document good enough by themselves.
    leading: usize,
    /// Up to this document the blocks of all together may give enough.
    hopeful_to: Option<DocId>,
    /// What each gives for the current document, by place in the query: added up in that order, so
    /// that a sum does not depend on which of them led.
    values: Vec<f64>,
}

impl<'a> MaxScore<'a> {
    fn new(cursors: Vec<TermCursor<'a>>) -> Self {
        let mut ranked: Vec<(f64, usize, TermCursor<'a>)> =
            cursors.into_iter().enumerate().map(|(place, cursor)| (cursor.list_bound(), place, cursor)).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut sums = vec![0.0];
        for (bound, ..) in &ranked {
            sums.push(sums[sums.len() - 1] + bound);
        }
        let values = vec![0.0; ranked.len()];
        let (places, cursors) = ranked.into_iter().map(|(_, place, cursor)| (place, cursor)).unzip();
        Self { cursors, places, sums, leading: 0, hopeful_to: None, values }
    }

    /// The next document that may be good enough, or [`END`].
    fn lead(&mut self, floor: Option<f64>) -> DocId {
        if let Some(floor) = floor {
            while self.leading < self.cursors.len() && self.sums[self.leading + 1] <= floor {
                self.leading += 1;
            }
        }
        loop {
            let doc = self.cursors[self.leading..].iter().map(Cursor::doc).min().unwrap_or(END);
            let Some(floor) = floor.filter(|_| self.cursors.len() <= BLOCKWISE) else { return doc };
            if doc == END || self.hopeful_to.is_some_and(|hopeful_to| doc <= hopeful_to) {
                return doc;
            }
            let (mut bound, mut up_to) = (0.0, END - 1);
            for cursor in &mut self.cursors {
                let part = cursor.bound(doc);
                bound += part.score;
                up_to = up_to.min(part.up_to);
            }
            if bound > floor {
                self.hopeful_to = Some(up_to);
                return doc;
            }
            for cursor in &mut self.cursors[self.leading..] {
                cursor.seek(up_to + 1);
            }
        }
    }

    /// What a document is worth, and the leaders move past it. `None` when it turns out that it is
    /// not good enough; `outer` is the share of a tree's ceiling that this document gets.
    fn value(&mut self, doc: DocId, scale: &Scale, outer: f64, floor: Option<f64>) -> Option<f64> {
        self.values.fill(0.0);
        let mut reached = 0.0;
        for at in self.leading..self.cursors.len() {
            let cursor = &mut self.cursors[at];
            if cursor.doc() == doc {
                let value = cursor.score(scale);
                self.values[self.places[at]] = value;
                reached += value;
                cursor.next();
            }
        }
        // Followers are asked from the strongest down, until the rest cannot matter.
        for at in (0..self.leading).rev() {
            if floor.is_some_and(|floor| reached * outer * (1.0 + 1e-9) + self.sums[at + 1] <= floor) {
                return None;
            }
            let cursor = &mut self.cursors[at];
            if cursor.seek(doc) == doc {
                let value = cursor.score(scale);
                self.values[self.places[at]] = value;
                reached += value;
            }
        }
        Some(self.values.iter().sum())
    }
}
