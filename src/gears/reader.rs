//! Where do a KeysReader's records come from? The keyspace, read in slices.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::glob::Glob;

use crate::python::host::{KeyRecord, KeysRequest, RecordSource};
use crate::redis::{kind_of, read_value, unix_millis, Door, KeyRef, KeysCursor, Slice};

/// Records of one batch at most, so that a batch is small also where slices have no end (inline).
const BATCH: usize = 512;
/// Batches of this many records are worth crossing into Python; smaller ones take another slice.
const WORTHWHILE: usize = 64;

/// Hash buckets that are looked at before the slice's time.
const BUCKETS: usize = 64;

/// A scan of the keyspace, or one key, as a source of records.
pub(super) struct KeysSource {
    door: Arc<Door>,
    read_value: bool,
    state: State,
}

enum State {
    /// One key: `surely` also if it is not there.
    One {
        key: Option<Vec<u8>>,
        surely: bool,
    },
    Scan(Scan),
}

struct Scan {
    cursor: KeysCursor,
    pattern: Glob,
    found: VecDeque<(Vec<u8>, Option<&'static str>)>,
    more: bool,
    begun: bool,
}

impl KeysSource {
    pub(super) fn new(door: Arc<Door>, request: KeysRequest) -> Self {
        let pattern = Glob::new(&request.pattern);
        let state = if request.no_scan {
            State::One { key: Some(request.pattern), surely: true }
        } else if let Some(key) = pattern.literal() {
            State::One { key: Some(key), surely: false }
        } else {
            let (cursor, found) = (KeysCursor::new(), VecDeque::new());
            State::Scan(Scan { cursor, pattern, found, more: true, begun: false })
        };
        Self { door, read_value: request.read_value, state }
    }
}

impl RecordSource for KeysSource {
    fn next_batch(&mut self) -> Result<Vec<KeyRecord>, String> {
        let mut batch = Vec::new();
        let read_value = self.read_value;
        match &mut self.state {
            State::One { key, surely } => {
                let Some(key) = key.take() else { return Ok(batch) };
                let read = |slice: &Slice<'_>| {
                    let kind = (!*surely).then(|| kind_of(slice.held(), &key));
                    (kind != Some("empty")).then(|| record(slice, key, kind, read_value))
                };
                batch.extend(self.door.question(read).map_err(|denied| denied.to_string())?);
            }
            State::Scan(scan) => {
                while batch.len() < WORTHWHILE && (scan.more || !scan.found.is_empty()) {
                    // All there is, where there are few keys; else there is more to ask than a loan is for.
                    let first = !std::mem::replace(&mut scan.begun, true);
                    let read = |slice: &Slice<'_>| scan.read(slice, read_value, &mut batch);
                    let done = if first { self.door.question(read) } else { self.door.errand(read) };
                    done.map_err(|denied| denied.to_string())?;
                }
            }
        }
        Ok(batch)
    }
}

impl Scan {
    /// Reads keys until the slice is spent.
    fn read(&mut self, slice: &Slice<'_>, read_value: bool, batch: &mut Vec<KeyRecord>) {
        self.find(slice);
        while let Some((key, kind)) = self.found.pop_front() {
            batch.push(record(slice, key, kind, read_value));
            if slice.spent() || batch.len() >= BATCH {
                break;
            }
        }
    }

    /// Looks for keys until there are some, or has looked for long enough.
    fn find(&mut self, slice: &Slice<'_>) {
        let now = unix_millis();
        let (pattern, found) = (&self.pattern, &mut self.found);
        let mut visit = |key: &KeyRef<'_>| {
            if pattern.matches(key.name) && !key.expired(now) {
                found.push_back((key.name.to_vec(), key.kind()));
            }
        };
        // Reading comes after the scan of buckets: a command must not run inside one.
        for _ in 0..BUCKETS {
            if !self.more {
                break;
            }
            self.more = self.cursor.next_bucket(slice.held(), &mut visit);
        }
    }
}

fn record(slice: &Slice<'_>, key: Vec<u8>, kind: Option<&'static str>, with_value: bool) -> KeyRecord {
    let value = with_value.then(|| read_value(slice.held(), &key, kind));
    KeyRecord { key, value }
}
