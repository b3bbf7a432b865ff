//! How do documents that were found become rows?
//!
//! Only the rows of the page are read, in slices of the server's lock, each of them whole under one lock.
//! The query saw a snapshot; a document that has changed since then is looked at again as it is
//! now, and shown so if it still matches. What does not match any more, has expired or was deleted,
//! and what the user may not read, is left out.

use std::time::{Duration, Instant};

use engine::collect::Hit;
use engine::index::Snapshot;

use super::plan::{hidden, Columns, Plan};
use super::rows::{Field, Row};
use super::snippets::Snippets;
use super::{recheck, Failure, Fields, SearchIndex, COUNTERS};
use crate::redis::{read_fields, read_hash, take_fields, Held, KeyAccess, Lane, Slice};
use crate::settings;
use crate::sync::CancelToken;

/// Who reads: the name of a user whose rights must be asked for.
pub(super) type Reader = Option<String>;

/// Runs `work` in a slice, on the database of all indexes.
pub(super) fn in_documents<R>(lane: &mut Lane, work: impl FnOnce(&Slice<'_>) -> R) -> Result<R, Failure> {
    lane.slice(|slice| slice.held().in_db(0, || work(slice))).map_err(Failure::Stopped)?.map_err(Failure::Refused)
}

/// What rows are made from.
pub(super) struct Loader<'a> {
    pub(super) index: &'a SearchIndex,
    pub(super) snapshot: &'a Snapshot,
    pub(super) plan: &'a Plan,
    pub(super) reader: &'a Reader,
    pub(super) snippets: Option<Snippets<'a>>,
    pub(super) deadline: Option<Instant>,
}

/// The rows that were loaded.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) rows: Vec<Row>,
    /// Whether time ran out before all were.
    pub(super) late: bool,
}

/// What was read of one document.
struct Read {
    hit: Hit,
    key: Vec<u8>,
    fields: Vec<Field>,
    language: Option<Box<[u8]>>,
    /// Its indexed fields, when it has changed since the snapshot.
    changed: Option<Fields>,
}

impl Loader<'_> {
    /// Loads rows, in the order of the hits.
    pub(super) fn load(&self, lane: &mut Lane, hits: Vec<Hit>) -> Result<Loaded, Failure> {
        let cancel = lane.cancel().clone();
        if self.reader.is_none() && self.plan.needs_no_keys() {
            let rows = hits.into_iter().map(|hit| self.row(self.of_snapshot(hit), &cancel));
            return Ok(Loaded { rows: rows.collect::<Result<_, _>>()?, late: false });
        }
        let mut loaded = Loaded::default();
        let mut left = hits.into_iter().peekable();
        while left.peek().is_some() {
            // Time may have run out in the search; what it found is worth one slice.
            let read = self.slice(lane, &mut left)?;
            for read in read {
                if let Some(fields) = &read.changed {
                    COUNTERS.rechecked.add();
                    if !recheck::matches(&self.plan.node, &read.key, fields) {
                        continue;
                    }
                }
                loaded.rows.push(self.row(read, &cancel)?);
            }
            loaded.late = self.is_late() && left.peek().is_some();
            if loaded.late {
                break;
            }
        }
        Ok(loaded)
    }

    /// Loads rows in one slice, if that suffices and all documents are as they were; `None` otherwise.
    pub(super) fn load_at_once(&self, lane: &mut Lane, hits: Vec<Hit>) -> Option<Vec<Row>> {
        let (cancel, wanted) = (lane.cancel().clone(), hits.len());
        let read = self.slice(lane, &mut hits.into_iter()).ok()?;
        if read.len() < wanted || read.iter().any(|read| read.changed.is_some()) {
            return None;
        }
        read.into_iter().map(|read| self.row(read, &cancel).ok()).collect()
    }

    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Reads documents in one slice; at least one.
    fn slice(&self, lane: &mut Lane, left: &mut impl Iterator<Item = Hit>) -> Result<Vec<Read>, Failure> {
        in_documents(lane, |slice| self.read_some(slice, left))?
    }

    fn read_some(&self, slice: &Slice<'_>, left: &mut impl Iterator<Item = Hit>) -> Result<Vec<Read>, Failure> {
        let held = slice.held();
        if self.index.is_dropped() {
            return Err(Failure::no_index(self.index.name()));
        }
        let access = KeyAccess::of(held, self.reader.as_deref()).map_err(Failure::Refused)?;
        let end = Instant::now() + Duration::from_micros(settings::SLICE_US.get().unsigned_abs());
        // Numbers are given under the lock that is held: then nothing can have changed.
        let unchanged = self.index.documents().assigned() == self.snapshot.seq();
        let mut read = Vec::new();
        for hit in left {
            let key = self.snapshot.key(hit.segment, hit.doc);
            if access.may_read(held, &key) {
                let changed = !unchanged && self.has_changed(&hit, &key);
                read.extend(self.read(held, hit, key, changed));
            }
            // In the inline lane only a cancelled job is spent; time runs out there too.
            if slice.spent() || (self.is_late() && Instant::now() >= end) {
                break;
            }
        }
        Ok(read)
    }

    /// Whether the document is another than the snapshot's. To be asked under the lock, and in this order: a
    /// change leaves the queue when it is applied.
    fn has_changed(&self, hit: &Hit, key: &[u8]) -> bool {
        let born = self.snapshot.segment(hit.segment).life(hit.doc).0;
        self.index.queue().pending(key).is_some() || self.index.documents().current(key) != Some(born)
    }

    /// Reads one document; `None` when there is no such hash any more.
    fn read(&self, held: &Held<'_>, hit: Hit, key: Vec<u8>, changed: bool) -> Option<Read> {
        let fields = match &self.plan.columns {
            Columns::None => Vec::new(),
            Columns::All => {
                let mut fields = read_hash(held, &key)?;
                fields.retain(|(name, _)| !hidden(&self.plan.view, name));
                fields
            }
            Columns::Some(columns) => {
                let values = read_fields(held, &key, &self.plan.identifiers)?;
                let named = columns.iter().zip(values);
                named.filter_map(|(column, value)| Some((column.name.clone(), value?))).collect()
            }
        };
        let language = match (&self.snippets, &self.plan.view.options.language_field) {
            (Some(_), Some(field)) => read_fields(held, &key, &[field.as_slice().into()])?.pop().flatten(),
            _ => None,
        };
        let changed = if changed { Some(self.fields_now(held, &key)?) } else { None };
        Some(Read { hit, key, fields, language, changed })
    }

    /// The indexed fields of a document as they are.
    fn fields_now(&self, held: &Held<'_>, key: &[u8]) -> Option<Fields> {
        let view = self.index.view();
        let values = take_fields(held, key, view.identifiers())?;
        Some(Fields { view, values })
    }

    /// What the snapshot itself knows of a document.
    fn of_snapshot(&self, hit: Hit) -> Read {
        let segment = self.snapshot.segment(hit.segment);
        let fields = match &self.plan.columns {
            Columns::Some(columns) => columns
                .iter()
                .filter_map(|column| Some((column.name.clone(), segment.sort_text(column.kept?, hit.doc)?.into())))
                .collect(),
            Columns::None | Columns::All => Vec::new(),
        };
        Read { key: self.snapshot.key(hit.segment, hit.doc), fields, language: None, changed: None, hit }
    }

    fn row(&self, read: Read, cancel: &CancelToken) -> Result<Row, Failure> {
        let Read { hit, key, mut fields, language, changed } = read;
        if let Some(snippets) = &self.snippets {
            snippets.show(&mut fields, language.as_deref(), cancel).map_err(Failure::Stopped)?;
        }
        let payload = match (&changed, &self.plan.view.options.payload_field) {
            (Some(now), Some(field)) => now.value(field).map(Into::into),
            _ => self.snapshot.segment(hit.segment).payload(hit.doc).map(Into::into),
        };
        Ok(Row { key, score: hit.score, explanation: hit.explanation, payload, sort: hit.sort, fields })
    }
}
