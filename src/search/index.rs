//! What is one index: its definition as it stands, its documents, and what is still on the way to them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use engine::dict::suffix::Suffixed;
use engine::index::{Arrival, Index, Snapshot};
use engine::schema::{IndexOptions, Schema};
use engine::text::Synonyms;

use super::definition::{Created, Definition};
use super::errors::IndexErrors;
use super::filter::Filter;
use super::queue::{Queue, Worked};
use super::scan::Scan;
use super::work::{self, Crew};
use crate::sync::{CancelToken, Stop};

/// How a document is read: what `FT.ALTER` and `FT.SYNUPDATE` replace as a whole.
#[derive(Debug)]
pub struct View {
    /// The fields.
    pub schema: Schema,
    /// What is kept, and the words and fields that govern reading.
    pub options: IndexOptions,
    /// Words that mean the same.
    pub synonyms: Synonyms,
    /// What must be true of a key that belongs to the index.
    pub filter: Option<Arc<Filter>>,
    /// The words of the fields that `FT.ALTER` has added.
    pub added: Vec<Box<[u8]>>,
    /// Every hash field that is copied out of a changed key, with its place in [`super::Fields`].
    places: HashMap<Box<[u8]>, usize>,
    identifiers: Vec<Box<[u8]>>,
}

impl View {
    /// A view; `also` are hash fields to copy besides those that the schema and the options name.
    pub fn new<'a>(
        schema: Schema,
        options: IndexOptions,
        synonyms: Synonyms,
        also: impl IntoIterator<Item = &'a [u8]>,
    ) -> Self {
        let (mut places, mut identifiers) = (HashMap::new(), Vec::new());
        let mut name = |field: &[u8]| {
            places.entry(field.into()).or_insert_with(|| {
                identifiers.push(field.into());
                identifiers.len() - 1
            });
        };
        schema.fields().iter().for_each(|field| name(field.identifier()));
        let options_named = [&options.language_field, &options.score_field, &options.payload_field];
        options_named.into_iter().flatten().for_each(|field| name(field));
        also.into_iter().for_each(name);
        Self { schema, options, synonyms, filter: None, added: Vec::new(), places, identifiers }
    }

    /// The hash fields to copy of a key that belongs to the index.
    pub fn identifiers(&self) -> &[Box<[u8]>] {
        &self.identifiers
    }

    /// The same with other fields, of which `added` is what `FT.ALTER` said.
    pub(super) fn with_schema(&self, schema: Schema, added: &[&[u8]]) -> Self {
        let mut view = Self::new(schema, self.options.clone(), self.synonyms.clone(), self.also());
        view.filter.clone_from(&self.filter);
        view.added = self.added.iter().cloned().chain(added.iter().map(|&word| word.into())).collect();
        view
    }

    /// The same with other synonyms.
    pub(super) fn with_synonyms(&self, synonyms: Synonyms) -> Self {
        let mut view = Self::new(self.schema.clone(), self.options.clone(), synonyms, self.also());
        view.filter.clone_from(&self.filter);
        view.added.clone_from(&self.added);
        view
    }

    fn also(&self) -> impl Iterator<Item = &[u8]> {
        self.identifiers.iter().map(|field| &**field)
    }

    /// Where a hash field stands among [`View::identifiers`].
    pub fn place(&self, identifier: &[u8]) -> Option<usize> {
        self.places.get(identifier).copied()
    }
}

/// An index. Whoever holds it may find it dropped meanwhile: ask [`SearchIndex::is_dropped`] in each slice.
pub struct SearchIndex {
    name: Box<[u8]>,
    definition: Definition,
    view: RwLock<Arc<View>>,
    documents: Index,
    queue: Queue,
    dropped: AtomicBool,
    crew: Crew,
    scan: Scan,
    errors: Mutex<IndexErrors>,
    /// Queries so far, and which dialects they had (bit n: dialect n + 1).
    queries: AtomicU64,
    dialects: AtomicU8,
    /// Microseconds spent on reading and applying documents.
    indexing_time: AtomicU64,
    /// The last use, in milliseconds since the index was made.
    used_at: AtomicU64,
    made: Instant,
}

/// How long a reader waits for the indexing threads before it looks for work of its own again.
const HELP_EVERY: Duration = Duration::from_millis(2);

impl SearchIndex {
    /// An index without documents.
    pub fn new(name: &[u8], created: Created) -> Arc<Self> {
        let fields = created.filter.iter().flat_map(Filter::fields);
        let mut view = View::new(created.schema, created.options, Synonyms::default(), fields);
        view.filter = created.filter.map(Arc::new);
        Self::build(name, created.definition, Arc::new(view), Index::default())
    }

    /// The same index with other documents.
    pub(super) fn with_documents(&self, documents: Index) -> Arc<Self> {
        Self::build(&self.name, self.definition.clone(), self.view(), documents)
    }

    fn build(name: &[u8], definition: Definition, view: Arc<View>, documents: Index) -> Arc<Self> {
        documents.keep_suffixes(Suffixed::of(&view.schema));
        Arc::new(Self {
            name: name.into(),
            definition,
            view: RwLock::new(view),
            documents,
            queue: Queue::default(),
            dropped: AtomicBool::new(false),
            crew: Crew::default(),
            scan: Scan::default(),
            errors: Mutex::default(),
            queries: AtomicU64::new(0),
            dialects: AtomicU8::new(0),
            indexing_time: AtomicU64::new(0),
            used_at: AtomicU64::new(0),
            made: Instant::now(),
        })
    }

    /// Its own name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Which keys belong to it, and how it lives.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// How documents are read at this moment.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the view, under the server's lock: changes numbered from now on are read with it.
    pub fn set_view(&self, view: View) {
        self.documents.keep_suffixes(Suffixed::of(&view.schema));
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// The documents.
    pub fn documents(&self) -> &Index {
        &self.documents
    }

    /// The changes on their way.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Whether it was dropped.
    pub fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// Documents that could not be indexed.
    pub fn errors(&self) -> IndexErrors {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many queries it has had.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// Notes that a query had this dialect, 1 to 4.
    pub fn note_dialect(&self, dialect: u8) {
        self.dialects.fetch_or(1 << (dialect.clamp(1, 4) - 1), Ordering::Relaxed);
    }

    /// Whether a query had this dialect, 1 to 4.
    pub fn had_dialect(&self, dialect: u8) -> bool {
        self.dialects.load(Ordering::Relaxed) & (1 << (dialect.clamp(1, 4) - 1)) != 0
    }

    /// The time that was spent on indexing, on all threads.
    pub fn indexing_time(&self) -> Duration {
        Duration::from_micros(self.indexing_time.load(Ordering::Relaxed))
    }

    /// Whether keys that were there before are still being looked through.
    pub fn is_scanning(&self) -> bool {
        self.scan.is_running()
    }

    /// The share of those that were looked through, 0 to 1.
    pub fn scan_progress(&self) -> f64 {
        self.scan.progress()
    }

    /// Marks it as used now, which puts off the end of a temporary index.
    pub fn used(&self) {
        self.used_at.store(self.made.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// When a temporary index goes unless it is used again.
    pub fn expires(&self) -> Option<Instant> {
        let used = self.made + Duration::from_millis(self.used_at.load(Ordering::Relaxed));
        self.definition.temporary.map(|unused| used + unused)
    }

    pub(super) fn crew(&self) -> &Crew {
        &self.crew
    }

    pub(super) fn scan(&self) -> &Scan {
        &self.scan
    }

    pub(super) fn mark_dropped(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    /// Waits until all changes before `arrival` are applied, and helps with that: on the main thread nobody else might.
    ///
    /// # Errors
    /// Why the wait must stop.
    pub fn catch_up(self: &Arc<Self>, arrival: &Arrival, cancel: &CancelToken) -> Result<(), Stop> {
        while self.documents.applied() < arrival.seq() {
            cancel.check()?;
            if self.work_one() == Worked::Nothing {
                self.documents.wait_applied(arrival.seq(), Instant::now() + HELP_EVERY);
            }
        }
        Ok(())
    }

    /// The snapshot of a query that has arrived. Waits as [`SearchIndex::catch_up`].
    ///
    /// # Errors
    /// Why the query must stop.
    pub fn snapshot(self: &Arc<Self>, arrival: &Arrival, cancel: &CancelToken) -> Result<Snapshot, Stop> {
        self.queries.fetch_add(1, Ordering::Relaxed);
        self.used();
        loop {
            self.catch_up(arrival, cancel)?;
            if let Some(snapshot) = self.documents.snapshot(arrival) {
                return Ok(snapshot);
            }
        }
    }

    /// Reads one changed document, or a part of one, and applies what is ready.
    pub fn work_one(self: &Arc<Self>) -> Worked {
        let begun = Instant::now();
        let worked = self.queue.work_one(&self.documents, &|error, key| {
            let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
            errors.record(error.field, &error.to_string(), key);
        });
        if worked != Worked::Nothing {
            self.indexing_time.fetch_add(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
        }
        if worked == Worked::Cut {
            work::wake(self, self.queue.unread());
        }
        worked
    }
}
