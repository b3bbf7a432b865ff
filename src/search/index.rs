//! What is one index: its definition as it stands, its documents, and what is still on the way to them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use engine::index::{Arrival, Index, Limits, Snapshot};
use engine::schema::{IndexOptions, Schema};
use engine::text::Synonyms;

use super::queue::Queue;
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
        Self { schema, options, synonyms, places, identifiers }
    }

    /// The hash fields to copy of a key that belongs to the index.
    pub fn identifiers(&self) -> &[Box<[u8]>] {
        &self.identifiers
    }

    /// Where a hash field stands among [`View::identifiers`].
    pub fn place(&self, identifier: &[u8]) -> Option<usize> {
        self.places.get(identifier).copied()
    }
}

/// An index. Whoever holds it may find it dropped meanwhile: ask [`SearchIndex::is_dropped`] in each slice.
pub struct SearchIndex {
    name: Box<[u8]>,
    view: RwLock<Arc<View>>,
    documents: Index,
    queue: Queue,
    dropped: AtomicBool,
}

/// How long a reader waits for the indexing threads before it looks for work of its own again.
const HELP_EVERY: Duration = Duration::from_millis(2);

impl SearchIndex {
    /// An index without documents.
    pub fn new(name: &[u8], view: View) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            view: RwLock::new(Arc::new(view)),
            documents: Index::new(Limits::default()),
            queue: Queue::default(),
            dropped: AtomicBool::new(false),
        })
    }

    /// Its own name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How documents are read at this moment.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the view, under the server's lock: changes numbered from now on are read with it.
    pub fn set_view(&self, view: View) {
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

    pub(super) fn mark_dropped(&self) {
        self.dropped.store(true, Ordering::Release);
    }

    /// The snapshot of a query that has arrived. Waits until all changes before the query are applied, and
    /// helps with that: on the main thread nobody else might.
    ///
    /// # Errors
    /// Why the query must stop.
    pub fn snapshot(&self, arrival: &Arrival, cancel: &CancelToken) -> Result<Snapshot, Stop> {
        loop {
            if let Some(snapshot) = self.documents.snapshot(arrival) {
                return Ok(snapshot);
            }
            cancel.check()?;
            if !self.work_one() {
                self.documents.wait_applied(arrival.seq(), Instant::now() + HELP_EVERY);
            }
        }
    }

    /// Reads one changed document and applies what is ready. Returns false when there was nothing
    /// to read.
    pub fn work_one(&self) -> bool {
        self.queue.work_one(&self.documents)
    }
}
