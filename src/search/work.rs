//! Who reads documents, seals and merges segments, and ends indexes, so that the main thread does not?
//!
//! Jobs are asked for when there is something to do and end when there is not: an index at rest has no thread.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;

use super::queue::Worked;
use super::SearchIndex;
use crate::redis::{background, Pools};
use crate::settings;
use crate::sync::CancelToken;

/// Documents that a job reads before it goes to the end of the pool's queue, so that indexes take turns.
const BATCH: usize = 256;
/// Unread documents for each job that reads, before another one is asked for.
const SHARE: usize = 8;
/// Changes after which the segments are looked after.
const MAINTAIN_EVERY: u64 = 64;

/// Who works for an index now.
#[derive(Default)]
pub(super) struct Crew {
    readers: AtomicUsize,
    maintaining: AtomicBool,
    /// The last change that was applied when the segments were looked after.
    maintained: AtomicU64,
}

/// One reader's place, given up at the end, also when its job was refused or panicked.
struct Place(Arc<SearchIndex>);

impl Place {
    fn take(index: &Arc<SearchIndex>) -> Self {
        index.crew().readers.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(index))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.crew().readers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Asks for readers if `unread` changes need more than there are.
pub(super) fn wake(index: &Arc<SearchIndex>, unread: usize) {
    if unread == 0 {
        return;
    }
    let threads = settings::INDEX_THREADS.threads();
    // As many at once as are needed: a long document comes alone, and nobody else would ask for them.
    for _ in 0..threads {
        let readers = index.crew().readers.load(Ordering::Acquire);
        if readers > 0 && (unread <= readers * SHARE || readers >= threads) {
            return;
        }
        let place = Place::take(index);
        // A refusal means that the server shuts down.
        let _ = background(Pools::Indexing, 0, CancelToken::new(), move |lane| read(place, lane.cancel()));
    }
}

fn read(place: Place, cancel: &CancelToken) {
    let index = Arc::clone(&place.0);
    let stopped = || cancel.stopped().is_some() || index.is_dropped();
    for _ in 0..BATCH {
        if stopped() || index.work_one() == Worked::Nothing {
            break;
        }
    }
    // Who appended while this place was taken may have relied on it: look again without it.
    drop(place);
    if stopped() {
        return;
    }
    wake(&index, index.queue().unread());
    maintain(&index);
}

/// Has the segments looked after, if one is full or enough has changed since the last time.
fn maintain(index: &Arc<SearchIndex>) {
    let crew = index.crew();
    let documents = index.documents();
    let due = documents.applied() >= crew.maintained.load(Ordering::Acquire) + MAINTAIN_EVERY || documents.has_frozen();
    if !due || crew.maintaining.swap(true, Ordering::AcqRel) {
        return;
    }
    let busy = Maintaining(Arc::clone(index));
    let _ = background(Pools::Maintenance, 0, CancelToken::new(), move |lane| {
        let index = Arc::clone(&busy.0);
        let stop = || lane.cancel().stopped().is_some() || index.is_dropped();
        index.crew().maintained.store(index.documents().applied(), Ordering::Release);
        while !stop() && index.documents().maintain(&stop) {}
        drop(busy);
        // Whoever froze a segment since the last look found this job at work and relied on it: look again without it.
        if !stop() {
            maintain(&index);
        }
    });
}

struct Maintaining(Arc<SearchIndex>);

impl Drop for Maintaining {
    fn drop(&mut self) {
        self.0.crew().maintaining.store(false, Ordering::Release);
    }
}

/// Does something that nobody waits for on another thread.
pub(super) fn later(work: impl FnOnce() + Send + 'static) {
    // Refused at shutdown: the work is dropped here, and with it what it held.
    let _ = background(Pools::Maintenance, 0, CancelToken::new(), move |_| work());
}

/// Lets go of an index that was dropped, on another thread: freeing millions of documents takes its time.
pub(super) fn bury(index: Arc<SearchIndex>) {
    later(move || drop(index));
}
