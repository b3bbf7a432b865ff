//! What does a timer do when it is due? One call on a Python worker, then it waits for the next period; a call that fails
//! is the last one.

use std::sync::Arc;
use std::time::Instant;

use super::table::{Live, Place};
use super::{timers, ALARM};
use crate::gears::run::{self, Owner};
use crate::gears::{executions, Execution, Status};
use crate::redis::{self, Held, Lane, Level, Pools};
use crate::sync::CancelToken;

/// Begins a call of a timer that is due.
pub(super) fn begin(serial: u64) {
    let cancel = CancelToken::new();
    let mut table = timers();
    let Some(timer) = table.get(serial) else { return };
    let Some(live) = timer.live.clone() else { return };
    let db = match &timer.place {
        Place::Memory(db) => *db,
        Place::Key(name) => name.db,
        Place::Lost => return,
    };
    timer.call = Some(cancel.clone());
    let period = timer.period;
    drop(table);
    let refused = redis::background(Pools::Python, db, cancel, move |lane| call(serial, &live, lane)).is_err();
    if refused {
        // Too much else is to be done: this time it is left out.
        let mut table = timers();
        if let Some(timer) = table.get(serial) {
            timer.call = None;
        }
        table.arm(serial, Instant::now() + period);
    }
}

fn call(serial: u64, live: &Live, lane: &mut Lane) {
    // It may have gone while this waited for a thread; or it is just getting another name.
    if timers().get(serial).is_none_or(|timer| timer.place == Place::Lost) {
        return conclude(serial, None);
    }
    let Live { session, plan } = live;
    lane.cancel().set_limit(session.origin.limit);
    let execution = executions().create(Arc::clone(&plan.info), lane.cancel().clone(), false);
    let owner = Owner::from(session);
    run::run_then(&plan.script(), plan, &execution, lane, &owner, move |execution| {
        conclude(serial, failure(execution));
    });
}

/// Has the end of a call seen to: whoever ends an execution that has waited may not wait for the lock.
fn conclude(serial: u64, failure: Option<Vec<u8>>) {
    redis::background_surely(Pools::Workers, 0, CancelToken::new(), move |lane| {
        // Refused only at the end of the server.
        let _ = lane.slice(|slice| ended(slice.held(), serial, failure));
    });
}

/// What a call failed with.
fn failure(execution: &Execution) -> Option<Vec<u8>> {
    match execution.snapshot() {
        (Status::Aborted, _) => Some(b"it was aborted before it began".to_vec()),
        (_, finished) => finished.errors.first().cloned(),
    }
}

/// A call has ended.
fn ended(held: &Held<'_>, serial: u64, failure: Option<Vec<u8>>) {
    let mut table = timers();
    let Some(timer) = table.get(serial) else { return };
    timer.call = None;
    let at = Instant::now() + timer.period;
    let (key, live) = (timer.key().cloned(), timer.live.clone());
    // What fails on a replica was begun by a primary: it is the new primary's now.
    let Some(failure) = failure.filter(|_| !held.is_replica()) else {
        table.arm(serial, at);
        drop(table);
        return ALARM.set(held, at);
    };
    let gone = table.remove(serial);
    drop(table);
    let name = match (&key, &live) {
        (Some(name), _) => format!("{}", name.key.escape_ascii()),
        (None, Some(live)) => format!("of session {}", live.session.id),
        (None, None) => String::new(),
    };
    let text = String::from_utf8_lossy(&failure);
    redis::log(Level::Warning, &format!("GEARS: timer {name} has failed and ends: {text}"));
    if let Some(name) = key {
        redis::delete(held, name.db, &name.key);
    }
    drop(gone);
}
