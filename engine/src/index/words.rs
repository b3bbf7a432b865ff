//! How many different words does an index have?
//!
//! Each segment knows how many it has, but most words are in several. So dictionaries are merged when somebody asks.
//! What came of it is kept: sealed and frozen segments are counted again only when others have taken their place, and an
//! index at rest is not counted again at all.

use super::{lock, Index, State};
use crate::cursor::budget::Budget;
use crate::dict::pattern::Pattern;
use crate::dict::Space;
use crate::schema::ALL_FIELDS;
use crate::segment::Segment;
use fst::map::OpBuilder;
use fst::Streamer;
use std::sync::{Arc, Weak};

/// What was counted last.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Of which segments; what is live in them may have grown.
    state: Weak<State>,
    older: u64,
    /// How many words the live segment had.
    live: u64,
    all: u64,
}

/// What reading a key of a dictionary costs, in postings.
const KEY: u32 = 32;

impl Index {
    /// How many different words, and terms derived from words, documents have; those of dead versions count until their
    /// segment is merged. When the budget is used up, the number is too small.
    pub fn words(&self, budget: &Budget<'_>) -> u64 {
        let state = self.state();
        let mut counted = lock(&self.counted);
        let is_same_state = std::ptr::eq(counted.state.as_ptr(), &*state);
        let live = state.live.word_count();
        if is_same_state && counted.live == live {
            return counted.all;
        }
        let known = is_same_state.then_some(counted.older);
        // Whoever asks meanwhile counts for himself rather than wait.
        drop(counted);
        let older: Vec<&Segment> = state.older.iter().map(|segment| &**segment).collect();
        let in_older = known.unwrap_or_else(|| {
            let (sealed, frozen): (Vec<&Segment>, _) =
                older.iter().copied().partition(|segment| matches!(segment, Segment::Sealed(_)));
            let mut before = sealed.clone();
            let mut count = in_sealed(&sealed, budget);
            for segment in frozen {
                count += only_in(segment, &before, budget);
                before.push(segment);
            }
            count
        });
        let all = in_older + only_in(&state.live, &older, budget);
        if budget.stopped().is_none() {
            counted = lock(&self.counted);
            *counted = Counted { state: Arc::downgrade(&state), older: in_older, live, all };
        }
        all
    }
}

/// How many words some sealed segments have together.
fn in_sealed(segments: &[&Segment], budget: &Budget<'_>) -> u64 {
    if let [one] = segments {
        return one.word_count();
    }
    let mut all = OpBuilder::new();
    for segment in segments {
        if let Segment::Sealed(segment) = segment {
            all.push(segment.dict.of_space(Space::Text));
        }
    }
    let (mut union, mut count) = (all.union(), 0);
    while union.next().is_some() && !budget.spend(KEY) {
        count += 1;
    }
    count
}

/// How many words of a segment none of the others has.
fn only_in(segment: &Segment, others: &[&Segment], budget: &Budget<'_>) -> u64 {
    if others.is_empty() {
        return segment.word_count();
    }
    // Gathered first, so that the writer of a live segment waits for a look at its terms only, not at all the others'.
    let mut words: Vec<Box<[u8]>> = Vec::new();
    segment.matching(Space::Text, &Pattern::prefix(b""), ALL_FIELDS, budget, |word| {
        words.push(Space::Text.key(word).into());
        true
    });
    let is_new = |word: &[u8]| !budget.spend(KEY) && !others.iter().any(|other| other.has(word));
    words.iter().filter(|word| is_new(word)).count() as u64
}
