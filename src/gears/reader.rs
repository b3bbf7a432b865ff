//! Where do a KeysReader's records come from? The keyspace, read in slices.

use std::collections::VecDeque;
use std::sync::Arc;

use engine::glob::Glob;

use crate::python::host::{KeyRecord, KeysRequest, RecordSource};
use crate::redis::{read_value, unix_millis, Door, KeyRef, KeysCursor, Slice};

/// Records of one batch at most, so that a batch is small also where slices have no end (inline).
const BATCH: usize = 512;
/// Batches of this many records are worth crossing into Python; smaller ones take another slice.
const WORTHWHILE: usize = 64;

/// A scan of the keyspace, or one key, as a source of records.
pub(super) struct KeysSource {
    door: Arc<Door>,
    read_value: bool,
    state: State,
}

enum State {
    One(Option<Vec<u8>>),
    Scan { cursor: KeysCursor, pattern: Glob, found: VecDeque<(Vec<u8>, Option<&'static str>)>, more: bool },
}

impl KeysSource {
    pub(super) fn new(door: Arc<Door>, request: KeysRequest) -> Self {
        let state = if request.no_scan {
            State::One(Some(request.pattern))
        } else {
            State::Scan {
                cursor: KeysCursor::new(),
                pattern: Glob::new(&request.pattern),
                found: VecDeque::new(),
                more: true,
            }
        };
        Self { door, read_value: request.read_value, state }
    }
}

impl RecordSource for KeysSource {
    fn next_batch(&mut self) -> Result<Vec<KeyRecord>, String> {
        let mut batch = Vec::new();
        let read_value = self.read_value;
        match &mut self.state {
            State::One(key) => {
                if let Some(key) = key.take() {
                    let record = self.door.question(|slice| record(slice, key, None, read_value));
                    batch.push(record.map_err(|denied| denied.to_string())?);
                }
            }
            State::Scan { cursor, pattern, found, more } => {
                while batch.len() < WORTHWHILE && (*more || !found.is_empty()) {
                    self.door
                        .errand(|slice| {
                            fill(slice, cursor, pattern, found, more);
                            while let Some((key, kind)) = found.pop_front() {
                                batch.push(record(slice, key, kind, read_value));
                                if slice.spent() || batch.len() >= BATCH {
                                    break;
                                }
                            }
                        })
                        .map_err(|denied| denied.to_string())?;
                }
            }
        }
        Ok(batch)
    }
}

/// Looks for keys until there are some, or the slice is spent.
fn fill(
    slice: &Slice<'_>,
    cursor: &mut KeysCursor,
    pattern: &Glob,
    found: &mut VecDeque<(Vec<u8>, Option<&'static str>)>,
    more: &mut bool,
) {
    let now = unix_millis();
    let mut visit = |key: &KeyRef<'_>| {
        if pattern.matches(key.name) && !key.expired(now) {
            found.push_back((key.name.to_vec(), key.kind()));
        }
    };
    let mut buckets = 0_usize;
    // Reading comes after the scan of a bucket: a command must not run inside one.
    while *more {
        *more = cursor.next_bucket(slice.held(), &mut visit);
        buckets += 1;
        if buckets % 64 == 0 {
            break;
        }
    }
}

fn record(slice: &Slice<'_>, key: Vec<u8>, kind: Option<&'static str>, with_value: bool) -> KeyRecord {
    let value = with_value.then(|| read_value(slice.held(), &key, kind));
    KeyRecord { key, value }
}
