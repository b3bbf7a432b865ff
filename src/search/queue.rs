//! How does a change get from the keyspace into an index without holding the server up?
//!
//! The thread that holds the server's lock numbers the change, copies the fields and appends them here.
//! Indexing threads read documents side by side (that is where the time goes), long texts in parts, and one of
//! them at a time applies what is ready, in the order of the numbers.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::error::ValueError;
use engine::index::document::Document;
use engine::index::{Change, Index};
use engine::ingest::{Part, Piece, Reader};
use engine::limits::PART_BYTES;
use engine::segment::Seq;
use engine::text::AnalysisLimits;

use super::steady::{SteadyQueue, SteadyTable};
use super::View;
use crate::redis::FieldValue;
use crate::settings;

/// The copied fields of a key, in the order of [`View::identifiers`].
#[derive(Debug)]
pub struct Fields {
    /// How they are to be read.
    pub view: Arc<View>,
    /// `None` for a field that the key has not.
    pub values: Vec<Option<FieldValue>>,
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
    pub fn document(&self, key: &[u8]) -> Result<Document, ValueError> {
        self.document_from(key, Vec::new())
    }

    /// The parts of its long texts, which can be read one by one.
    fn parts(&self) -> Vec<Part> {
        self.reader().parts(PART_BYTES, |identifier| self.value(identifier))
    }

    fn piece(&self, part: &Part) -> Piece {
        self.reader().piece(part, |identifier| self.value(identifier))
    }

    /// Reads the document `key`, of which all parts have been read.
    fn document_from(&self, key: &[u8], pieces: Vec<Piece>) -> Result<Document, ValueError> {
        self.reader().document_from(key, |identifier| self.value(identifier), pieces)
    }

    fn reader(&self) -> Reader<'_> {
        let View { schema, options, synonyms, .. } = &*self.view;
        Reader { schema, options, synonyms, limits: analysis_limits() }
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
    /// As [`Queue::unread`] says.
    pub unread: usize,
    /// Bytes of all that are not applied.
    pub bytes: usize,
    /// Bytes of those that were added just now.
    pub added: usize,
}

/// The changes of one index that are not applied yet.
#[derive(Default)]
pub struct Queue(Mutex<State>);

#[derive(Default)]
struct State {
    /// In the order of their numbers.
    slots: SteadyQueue<Slot>,
    /// How many slots from the front somebody has taken to read.
    taken: usize,
    /// Slots that were applied and removed so far: the ordinal of the first one.
    removed: u64,
    bytes: usize,
    applying: bool,
    /// Documents of which parts are being read.
    long: VecDeque<Long>,
    /// The last number of each key that has a slot.
    pending: SteadyTable,
}

struct Slot {
    seq: Seq,
    key: Arc<[u8]>,
    bytes: usize,
    step: Step,
}

enum Step {
    Raw(Update),
    /// Somebody reads it, or several do.
    Taken,
    Ready(Change),
}

/// A document with long texts, which several read at once.
struct Long {
    /// Its slot, counted from the first one that the queue ever had.
    ordinal: u64,
    fields: Arc<Fields>,
    parts: Arc<[Part]>,
    /// How many parts somebody has taken to read.
    taken: usize,
    /// What was read in each part; nothing if the reader panicked.
    pieces: Vec<Option<Piece>>,
    /// Parts that are not read yet.
    left: usize,
}

/// One thing to read.
enum Task {
    Whole { ordinal: u64, key: Arc<[u8]>, update: Update },
    Part { ordinal: u64, fields: Arc<Fields>, parts: Arc<[Part]>, part: usize },
}

/// The key of a long document and what was read in all its parts.
type Collected = (Arc<[u8]>, Option<Vec<Piece>>);

/// What came of a call of [`Queue::work_one`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// There was nothing to read.
    Nothing,
    /// So many bytes were read.
    Read(usize),
    /// A document was cut into parts, which several may read now.
    Cut,
}

/// How many small documents a part is worth, when readers are asked for.
const PART_SHARE: usize = 8;

/// What a slot costs besides its key and values.
const SLOT_BYTES: usize = size_of::<Slot>() + size_of::<(Arc<[u8]>, Seq)>() + 64;

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers changes and appends them. Under the server's lock, so that numbers come in order.
    pub fn push<K: AsRef<[u8]>>(&self, documents: &Index, changes: impl IntoIterator<Item = (K, Update)>) -> Backlog {
        let mut state = self.state();
        let before = state.bytes;
        for (key, update) in changes {
            let seq = documents.assign();
            let key: Arc<[u8]> = key.as_ref().into();
            let values = if let Update::Fields(fields) = &update { fields.bytes() } else { 0 };
            let bytes = SLOT_BYTES + key.len() + values;
            state.bytes += bytes;
            state.pending.insert(Arc::clone(&key), seq);
            state.slots.push_back(Slot { seq, key, bytes, step: Step::Raw(update) });
        }
        Backlog { unread: state.unread(), bytes: state.bytes, added: state.bytes - before }
    }

    /// The number of the last change of a key that is not applied yet.
    pub fn pending(&self, key: &[u8]) -> Option<Seq> {
        self.state().pending.get(key)
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

    /// Changes that nobody has begun to read. A part of a long document counts as several.
    pub fn unread(&self) -> usize {
        self.state().unread()
    }

    /// Bytes that the queue holds.
    pub fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Reads one document, or a part of one, and applies what is ready. `failed` is told of a document that could not
    /// be read.
    pub fn work_one(&self, documents: &Index, failed: &dyn Fn(&ValueError, &[u8])) -> Worked {
        let Some(task) = self.state().take() else { return Worked::Nothing };
        match task {
            Task::Whole { ordinal, key, update } => {
                let bytes = if let Update::Fields(fields) = &update { fields.bytes() } else { 0 };
                let update = match self.cut(ordinal, &key, update) {
                    Some(update) => update,
                    None => return Worked::Cut,
                };
                self.ready(ordinal, &key, documents, || read(&key, &update, failed));
                Worked::Read(SLOT_BYTES + key.len() + bytes)
            }
            Task::Part { ordinal, fields, parts, part } => {
                let piece = panic::catch_unwind(AssertUnwindSafe(|| fields.piece(&parts[part]))).ok();
                let pieces = self.state().put(ordinal, part, piece);
                if let Some((key, pieces)) = pieces {
                    self.ready(ordinal, &key, documents, || match pieces {
                        Some(pieces) => change(&key, fields.document_from(&key, pieces), failed),
                        None => Change::Delete((&*key).into()),
                    });
                }
                Worked::Read(parts[part].len())
            }
        }
    }

    /// Lets a document with long texts be read in parts. Gives back any other.
    fn cut(&self, ordinal: u64, key: &[u8], update: Update) -> Option<Update> {
        let Update::Fields(fields) = update else { return Some(update) };
        let is_long = fields.bytes() >= 2 * PART_BYTES && fields.belong(key);
        let parts: Arc<[Part]> = if is_long { fields.parts().into() } else { Arc::default() };
        if parts.is_empty() {
            return Some(Update::Fields(fields));
        }
        let (left, pieces) = (parts.len(), parts.iter().map(|_| None).collect());
        self.state().long.push_back(Long { ordinal, fields: Arc::new(fields), parts, taken: 0, pieces, left });
        None
    }

    /// What a slot means is known, or will be when `make` has been called. One that makes the reader panic is not
    /// indexed; those behind it are.
    fn ready(&self, ordinal: u64, key: &[u8], documents: &Index, make: impl FnOnce() -> Change) {
        let change = panic::catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|_| Change::Delete(key.into()));
        let mut state = self.state();
        let at = (ordinal - state.removed) as usize;
        state.slots[at].step = Step::Ready(change);
        self.apply_ready(state, documents);
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
    fn unread(&self) -> usize {
        let parts: usize = self.long.iter().map(|long| long.parts.len() - long.taken).sum();
        self.slots.len() - self.taken + parts * PART_SHARE
    }

    /// The next thing to read: parts first, for what stands behind waits for them.
    fn take(&mut self) -> Option<Task> {
        if let Some(long) = self.long.iter_mut().find(|long| long.taken < long.parts.len()) {
            let (ordinal, part) = (long.ordinal, long.taken);
            long.taken += 1;
            let (fields, parts) = (Arc::clone(&long.fields), Arc::clone(&long.parts));
            return Some(Task::Part { ordinal, fields, parts, part });
        }
        let slot = self.slots.get_mut(self.taken)?;
        let Step::Raw(update) = std::mem::replace(&mut slot.step, Step::Taken) else { return None };
        let (ordinal, key) = (self.removed + self.taken as u64, Arc::clone(&slot.key));
        self.taken += 1;
        Some(Task::Whole { ordinal, key, update })
    }

    /// Takes what was read in a part. With the last one: the key and all that was read, unless a reader panicked.
    fn put(&mut self, ordinal: u64, part: usize, piece: Option<Piece>) -> Option<Collected> {
        let place = self.long.iter().position(|long| long.ordinal == ordinal)?;
        let long = &mut self.long[place];
        long.pieces[part] = piece;
        long.left -= 1;
        if long.left > 0 {
            return None;
        }
        let pieces = self.long.remove(place)?.pieces.into_iter().collect();
        Some((Arc::clone(&self.slots[(ordinal - self.removed) as usize].key), pieces))
    }

    fn remove_first(&mut self) {
        let Some(slot) = self.slots.pop_front() else { return };
        self.removed += 1;
        self.taken -= 1;
        self.bytes -= slot.bytes;
        self.pending.remove(&slot.key, slot.seq);
    }
}

/// What a change means for the index.
fn read(key: &[u8], update: &Update, failed: &dyn Fn(&ValueError, &[u8])) -> Change {
    match update {
        Update::Gone => Change::Delete(key.into()),
        Update::Fields(fields) if !fields.belong(key) => Change::Delete(key.into()),
        Update::Fields(fields) => change(key, fields.document(key), failed),
    }
}

/// What it means that this was read.
fn change(key: &[u8], read: Result<Document, ValueError>, failed: &dyn Fn(&ValueError, &[u8])) -> Change {
    match read {
        Ok(document) => Change::Upsert(Box::new(document)),
        Err(error) => {
            failed(&error, key);
            Change::Delete(key.into())
        }
    }
}
