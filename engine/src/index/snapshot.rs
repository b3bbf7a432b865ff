//! What does one query see?
//!
//! A query gets its number when it arrives, on the thread that gives changes theirs
//! ([`Index::arrive`]); that keeps the versions it will see from being merged away. When all changes
//! up to the number are applied, [`Index::snapshot`] takes hold of the segments, and from then on
//! nothing that happens to the index matters to the query.

use super::keys::{self, KeyTable};
use super::{lock, Index, State};
use crate::segment::{DocId, Segment, Seq};
use crate::sync::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// Numbers that queries have, with how many queries each.
pub(super) type Pins = Arc<Mutex<BTreeMap<Seq, usize>>>;

/// A query's number. While it or a snapshot of it lives, no version that is visible at the number is
/// merged away.
#[derive(Debug)]
pub struct Arrival {
    pin: Arc<Pin>,
}

/// What keeps versions from being merged away.
#[derive(Debug)]
pub(super) struct Pin {
    pins: Pins,
    pub(super) seq: Seq,
}

impl Arrival {
    /// The number.
    pub fn seq(&self) -> Seq {
        self.pin.seq
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut pins = lock(&self.pins);
        if let Some(count) = pins.get_mut(&self.seq) {
            *count -= 1;
            if *count == 0 {
                pins.remove(&self.seq);
            }
        }
    }
}

/// The documents of an index as of one number.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pin: Arc<Pin>,
    state: Arc<State>,
    keys: Arc<RwLock<KeyTable>>,
    documents: u64,
    total_len: u64,
}

impl Index {
    /// Gives a query the number of the last change that was assigned one.
    pub fn arrive(&self) -> Arrival {
        Arrival { pin: self.pin(Self::assigned) }
    }

    /// The snapshot of a query that has arrived. `None` while a change up to its number is not yet
    /// applied; [`Index::wait_applied`] waits for that.
    pub fn snapshot(&self, arrival: &Arrival) -> Option<Snapshot> {
        if self.applied() < arrival.seq() {
            return None;
        }
        Some(self.at(Arc::clone(&arrival.pin)))
    }

    /// A snapshot of what is applied by now.
    pub fn latest(&self) -> Snapshot {
        self.at(self.pin(Self::applied))
    }

    fn pin(&self, seq: impl FnOnce(&Self) -> Seq) -> Arc<Pin> {
        // With the lock held, so that no merge can settle on a later horizon in between.
        let mut pins = lock(&self.pins);
        let seq = seq(self);
        self.pin_in(&mut pins, seq)
    }

    pub(super) fn pin_in(&self, pins: &mut BTreeMap<Seq, usize>, seq: Seq) -> Arc<Pin> {
        *pins.entry(seq).or_default() += 1;
        Arc::new(Pin { pins: Arc::clone(&self.pins), seq })
    }

    fn at(&self, pin: Arc<Pin>) -> Snapshot {
        use crate::sync::atomic::Ordering::Relaxed;
        Snapshot {
            pin,
            state: self.state(),
            keys: Arc::clone(&self.keys),
            documents: self.documents.load(Relaxed),
            total_len: self.total_len.load(Relaxed),
        }
    }

    /// The least number that a query may still ask for: what died at or before it, none sees.
    pub(super) fn horizon(&self) -> Seq {
        let pins = lock(&self.pins);
        let applied = self.applied();
        pins.keys().next().map_or(applied, |&least| least.min(applied))
    }
}

impl Snapshot {
    /// The number whose changes are the last that it contains.
    pub fn seq(&self) -> Seq {
        self.pin.seq
    }

    /// How many segments there are.
    pub fn segment_count(&self) -> usize {
        self.state.len()
    }

    /// A segment; in order of birth, the live one last.
    pub fn segment(&self, at: usize) -> &Segment {
        self.state.segment(at)
    }

    /// All segments.
    pub fn segments(&self) -> impl Iterator<Item = &Segment> {
        self.state.segments().map(|segment| &**segment)
    }

    /// Living documents when the snapshot was taken. A statistic for scores: changes after the
    /// snapshot's number may be in it.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Mean length of a document, under the same reservation; 0 without documents.
    pub fn mean_len(&self) -> f64 {
        if self.documents == 0 {
            0.0
        } else {
            self.total_len as f64 / self.documents as f64
        }
    }

    /// A document's key.
    pub fn key(&self, segment: usize, doc: DocId) -> Vec<u8> {
        self.segment(segment).with_key(doc, <[u8]>::to_vec)
    }

    /// Where the version of `key` is that the snapshot sees: segment and document.
    pub fn find(&self, key: &[u8]) -> Option<(usize, DocId)> {
        let versions = self.keys.read().unwrap_or_else(PoisonError::into_inner).all(keys::hash(key));
        versions.into_iter().find_map(|born| {
            let (at, doc) = self.state.locate(born)?;
            let segment = self.segment(at);
            let (born, died) = segment.life(doc);
            let seen = born <= self.seq() && self.seq() < died;
            (seen && segment.with_key(doc, |found| found == key)).then_some((at, doc))
        })
    }
}
