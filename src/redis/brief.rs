//! Who does the short piece of work under the lock with which a job ends? The main thread, which has the lock.
//!
//! It must come by anyway, to deliver the job's reply. A worker that took the lock for some microseconds would
//! be woken for that, keep the main thread waiting for as long, and be woken late where processors are scarce. What
//! has piled up is done at the end of a round of the event loop, and for no longer than nobody notices.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::entry::guarded;
use super::lock::{self, Context};
use super::{events, Lane};
use crate::sync::CancelToken;

/// How long the main thread does such pieces in one round. At least one is done.
const LONGEST: Duration = Duration::from_micros(200);

struct Piece {
    db: i32,
    cancel: CancelToken,
    work: Box<dyn FnOnce(&mut Lane) + Send>,
    asked: Instant,
}

/// What is to be done, the first first. A leaf lock.
static PIECES: Mutex<VecDeque<Piece>> = Mutex::new(VecDeque::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

fn with_pieces<R>(work: impl FnOnce(&mut VecDeque<Piece>) -> R) -> R {
    let mut pieces = PIECES.lock().unwrap_or_else(PoisonError::into_inner);
    let result = work(&mut pieces);
    COUNT.store(pieces.len(), Ordering::Release);
    result
}

/// Has the main thread run `work` soon, on database `db`. It should end when [`super::Slice::spent`] says so, and leave the
/// rest to a job.
pub fn briefly(db: i32, cancel: CancelToken, work: impl FnOnce(&mut Lane) + Send + 'static) {
    let piece = Piece { db, cancel, work: Box::new(work), asked: Instant::now() };
    let first = with_pieces(|pieces| {
        pieces.push_back(piece);
        pieces.len() == 1
    });
    if first {
        events::wake_main_thread();
    }
}

/// Does what has piled up. On the main thread, under the lock, between two commands.
pub(super) fn round_ends() {
    if COUNT.load(Ordering::Acquire) == 0 {
        return;
    }
    let mut began = Instant::now();
    let end = began + LONGEST;
    while let Some(piece) = with_pieces(VecDeque::pop_front) {
        let waited = began - piece.asked;
        guarded(|| {
            let ctx = Context::get();
            let held = ctx.held();
            // A job has come with this database.
            if held.select(piece.db).is_ok() {
                (piece.work)(&mut Lane::brief(&held, piece.cancel));
            }
        });
        let now = Instant::now();
        lock::record_slice(waited, now - began);
        began = now;
        if now >= end {
            break;
        }
    }
    if COUNT.load(Ordering::Acquire) > 0 {
        // The next round comes at once, even if no client asks for anything.
        events::wake_main_thread();
    }
}
