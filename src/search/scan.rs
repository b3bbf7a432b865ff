//! How do keys that are there already come into an index?
//!
//! A scan in the background, in slices: names are collected from the server's cursor and their fields copied under
//! the lock, numbered like every other change. What clients write meanwhile is followed as always, so nothing is
//! missed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::index::Snapshot;

use super::{follow, registry, SearchIndex};
use crate::redis::{background, is_hash, key_count, unix_millis, Held, KeysCursor, Lane, Pools};
use crate::settings;
use crate::sync::{CancelToken, Stop};

/// Bytes that wait to be indexed, past which the scan waits for the indexing threads.
const PAUSE_ABOVE: usize = 16 << 20;
/// How long it waits at a time.
const PAUSE: Duration = Duration::from_millis(1);

/// A scan for one index.
#[derive(Default)]
pub(super) struct Scan {
    /// Counts the scans; one that is not the last gives up.
    number: AtomicU64,
    running: AtomicBool,
    /// It must begin when the loading of the data set has ended.
    waiting: AtomicBool,
    /// It is to be a look at these keys and those of the index, not at the keyspace.
    check: Mutex<Option<Vec<Box<[u8]>>>>,
    seen: AtomicU64,
    total: AtomicU64,
}

impl Scan {
    /// Whether it runs, or waits for the loading to end.
    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire) || self.waiting.load(Ordering::Acquire)
    }

    /// The share of keys that were looked at, 0 to 1.
    pub(super) fn progress(&self) -> f64 {
        if !self.is_running() {
            return 1.0;
        }
        let total = self.total.load(Ordering::Relaxed).max(1);
        // Keys that come meanwhile may be seen too.
        (self.seen.load(Ordering::Relaxed) as f64 / total as f64).min(1.0)
    }
}

/// Begins a scan; one that runs already gives up in favour of it. While the data set is being loaded it waits for the end
/// of that.
pub(super) fn start(held: &Held<'_>, index: &Arc<SearchIndex>) {
    if held.is_loading() {
        // All keys, also where a look at some of them was to come.
        *index.scan().check.lock().unwrap_or_else(PoisonError::into_inner) = None;
        index.scan().waiting.store(true, Ordering::Release);
    } else {
        let mut walk = Walk::default();
        let running = begin(index);
        // What a single slice can do is done at once: an index of few keys is ready when it is made.
        if held.db() == 0 {
            let end = Instant::now() + Duration::from_micros(settings::SLICE_US.get().unsigned_abs());
            walk.step(held, index, || Instant::now() >= end);
        }
        if !walk.is_done() {
            launch(running, move |running, lane| walk.run(running, lane));
        }
    }
}

/// Begins the scans that waited for the data set to be loaded.
pub(super) fn start_waiting(held: &Held<'_>) {
    for index in registry::all(held) {
        if index.scan().waiting.load(Ordering::Acquire) {
            let check = index.scan().check.lock().unwrap_or_else(PoisonError::into_inner).take();
            launch(begin(&index), move |running, lane| match check {
                Some(pending) => look_over(running, pending, lane),
                None => Walk::default().run(running, lane),
            });
        }
    }
}

/// Has an index looked over that was read from a file: `pending` are keys that it may know nothing of, or what is not
/// so any more; and some of its keys may have expired meanwhile. Begins when the data set was loaded.
pub(super) fn check(index: &Arc<SearchIndex>, pending: Vec<Box<[u8]>>) {
    let scan = index.scan();
    *scan.check.lock().unwrap_or_else(PoisonError::into_inner) = Some(pending);
    scan.waiting.store(true, Ordering::Release);
}

/// The next scan of an index; one that runs already gives up. Under the server's lock.
fn begin(index: &Arc<SearchIndex>) -> Running {
    let scan = index.scan();
    let number = scan.number.fetch_add(1, Ordering::AcqRel) + 1;
    scan.seen.store(0, Ordering::Relaxed);
    scan.running.store(true, Ordering::Release);
    scan.waiting.store(false, Ordering::Release);
    Running { index: Arc::clone(index), number }
}

fn launch(running: Running, work: impl FnOnce(&Running, &mut Lane) -> Result<(), Stop> + Send + 'static) {
    // A refusal means that the server shuts down.
    let _ = background(Pools::Scanning, 0, CancelToken::new(), move |lane| {
        // A stop needs nobody to be told: there is a later scan, or no index, or no server.
        let _ = work(&running, lane);
    });
}

/// One run; at its end the scan does not run any more, unless another one does.
struct Running {
    index: Arc<SearchIndex>,
    number: u64,
}

impl Running {
    fn check(&self) -> Result<(), Stop> {
        let last = self.index.scan().number.load(Ordering::Acquire) == self.number;
        if last && !self.index.is_dropped() {
            Ok(())
        } else {
            Err(Stop::Aborted)
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let scan = self.index.scan();
        if scan.number.load(Ordering::Acquire) == self.number {
            scan.running.store(false, Ordering::Release);
        }
    }
}

/// How far a scan of the whole keyspace has come.
struct Walk {
    cursor: KeysCursor,
    /// Keys that were met and not read yet.
    names: Vec<Box<[u8]>>,
    more: bool,
}

impl Default for Walk {
    fn default() -> Self {
        Self { cursor: KeysCursor::new(), names: Vec::new(), more: true }
    }
}

impl Walk {
    fn is_done(&self) -> bool {
        !self.more && self.names.is_empty()
    }

    /// Goes on in slices until it is done.
    fn run(mut self, running: &Running, lane: &mut Lane) -> Result<(), Stop> {
        let index = &running.index;
        while !self.is_done() {
            lane.slice(|slice| {
                running.check()?;
                self.step(slice.held(), index, || slice.spent());
                Ok(())
            })??;
            while index.queue().bytes() > PAUSE_ABOVE {
                running.check()?;
                lane.cancel().check()?;
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    /// Goes on until it is done or `spent` says true.
    fn step(&mut self, held: &Held<'_>, index: &Arc<SearchIndex>, spent: impl Fn() -> bool) {
        let now = unix_millis();
        index.scan().total.store(key_count(held), Ordering::Relaxed);
        let view = index.view();
        let (mut seen, mut changes) = (0, Vec::new());
        while !self.is_done() && !spent() {
            if let Some(name) = self.names.pop() {
                // A key that is no hash any more was seen to go.
                if let Some(update) = follow::read(held, &view, &name) {
                    changes.push((name, update));
                }
            } else {
                let names = &mut self.names;
                self.more = self.cursor.next_bucket(held, &mut |key| {
                    seen += 1;
                    if key.kind() == Some("hash") && belongs(index, key.name) && !key.expired(now) {
                        names.push(key.name.into());
                    }
                });
            }
        }
        follow::push(index, changes);
        index.scan().seen.fetch_add(seen, Ordering::Relaxed);
    }
}

/// See [`check`].
fn look_over(running: &Running, pending: Vec<Box<[u8]>>, lane: &mut Lane) -> Result<(), Stop> {
    let index = &running.index;
    let snapshot = index.documents().latest();
    index.scan().total.store(pending.len() as u64 + snapshot.documents(), Ordering::Relaxed);
    let mut visit = |keys: &mut dyn Iterator<Item = Box<[u8]>>, look: &dyn Fn(&Held<'_>, &[u8])| {
        let mut keys = keys.peekable();
        while keys.peek().is_some() {
            let seen = lane.slice(|slice| {
                running.check()?;
                let mut seen = 0;
                while !slice.spent() {
                    let Some(key) = keys.next() else { break };
                    look(slice.held(), &key);
                    seen += 1;
                }
                Ok(seen)
            })??;
            index.scan().seen.fetch_add(seen, Ordering::Relaxed);
        }
        Ok(())
    };
    visit(&mut pending.into_iter(), &|held, key| follow::look(held, index, key))?;
    let mut keys = living_keys(&snapshot);
    visit(&mut keys, &|held, key| {
        if !is_hash(held, key) {
            follow::forget(index, key);
        }
    })
}

/// The keys of the documents that a snapshot sees.
pub(super) fn living_keys(snapshot: &Snapshot) -> impl Iterator<Item = Box<[u8]>> + '_ {
    snapshot.segments().flat_map(|segment| {
        (0..segment.len()).filter_map(|doc| {
            let (born, died) = segment.life(doc);
            (born <= snapshot.seq() && snapshot.seq() < died).then(|| segment.with_key(doc, |key| Box::from(key)))
        })
    })
}

fn belongs(index: &SearchIndex, key: &[u8]) -> bool {
    index.definition().prefixes.iter().any(|prefix| key.starts_with(prefix))
}
