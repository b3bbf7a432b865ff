//! What is done in the background so that queries stay fast?
//!
//! Frozen segments are sealed as soon as they are there. Sealed ones are merged in tiers: a tier is
//! a power of the fan-out, and `fan_out` or more neighbours of one tier or below become one segment
//! of the next. Only neighbours, so that segments stay in order of birth. A segment of which many
//! versions are dead is written anew by itself.

use super::{keys, lock, Index, Segment, State};
use crate::segment::build::{build, Built};
use crate::segment::Seq;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

/// A segment is written anew when more than one version of so many is dead.
const DEAD_SHARE: u32 = 4;

/// Neighbours merged at once at most.
const MAX_MERGED: usize = 16;

/// Bytes of merged segments at most: places in a segment are numbers of 32 bits.
const MAX_BYTES: usize = u32::MAX as usize;

/// Dead versions forgotten with the key table held.
const FORGET_AT_ONCE: usize = 256;

impl Index {
    /// Does one piece of what is to be done, and says whether it did something: call again until
    /// not. One thread at a time works; others return at once. `stop` is asked now and then; when it
    /// says true the piece is given up without effect.
    pub fn maintain(&self, stop: &dyn Fn() -> bool) -> bool {
        let Ok(_alone) = self.maintenance.try_lock() else { return false };
        match self.next_piece() {
            Some(range) => self.rebuild(range, stop),
            None => false,
        }
    }

    /// Seals the live segment even though it is not full, and merges everything into one segment.
    /// For tests, benches, and a snapshot that is to be small.
    pub fn compact(&self) {
        let writer = lock(&self.writer);
        if !self.state().live.is_empty() {
            self.freeze();
        }
        drop(writer);
        let _alone = lock(&self.maintenance);
        let count = self.state().older.len();
        if count > 0 {
            self.rebuild(0..count, &|| false);
        }
    }

    /// Freezes the live segment even though it is not full, so that [`Index::maintain`] seals it.
    pub fn freeze_live(&self) {
        let _writer = lock(&self.writer);
        if !self.state().live.is_empty() {
            self.freeze();
        }
    }

    /// Whether a segment waits to be sealed.
    pub fn has_frozen(&self) -> bool {
        first_frozen(&self.state()).is_some()
    }

    fn next_piece(&self) -> Option<Range<usize>> {
        let state = self.state();
        if let Some(at) = first_frozen(&state) {
            return Some(at..at + 1);
        }
        self.tier_to_merge(&state).or_else(|| self.mostly_dead(&state))
    }

    fn mostly_dead(&self, state: &State) -> Option<Range<usize>> {
        let horizon = self.horizon();
        let at = state.older.iter().position(|segment| {
            // Deaths that a query may still look behind cannot be dropped yet.
            segment.deaths() > segment.len() / DEAD_SHARE
                && (0..segment.len()).filter(|&doc| segment.life(doc).1 <= horizon).count()
                    > (segment.len() / DEAD_SHARE) as usize
        })?;
        Some(at..at + 1)
    }

    fn tier_to_merge(&self, state: &State) -> Option<Range<usize>> {
        let fan_out = self.limits.fan_out;
        let tier = |segment: &Segment| {
            let living = (segment.len() - segment.deaths().min(segment.len())) as usize;
            (living / self.limits.live_documents).max(1).ilog(fan_out)
        };
        let tiers: Vec<u32> = state.older.iter().map(|segment| tier(segment)).collect();
        for highest in 0..=tiers.iter().copied().max()? {
            let mut start = 0;
            while start < tiers.len() {
                let run = tiers[start..].iter().take_while(|&&tier| tier <= highest).count();
                if run >= fan_out {
                    let range = start..start + run.min(MAX_MERGED);
                    let (mut documents, mut bytes) = (0, 0);
                    for segment in &state.older[range.clone()] {
                        documents += segment.len() as usize;
                        bytes += segment.memory().total();
                    }
                    if documents <= self.limits.segment_documents && bytes <= MAX_BYTES {
                        return Some(range);
                    }
                }
                start += run.max(1);
            }
        }
        None
    }

    /// Builds one segment of a range of the older ones. Only the holder of `maintenance` changes
    /// these, so that the range stays what it is.
    fn rebuild(&self, range: Range<usize>, stop: &dyn Fn() -> bool) -> bool {
        let sources: Vec<Arc<Segment>> = self.state().older[range.clone()].to_vec();
        let Some(built) = build(sources, self.horizon(), &self.suffixed(), stop) else { return false };
        let buried = self.left_out(&built);
        self.replace(range, built);
        for some in buried.chunks(FORGET_AT_ONCE) {
            let mut keys = self.write_keys();
            some.iter().for_each(|&(hash, born)| keys.forget(hash, born));
        }
        true
    }

    /// Hash and birth of the versions that a new segment leaves out.
    fn left_out(&self, built: &Built) -> Vec<(u64, Seq)> {
        let version = |(source, doc): (usize, u32)| {
            let segment = &built.sources()[source];
            (segment.with_key(doc, keys::hash), segment.life(doc).0)
        };
        built.left_out().into_iter().map(version).collect()
    }

    fn replace(&self, range: Range<usize>, built: Built) {
        // With the writer stopped, no version dies between taking deaths over and publishing.
        let _writer = lock(&self.writer);
        built.take_over_deaths();
        let segment = built.into_segment();
        let new = (!segment.docs().is_empty()).then(|| Arc::new(Segment::Sealed(segment)));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut older = state.older.clone();
        older.splice(range, new);
        *state = Arc::new(State { older, live: Arc::clone(&state.live) });
    }
}

/// The place of the oldest segment that is full and not sealed.
fn first_frozen(state: &State) -> Option<usize> {
    state.older.iter().position(|segment| matches!(**segment, Segment::Live(_)))
}
