//! How do calls of a trigger run beside each other, when there are thousands a second?
//!
//! They wait in a queue of their registration. One worker takes them one after the other without giving the interpreter
//! up in between: more would only take its GIL from each other. As soon as a call lasts, another worker begins
//! beside it, so that one slow call holds up no others.

use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::queue::{self, Came};
use super::registration::Registration;
use super::registrations::registrations;
use crate::redis::{self, Alarm, BlockedReply, Client, Held, Pools};
use crate::reply::Reply;
use crate::settings;
use crate::sync::{CancelToken, Pace};

/// How long a worker stays, before other scripts have their turn.
const STAY: Duration = Duration::from_millis(10);

/// One call that did not begin yet.
struct Call {
    db: i32,
    records: Reply,
    cancel: CancelToken,
    client: BlockedReply,
}

/// The calls of one registration that did not begin yet.
#[derive(Default)]
pub(super) struct Calls {
    waiting: VecDeque<Call>,
    /// Workers that run calls.
    pace: Pace,
}

impl Calls {
    /// Whether another worker is needed; it is counted then.
    fn needs_worker(&mut self) -> Option<i32> {
        let next = self.waiting.front()?;
        self.pace.hires(settings::PYTHON_WORKERS.count() + super::stuck()).then_some(next.db)
    }
}

fn calls(registration: &Registration) -> MutexGuard<'_, Calls> {
    registration.calls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Queues a call, and sees that somebody runs it.
pub(super) fn push(
    held: &Held<'_>,
    registration: &Arc<Registration>,
    records: Reply,
    cancel: CancelToken,
    client: BlockedReply,
) {
    registration.count_event();
    let db = {
        let mut calls = calls(registration);
        if calls.waiting.len() >= settings::QUEUE_LIMIT.count() {
            drop(calls);
            registration.count_aborted(1, None);
            return client.finish(&Reply::error(format!("ERR {}", crate::sync::Refused::Full)));
        }
        calls.waiting.push_back(Call { db: held.db(), records, cancel, client });
        calls.needs_worker()
    };
    match db {
        Some(db) => submit(registration, db),
        None => LOOK.set(held, Instant::now() + Pace::LOOK_EVERY),
    }
}

/// Rings while calls wait.
static LOOK: Alarm = Alarm::new(look);

/// Sends workers to where calls wait for one that lasts.
fn look(held: &Held<'_>) {
    let mut again = false;
    for registration in registrations().all() {
        let db = {
            let mut calls = calls(&registration);
            let db = calls.needs_worker();
            again |= !calls.waiting.is_empty();
            db
        };
        if let Some(db) = db {
            submit(&registration, db);
        }
    }
    if again {
        LOOK.set(held, Instant::now() + Pace::LOOK_EVERY);
    }
}

fn submit(registration: &Arc<Registration>, db: i32) {
    let mut worker = Worker { registration: Arc::clone(registration), began: false };
    redis::expect_loan();
    // The pool takes what clients wait for, until the server shuts down.
    redis::background_surely(Pools::Python, db, CancelToken::new(), move |lane| {
        worker.began = true;
        let registration = &worker.registration;
        let client = lane.client();
        let calls = Taking { registration, client: &client, db, until: Instant::now() + STAY };
        lane.door().set_brisk();
        queue::run_events(registration, lane, calls, false, None, |came| {
            match came {
                Came::Ended(finished, chosen) => {
                    client.answer(&queue::reply_of(registration, finished, chosen));
                }
                Came::Waits(suspended) => {
                    let caller = client.take();
                    suspended.then(registration, false, move |registration, finished, chosen| {
                        let reply = queue::reply_of(registration, finished, chosen);
                        caller.into_iter().for_each(|caller| caller.finish(&reply));
                    });
                }
            }
            true
        });
        redis::end_loan();
        if client.answer(&Reply::error("ERR the execution was stopped before it began")) {
            registration.count_aborted(1, None);
        }
    });
}

/// A worker that runs calls of a registration, until this is dropped.
struct Worker {
    registration: Arc<Registration>,
    began: bool,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let db = {
            let mut calls = calls(&self.registration);
            // A call may have come after it has looked for one the last time, and counted on it.
            let next = calls.waiting.front().map(|call| call.db).filter(|_| self.began);
            if next.is_none() {
                calls.pace.leaves();
            }
            next
        };
        if let Some(db) = db {
            submit(&self.registration, db);
        }
    }
}

/// The calls that a worker takes, one at a time.
struct Taking<'c> {
    registration: &'c Registration,
    /// Who waits for the call that was taken last.
    client: &'c Client,
    db: i32,
    until: Instant,
}

impl Iterator for Taking<'_> {
    type Item = (Reply, Option<CancelToken>);

    fn next(&mut self) -> Option<Self::Item> {
        let now = Instant::now();
        if now >= self.until {
            return None;
        }
        let call = {
            let mut calls = calls(self.registration);
            calls.waiting.front().filter(|call| call.db == self.db)?;
            calls.pace.begins(now);
            calls.waiting.pop_front()?
        };
        self.client.serve(call.client);
        Some((call.records, Some(call.cancel)))
    }
}
