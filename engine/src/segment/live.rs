//! Where do new documents go?
//!
//! Into a segment that one writer appends to while queries read. The writer inserts a document's
//! postings first and publishes its facts last; a query that has copied postings of a document that
//! is not published, or was published after the query's number, does not see it. So a large document
//! can be inserted in pieces, with readers let in between, and is still there all at once.
//!
//! Locking: postings and terms stand behind one `RwLock`, held by a reader for one lookup and by
//! the writer for one piece. Document facts are write-once cells and need no lock.

use super::{DocFacts, DocId, Memory, Seq, ALIVE};
use crate::columns::geo::NO_POINT;
use crate::columns::SortValue;
use crate::cursor::budget::Budget;
use crate::dict::live::LiveDict;
use crate::dict::pattern::Pattern;
use crate::dict::Space;
use crate::index::document::Document;
use crate::postings::live::{LiveList, LiveView};
use crate::postings::{positions, Counts, BLOCK};
use crate::schema::{FieldId, FieldMask};
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::{OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// Documents that a live segment can hold.
pub const CAPACITY: usize = CHUNKS * CHUNK;

/// Few under a scheduler that keeps an account of each cell.
const CHUNK: usize = if cfg!(feature = "loom") { 2 } else { 512 };
const CHUNKS: usize = if cfg!(feature = "loom") { 2 } else { 64 };

/// Terms inserted, or looked at by a pattern, before others are let in: some tens of microseconds.
const PIECE: usize = 256;

/// How long the writer of a large document waits for them between two pieces at most.
const LET_IN: Duration = Duration::from_micros(500);

/// The segment that is written to, and its like that were frozen.
#[derive(Debug)]
pub struct LiveSegment {
    terms: RwLock<Terms>,
    /// Readers that want `terms` and do not have it. A hint, on which nothing depends: no scheduler need try its
    /// interleavings.
    knocking: std::sync::atomic::AtomicU32,
    chunks: Box<[OnceLock<Chunk>]>,
    len: AtomicU32,
    deaths: AtomicU32,
}

type Chunk = Box<[OnceLock<LiveDoc>]>;

#[derive(Debug, Default)]
struct Terms {
    dict: LiveDict,
    lists: Vec<LiveList>,
    masks: Arc<Vec<FieldMask>>,
    memory: Memory,
    counts: Counts,
    /// Terms that are words or derived from some.
    words: u64,
}

#[derive(Debug)]
struct LiveDoc {
    born: Seq,
    died: AtomicU64,
    facts: DocFacts,
    key: Box<[u8]>,
    payload: Option<Box<[u8]>>,
    numbers: Box<[(FieldId, f64)]>,
    points: Box<[(FieldId, u64)]>,
    sort: Box<[(FieldId, Box<[u8]>)]>,
}

impl Default for LiveSegment {
    fn default() -> Self {
        Self {
            terms: RwLock::default(),
            knocking: std::sync::atomic::AtomicU32::new(0),
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
            len: AtomicU32::new(0),
            deaths: AtomicU32::new(0),
        }
    }
}

impl LiveSegment {
    pub(super) fn len(&self) -> DocId {
        self.len.load(Ordering::Acquire)
    }

    /// Appends a version born at `seq`. Only one thread may do so at a time. Returns its id, or the
    /// document back when there is no room.
    ///
    /// # Errors
    /// When the segment is full.
    pub fn insert(&self, document: Document, seq: Seq) -> Result<DocId, Box<Document>> {
        let doc = self.len();
        let (chunk, slot) = (doc as usize / CHUNK, doc as usize % CHUNK);
        if chunk >= CHUNKS {
            return Err(Box::new(document));
        }
        let facts = document.facts();
        let mut terms = document.terms();
        loop {
            let mut target = self.write();
            let mut inserted = 0;
            for term in terms.by_ref().take(PIECE) {
                target.insert(doc, facts.len, &term);
                inserted += 1;
            }
            if inserted < PIECE {
                break;
            }
            drop(target);
            self.let_in();
        }
        drop(terms);
        let (live, memory) = LiveDoc::new(document, facts, seq);
        self.write().memory += memory;
        let chunk = self.chunks[chunk].get_or_init(|| (0..CHUNK).map(|_| OnceLock::new()).collect());
        let fresh = chunk[slot].set(live).is_ok();
        debug_assert!(fresh, "one writer, and ids only grow");
        self.len.store(doc + 1, Ordering::Release);
        Ok(doc)
    }

    fn read(&self) -> RwLockReadGuard<'_, Terms> {
        // Who gets it at once need not knock.
        if let Ok(terms) = self.terms.try_read() {
            return terms;
        }
        self.knocking.fetch_add(1, Ordering::Relaxed);
        // A panic of the writer leaves at worst postings of a document that is never published.
        let terms = self.terms.read().unwrap_or_else(PoisonError::into_inner);
        self.knocking.fetch_sub(1, Ordering::Relaxed);
        terms
    }

    /// Lets in who waits: a writer that takes the lock again at once would have it before those that are only being
    /// woken up, piece after piece.
    fn let_in(&self) {
        let begun = Instant::now();
        while self.knocking.load(Ordering::Relaxed) > 0 && begun.elapsed() < LET_IN {
            std::thread::yield_now();
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, Terms> {
        self.terms.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody writes at this moment. Of a frozen segment: nobody ever will, and its terms can be
    /// read without waiting.
    pub(crate) fn is_at_rest(&self) -> bool {
        !matches!(self.terms.try_read(), Err(TryLockError::WouldBlock))
    }

    pub(super) fn list(&self, key: &[u8]) -> Option<LiveView> {
        let terms = self.read();
        let number = terms.dict.get(key)?;
        Some(terms.lists[number as usize].view(&terms.masks))
    }

    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.read().dict.get(key).is_some()
    }

    pub(super) fn matching(
        &self,
        space: Space,
        pattern: &Pattern,
        budget: &Budget<'_>,
        mut visit: impl FnMut(&[u8]) -> bool,
    ) {
        let mut from = None;
        let piece = (PIECE / pattern.step_cost() as usize).max(1);
        // The lock is given back between pieces, each of which costs some dozens of postings a term.
        while !budget.spend(piece as u32 * 32 * pattern.step_cost()) {
            from = self.read().dict.matching(space, pattern, from, piece, &mut visit);
            if from.is_none() {
                break;
            }
        }
    }

    /// Calls `visit` with each key and its list, in order. Only for a frozen segment: the lock is
    /// held throughout.
    pub(super) fn each_list(&self, mut visit: impl FnMut(&[u8], &LiveView)) {
        let terms = self.read();
        for (key, number) in terms.dict.iter() {
            visit(key, &terms.lists[number as usize].view(&terms.masks));
        }
    }

    pub(super) fn term_count(&self) -> usize {
        self.read().dict.len()
    }

    pub(super) fn word_count(&self) -> u64 {
        self.read().words
    }

    pub(super) fn counts(&self) -> Counts {
        self.read().counts
    }

    #[inline]
    fn doc(&self, doc: DocId) -> Option<&LiveDoc> {
        self.chunks.get(doc as usize / CHUNK)?.get()?.get(doc as usize % CHUNK)?.get()
    }

    pub(super) fn facts(&self, doc: DocId) -> DocFacts {
        self.doc(doc).map_or(DocFacts { len: 0, max_freq: 0, score: 0.0 }, |doc| doc.facts)
    }

    pub(super) fn life(&self, doc: DocId) -> (Seq, Seq) {
        // What is not published will be born later than anyone asks about now.
        self.doc(doc).map_or((ALIVE, ALIVE), |doc| (doc.born, doc.died.load(Ordering::Acquire)))
    }

    pub(super) fn kill(&self, doc: DocId, seq: Seq) {
        if let Some(doc) = self.doc(doc) {
            if doc.died.compare_exchange(ALIVE, seq, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                self.deaths.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    pub(super) fn deaths(&self) -> u32 {
        self.deaths.load(Ordering::Acquire)
    }

    pub(super) fn key(&self, doc: DocId) -> &[u8] {
        self.doc(doc).map_or(&[], |doc| &doc.key)
    }

    pub(super) fn payload(&self, doc: DocId) -> Option<&[u8]> {
        self.doc(doc)?.payload.as_deref()
    }

    pub(super) fn number(&self, field: FieldId, doc: DocId) -> f64 {
        self.doc(doc).and_then(|doc| find(&doc.numbers, field)).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn point(&self, field: FieldId, doc: DocId) -> u64 {
        self.doc(doc).and_then(|doc| find(&doc.points, field)).copied().unwrap_or(NO_POINT)
    }

    pub(super) fn sort_text(&self, field: FieldId, doc: DocId) -> Option<&[u8]> {
        self.doc(doc).and_then(|doc| find(&doc.sort, field)).map(|value| &**value)
    }

    /// The fields that any document has a number, a point, or a sort value in.
    pub(super) fn fields_with_values(&self) -> [Vec<FieldId>; 3] {
        let mut fields = [Vec::new(), Vec::new(), Vec::new()];
        for doc in (0..self.len()).filter_map(|doc| self.doc(doc)) {
            let found = [
                doc.numbers.iter().map(|(field, _)| *field).collect::<Vec<_>>(),
                doc.points.iter().map(|(field, _)| *field).collect(),
                doc.sort.iter().map(|(field, _)| *field).collect(),
            ];
            for (known, found) in fields.iter_mut().zip(found) {
                known.extend(found.into_iter().filter(|field| !known.contains(field)).collect::<Vec<_>>());
            }
        }
        fields
    }

    pub(super) fn memory(&self) -> Memory {
        let mut memory = self.read().memory();
        let chunks = self.chunks.iter().filter(|chunk| chunk.get().is_some()).count();
        memory.documents += chunks * CHUNK * size_of::<OnceLock<LiveDoc>>() + CHUNKS * size_of::<OnceLock<Chunk>>();
        memory
    }
}

fn find<V>(values: &[(FieldId, V)], field: FieldId) -> Option<&V> {
    values.iter().find(|(id, _)| *id == field).map(|(_, value)| value)
}

impl Terms {
    fn memory(&self) -> Memory {
        let mut memory = self.memory;
        memory.dictionary += self.dict.memory();
        memory.postings += self.lists.capacity() * size_of::<LiveList>();
        memory
    }

    fn insert(&mut self, doc: DocId, len: u32, term: &crate::index::document::Term<'_>) {
        let number = match self.dict.get(term.key) {
            Some(number) => number,
            None => {
                self.lists.push(LiveList::default());
                self.words += u64::from(term.key.starts_with(&Space::Text.prefix()));
                self.dict.insert(term.key)
            }
        };
        let mask = match self.masks.iter().position(|&mask| mask == term.mask) {
            Some(at) => at,
            None => {
                Arc::make_mut(&mut self.masks).push(term.mask);
                self.masks.len() - 1
            }
        };
        let list = &mut self.lists[number as usize];
        self.counts += Counts {
            records: 1,
            positions: positions::count(term.positions),
            blocks: u64::from(list.len() % BLOCK == 0),
        };
        self.memory.postings += list.push(doc, term.freq, mask as u32, len, term.positions);
    }
}

impl LiveDoc {
    fn new(document: Document, facts: DocFacts, born: Seq) -> (Self, Memory) {
        let mut memory = Memory::default();
        let numbers: Box<[(FieldId, f64)]> = document.numbers.into();
        let points: Box<[(FieldId, u64)]> = document.points.into();
        let sort: Box<[(FieldId, Box<[u8]>)]> = document
            .sort
            .into_iter()
            .filter_map(|(field, value)| match value {
                SortValue::Text(text) => Some((field, text)),
                // A number's column serves its order too.
                SortValue::Number(_) => None,
            })
            .collect();
        memory.documents = document.key.len() + document.payload.as_ref().map_or(0, |payload| payload.len());
        memory.columns = size_of_val(&*numbers) + size_of_val(&*points);
        memory.sort = size_of_val(&*sort) + sort.iter().map(|(_, value)| value.len()).sum::<usize>();
        let died = AtomicU64::new(ALIVE);
        let doc = Self { born, died, facts, key: document.key, payload: document.payload, numbers, points, sort };
        (doc, memory)
    }
}
