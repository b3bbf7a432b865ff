//! index/: the documents of one index, from change to snapshot.
//!
//! [`Index`] takes changes in order of their numbers ([`Index::apply`], one writer at a time),
//! hands out snapshots ([`Index::arrive`], [`Index::snapshot`]), and is kept in shape from a
//! background thread ([`Index::maintain`]). Only these wait for one another: two writers, and for a
//! moment a reader and the writer at the live segment's terms. Queries hold nothing.
//!
//! Lock order: writer, keys, state, pins, applied.

pub mod document;
mod image;
mod keys;
mod maintain;
mod occurrences;
mod snapshot;
mod words;

pub use image::{Image, Restored};
pub use snapshot::{Arrival, Snapshot};

use crate::dict::suffix::Suffixed;
use crate::postings::Counts;
use crate::segment::live::{LiveSegment, CAPACITY};
use crate::segment::{DocId, Memory, Segment, Seq};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use document::Document;
use keys::KeyTable;
use snapshot::Pins;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use words::Counted;

/// What happens to one key.
#[derive(Debug)]
pub enum Change {
    /// The document is there, in this form. An older version of it dies.
    Upsert(Box<Document>),
    /// The document with this key is gone.
    Delete(Box<[u8]>),
    /// Nothing that this index would see; only the number is used up.
    Nothing,
}

/// A change came with a number that is not above the last one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfOrder;

/// How an index is kept.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Documents after which the live segment is frozen.
    pub live_documents: usize,
    /// Bytes after which it is.
    pub live_bytes: usize,
    /// Adjacent segments of a size that are merged into one.
    pub fan_out: usize,
    /// Documents of the largest segment that merging makes.
    pub segment_documents: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { live_documents: 20_000, live_bytes: 64 << 20, fan_out: 4, segment_documents: 8 << 20 }
    }
}

/// Figures of an index, as of the last change that was applied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Living documents.
    pub documents: u64,
    /// The sum of their lengths.
    pub total_len: u64,
    /// Versions held, dead ones included.
    pub versions: u64,
    /// Postings, their positions and blocks, those of dead versions included.
    pub postings: Counts,
    /// Segments, the live one included.
    pub segments: u64,
    /// The number of the last change applied.
    pub applied: Seq,
    /// Bytes held.
    pub memory: Memory,
}

/// The segments at one moment. Replaced as a whole when one is frozen, sealed or merged.
#[derive(Debug)]
struct State {
    /// Sealed ones and such as wait for it, in order of birth.
    older: Vec<Arc<Segment>>,
    live: Arc<Segment>,
}

/// The documents of one index.
#[derive(Debug)]
pub struct Index {
    limits: Limits,
    /// Held while a change is applied, and while segments take others' place.
    writer: Mutex<()>,
    state: RwLock<Arc<State>>,
    keys: Arc<RwLock<KeyTable>>,
    assigned: AtomicU64,
    applied: Mutex<Seq>,
    progress: Condvar,
    pins: Pins,
    maintenance: Mutex<()>,
    suffixed: RwLock<Arc<Suffixed>>,
    documents: AtomicU64,
    total_len: AtomicU64,
    counted: Mutex<Counted>,
}

impl Default for Index {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Index {
    /// An index without documents.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits {
            live_documents: limits.live_documents.clamp(1, CAPACITY),
            fan_out: limits.fan_out.max(2),
            ..limits
        };
        let live = Arc::new(Segment::Live(LiveSegment::default()));
        Self {
            limits,
            writer: Mutex::new(()),
            state: RwLock::new(Arc::new(State { older: Vec::new(), live })),
            keys: Arc::default(),
            assigned: AtomicU64::new(0),
            applied: Mutex::new(0),
            progress: Condvar::new(),
            pins: Pins::default(),
            maintenance: Mutex::new(()),
            suffixed: RwLock::default(),
            documents: AtomicU64::new(0),
            total_len: AtomicU64::new(0),
            counted: Mutex::default(),
        }
    }

    /// Says of which fields segments that are built from now on keep suffixes: for
    /// [`Suffixed::of`] the schema, whenever there is a new one. Without, everything is found too, only slower.
    pub fn keep_suffixes(&self, suffixed: Suffixed) {
        *self.suffixed.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(suffixed);
    }

    fn suffixed(&self) -> Arc<Suffixed> {
        Arc::clone(&self.suffixed.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number for the next change. To be called where changes have an order: with the server
    /// lock held.
    pub fn assign(&self) -> Seq {
        self.assigned.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The last number given out.
    pub fn assigned(&self) -> Seq {
        self.assigned.load(Ordering::Acquire)
    }

    /// Applies a change. Numbers must come in increasing order; those between are taken to be
    /// nothing. Queries that wait for the number go on.
    ///
    /// # Errors
    /// When the number is not above that of the last change; nothing happens then.
    pub fn apply(&self, seq: Seq, change: Change) -> Result<(), OutOfOrder> {
        let _writer = lock(&self.writer);
        if seq <= *lock(&self.applied) {
            return Err(OutOfOrder);
        }
        self.assigned.fetch_max(seq, Ordering::AcqRel);
        match change {
            Change::Upsert(document) => self.upsert(*document, seq),
            Change::Delete(key) => self.kill(&key, seq),
            Change::Nothing => {}
        }
        *lock(&self.applied) = seq;
        self.progress.notify_all();
        Ok(())
    }

    /// Assigns a number and applies: for those who have no queue.
    ///
    /// # Errors
    /// As [`Index::apply`], when others assign numbers at the same time.
    pub fn apply_now(&self, change: Change) -> Result<Seq, OutOfOrder> {
        let seq = self.assign();
        self.apply(seq, change).map(|()| seq)
    }

    fn upsert(&self, document: Document, seq: Seq) {
        let hash = keys::hash(document.key());
        self.kill(document.key(), seq);
        let len = u64::from(document.facts().len);
        let live = Arc::clone(&self.state().live);
        if let Segment::Live(segment) = &*live {
            if let Err(document) = segment.insert(document, seq) {
                // Only when the limit was lowered under a full segment.
                self.freeze();
                if let Segment::Live(segment) = &*Arc::clone(&self.state().live) {
                    let inserted = segment.insert(*document, seq);
                    debug_assert!(inserted.is_ok(), "a new segment has room");
                }
            }
        }
        self.write_keys().insert(hash, seq);
        self.documents.fetch_add(1, Ordering::Relaxed);
        self.total_len.fetch_add(len, Ordering::Relaxed);
        let live = Arc::clone(&self.state().live);
        if live.len() as usize >= self.limits.live_documents || live.memory().total() >= self.limits.live_bytes {
            self.freeze();
        }
    }

    fn kill(&self, key: &[u8], seq: Seq) {
        let hash = keys::hash(key);
        let state = self.state();
        let born = self.read_keys().living(hash, |born| state.has_key(born, key));
        let Some(born) = born else { return };
        if let Some((segment, doc)) = state.locate(born) {
            let segment = state.segment(segment);
            segment.kill(doc, seq);
            self.documents.fetch_sub(1, Ordering::Relaxed);
            self.total_len.fetch_sub(u64::from(segment.facts(doc).len), Ordering::Relaxed);
        }
        self.write_keys().bury(hash, born);
    }

    /// Puts an empty segment in the live one's place. The writer's lock must be held.
    fn freeze(&self) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        *state = Arc::new(state.frozen());
    }

    /// The number of the last change that was applied.
    pub fn applied(&self) -> Seq {
        *lock(&self.applied)
    }

    /// Waits until the change with this number is applied, or until `deadline`. Says whether it is.
    pub fn wait_applied(&self, seq: Seq, deadline: Instant) -> bool {
        let mut applied = lock(&self.applied);
        while *applied < seq {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return false;
            }
            applied = self.progress.wait_timeout(applied, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// The birth number of the living version of a key. When it is above a snapshot's number, the
    /// document has changed since; `None` when it is gone.
    pub fn current(&self, key: &[u8]) -> Option<Seq> {
        let state = self.state();
        self.read_keys().living(keys::hash(key), |born| state.has_key(born, key))
    }

    /// Figures for `FT.INFO`.
    pub fn figures(&self) -> Figures {
        let state = self.state();
        let mut figures = Figures {
            documents: self.documents.load(Ordering::Relaxed),
            total_len: self.total_len.load(Ordering::Relaxed),
            applied: self.applied(),
            ..Figures::default()
        };
        for segment in state.segments() {
            figures.segments += 1;
            figures.versions += u64::from(segment.len());
            figures.postings += segment.counts();
            figures.memory += segment.memory();
        }
        figures.memory.keys = self.read_keys().memory();
        figures
    }

    fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn read_keys(&self) -> RwLockReadGuard<'_, KeyTable> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_keys(&self) -> RwLockWriteGuard<'_, KeyTable> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The same with an empty segment in the live one's place.
    fn frozen(&self) -> Self {
        let older = self.segments().cloned().collect();
        Self { older, live: Arc::new(Segment::Live(LiveSegment::default())) }
    }

    fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.older.iter().chain(std::iter::once(&self.live))
    }

    fn len(&self) -> usize {
        self.older.len() + 1
    }

    fn segment(&self, at: usize) -> &Arc<Segment> {
        self.older.get(at).unwrap_or(&self.live)
    }

    /// The version born at this number: its segment's place and its id.
    fn locate(&self, born: Seq) -> Option<(usize, DocId)> {
        // Segments are in order of birth, and none of the older ones is empty.
        let after = self.older.partition_point(|segment| segment.life(0).0 <= born);
        let within = |at: usize| {
            let segment = self.segment(at);
            let doc = segment.first_born_from(born);
            (doc < segment.len() && segment.life(doc).0 == born).then_some((at, doc))
        };
        after.checked_sub(1).and_then(within).or_else(|| within(self.older.len()))
    }

    fn has_key(&self, born: Seq, key: &[u8]) -> bool {
        self.locate(born).is_some_and(|(at, doc)| self.segment(at).with_key(doc, |found| found == key))
    }
}

/// Takes a lock whose data stay sound when a holder panics: each is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
