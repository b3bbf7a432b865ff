//! How does a change get from the keyspace into an index without holding the server up?
//!
//! The thread that holds the server's lock numbers the change, copies the fields and appends them here.
//! Indexing threads read documents side by side (that is where the time goes) and one of them at a
//! time applies what is ready, in the order of the numbers.

use std::collections::{HashMap, VecDeque};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::error::ValueError;
use engine::index::{Change, Index};
use engine::ingest::Reader;
use engine::segment::Seq;
use engine::text::AnalysisLimits;

use super::View;
use crate::settings;

/// The copied fields of a key, in the order of [`View::identifiers`].
#[derive(Debug)]
pub struct Fields {
    /// How they are to be read.
    pub view: Arc<View>,
    /// `None` for a field that the key has not.
    pub values: Vec<Option<Box<[u8]>>>,
}

impl Fields {
    /// The value of a hash field.
    pub fn value(&self, identifier: &[u8]) -> Option<&[u8]> {
        self.values.get(self.view.place(identifier)?)?.as_deref()
    }

    /// Reads the document `key`.
    ///
    /// # Errors
    /// The value that is not of its field's type.
    pub fn document(&self, key: &[u8]) -> Result<engine::index::document::Document, ValueError> {
        let View { schema, options, synonyms, .. } = &*self.view;
        let reader = Reader { schema, options, synonyms, limits: analysis_limits() };
        reader.document(key, |identifier| self.value(identifier))
    }

    /// Whether the key with these fields passes the index's filter.
    pub fn belong(&self, key: &[u8]) -> bool {
        self.view.filter.as_ref().is_none_or(|filter| filter.passes(key, self))
    }

    fn bytes(&self) -> usize {
        self.values.iter().flatten().map(|value| value.len()).sum()
    }
}

/// The shortest words that are stemmed, and found by their sound.
pub fn analysis_limits() -> AnalysisLimits {
    AnalysisLimits {
        min_stem_bytes: settings::MIN_STEM_LEN.count(),
        min_phonetic_bytes: settings::MIN_PHONETIC_TERM_LEN.count(),
    }
}

/// What is to be done with a key.
#[derive(Debug)]
pub enum Update {
    /// It has these fields now.
    Fields(Fields),
    /// It is gone, or does not belong to the index any more.
    Gone,
}

/// What waits in a queue.
#[derive(Debug, Clone, Copy)]
pub struct Backlog {
    /// Changes that nobody has begun to read.
    pub unread: usize,
    /// Bytes of all that are not applied.
    pub bytes: usize,
}

/// The changes of one index that are not applied yet.
#[derive(Default)]
pub struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    /// In the order of their numbers.
    slots: VecDeque<Slot>,
    /// How many slots from the front somebody has taken to read.
    taken: usize,
    /// Slots that were applied and removed so far: the ordinal of the first one.
    removed: u64,
    bytes: usize,
    applying: bool,
    /// The last number of each key that has a slot.
    pending: HashMap<Arc<[u8]>, Seq>,
}

struct Slot {
    seq: Seq,
    key: Arc<[u8]>,
    bytes: usize,
    step: Step,
}

enum Step {
    Raw(Update),
    /// Somebody reads it.
    Taken,
    Ready(Change),
}

/// What a slot costs besides its key and values.
const SLOT_BYTES: usize = size_of::<Slot>() + size_of::<(Arc<[u8]>, Seq)>() + 64;

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers changes and appends them. Under the server's lock, so that numbers come in order.
    pub fn push<K: AsRef<[u8]>>(&self, documents: &Index, changes: impl IntoIterator<Item = (K, Update)>) -> Backlog {
        let mut state = self.state();
        for (key, update) in changes {
            let seq = documents.assign();
            let key: Arc<[u8]> = key.as_ref().into();
            let values = if let Update::Fields(fields) = &update { fields.bytes() } else { 0 };
            let bytes = SLOT_BYTES + key.len() + values;
            state.bytes += bytes;
            state.pending.insert(Arc::clone(&key), seq);
            state.slots.push_back(Slot { seq, key, bytes, step: Step::Raw(update) });
        }
        Backlog { unread: state.slots.len() - state.taken, bytes: state.bytes }
    }

    /// The number of the last change of a key that is not applied yet.
    pub fn pending(&self, key: &[u8]) -> Option<Seq> {
        self.state().pending.get(key).copied()
    }

    /// The keys whose changes are not applied yet.
    pub(super) fn keys(&self) -> Vec<Arc<[u8]>> {
        self.state().pending.keys().cloned().collect()
    }

    /// Changes that are not applied yet.
    pub fn len(&self) -> usize {
        self.state().slots.len()
    }

    /// Whether all changes are applied.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes that nobody has begun to read.
    pub fn unread(&self) -> usize {
        let state = self.state();
        state.slots.len() - state.taken
    }

    /// Bytes that the queue holds.
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Reads one document and applies what is ready. Returns false when there was nothing to read. `failed` is told
    /// of a document that could not be read.
    pub fn work_one(&self, documents: &Index, failed: &dyn Fn(&ValueError, &[u8])) -> bool {
        let mut state = self.state();
        let at = state.taken;
        let Some(slot) = state.slots.get_mut(at) else { return false };
        let Step::Raw(update) = std::mem::replace(&mut slot.step, Step::Taken) else { return false };
        let key = Arc::clone(&slot.key);
        let ordinal = state.removed + at as u64;
        state.taken += 1;
        drop(state);
        // A document that makes the reader panic is not indexed; those behind it are.
        let change = panic::catch_unwind(AssertUnwindSafe(|| read(&key, &update, failed)))
            .unwrap_or_else(|_| Change::Delete((&*key).into()));
        drop(update);
        let mut state = self.state();
        let at = (ordinal - state.removed) as usize;
        state.slots[at].step = Step::Ready(change);
        self.apply_ready(state, documents);
        true
    }

    /// Applies from the front what has been read. One thread at a time; it also takes what others make ready
    /// meanwhile.
    fn apply_ready<'a>(&'a self, mut state: MutexGuard<'a, State>, documents: &Index) {
        if std::mem::replace(&mut state.applying, true) {
            return;
        }
        while let Some(Slot { step: Step::Ready(change), seq, .. }) = state.slots.front_mut() {
            let (seq, change) = (*seq, std::mem::replace(change, Change::Nothing));
            drop(state);
            let applied = documents.apply(seq, change);
            debug_assert!(applied.is_ok(), "numbers are given and applied in the same order");
            state = self.state();
            state.remove_first();
        }
        state.applying = false;
    }
}

impl State {
    fn remove_first(&mut self) {
        let Some(slot) = self.slots.pop_front() else { return };
        self.removed += 1;
        self.taken -= 1;
        self.bytes -= slot.bytes;
        if self.pending.get(&slot.key) == Some(&slot.seq) {
            self.pending.remove(&slot.key);
        }
    }
}

/// What a change means for the index.
fn read(key: &[u8], update: &Update, failed: &dyn Fn(&ValueError, &[u8])) -> Change {
    match update {
        Update::Gone => Change::Delete(key.into()),
        Update::Fields(fields) if !fields.belong(key) => Change::Delete(key.into()),
        Update::Fields(fields) => match fields.document(key) {
            Ok(document) => Change::Upsert(Box::new(document)),
            Err(error) => {
                failed(&error, key);
                Change::Delete(key.into())
            }
        },
    }
}
