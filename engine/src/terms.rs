//! Which terms does an index have, and in how many documents is each?
//!
//! Dictionaries of segments keep a term until a merge drops the last of its dead versions; what is said
//! here counts only what a snapshot sees.

use crate::cursor::budget::Budget;
use crate::dict::pattern::Pattern;
use crate::dict::Space;
use crate::index::Snapshot;
use crate::postings::BLOCK;
use crate::schema::{FieldId, ALL_FIELDS};
use crate::segment::visible::Visibility;
use crate::segment::Segment;
use crate::spellcheck::Vocabulary;
use crate::text::{Term, TermKind};
use std::collections::BTreeSet;

/// The tags that documents have in a field, in the order of their bytes (`FT.TAGVALS`).
pub fn tag_values(snapshot: &Snapshot, field: FieldId, budget: &Budget<'_>) -> Vec<Box<[u8]>> {
    terms(snapshot, Space::Tag(field), &Pattern::prefix(b""), budget).into_iter().collect()
}

/// The terms of a space that match and that some document has.
fn terms(snapshot: &Snapshot, space: Space, pattern: &Pattern, budget: &Budget<'_>) -> BTreeSet<Box<[u8]>> {
    let mut known: BTreeSet<Box<[u8]>> = BTreeSet::new();
    for segment in snapshot.segments() {
        let visible = segment.visible(snapshot.seq());
        // Gathered first: while a live dictionary is walked, its lists cannot be asked for.
        let mut found: Vec<Box<[u8]>> = Vec::new();
        segment.matching(space, pattern, ALL_FIELDS, budget, |term| {
            if !known.contains(term) {
                found.push(term.into());
            }
            !budget.spend(16)
        });
        let alive = |term: &[u8]| visible.all() || count(segment, &visible, &space.key(term), 1, budget) > 0;
        known.extend(found.into_iter().filter(|term| alive(term)));
    }
    known
}

/// How many documents of a segment have a key; looks for no more than `enough`.
fn count(segment: &Segment, visible: &Visibility<'_>, key: &[u8], enough: u64, budget: &Budget<'_>) -> u64 {
    let Some(list) = segment.list(key) else { return 0 };
    if visible.all() {
        return list.len() as u64;
    }
    let mut docs = [0; BLOCK];
    let mut total = 0;
    for block in 0..list.block_count() {
        if total >= enough || budget.spend(BLOCK as u32) {
            break;
        }
        let count = list.decode_docs(block, &mut docs);
        total += docs[..count].iter().filter(|&&doc| visible.contains(doc)).count() as u64;
    }
    total
}

/// What finding a term costs, in postings.
const LOOK_UP: u32 = 64;

/// The words of an index, for spell checking.
#[derive(Debug)]
pub struct Words<'a> {
    snapshot: &'a Snapshot,
    budget: &'a Budget<'a>,
}

impl<'a> Words<'a> {
    /// The words of what a snapshot sees. Once the budget is used up there are no more.
    pub fn new(snapshot: &'a Snapshot, budget: &'a Budget<'a>) -> Self {
        Self { snapshot, budget }
    }

    fn documents_with_key(&self, key: &[u8]) -> usize {
        if self.budget.spend(LOOK_UP) {
            return 0;
        }
        let seq = self.snapshot.seq();
        let counts = self.snapshot.segments().map(|segment| {
            let visible = segment.visible(seq);
            count(segment, &visible, key, u64::MAX, self.budget)
        });
        counts.sum::<u64>() as usize
    }
}

impl Vocabulary for Words<'_> {
    fn documents(&self) -> usize {
        self.snapshot.documents() as usize
    }

    fn documents_with(&self, word: &str) -> usize {
        self.documents_with_key(&Space::Text.key(&Term::word(word).key()))
    }

    fn spend(&self, units: u32) -> bool {
        self.budget.spend(units)
    }

    fn similar(&self, word: &str, distance: u8, found: &mut dyn FnMut(&str, usize)) {
        let pattern = Pattern::fuzzy(word.as_bytes(), distance);
        for term in terms(self.snapshot, Space::Text, &pattern, self.budget) {
            let (TermKind::Word, text) = TermKind::of_key(&term) else { continue };
            if let Ok(text) = std::str::from_utf8(text) {
                found(text, self.documents_with_key(&Space::Text.key(&term)));
            }
        }
    }
}
