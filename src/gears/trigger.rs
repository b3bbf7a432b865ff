//! What does `RG.TRIGGER` start?

use std::sync::Arc;
use std::time::Duration;

use super::calls;
use super::durable::{self, Underway};
use super::queue::{self, Event};
use super::registration::{Mode, Registration};
use super::registrations::registrations;
use super::Trigger;
use crate::redis::{Job, Lane, Outcome, Pools, Wait};
use crate::reply::Reply;
use crate::settings;
use crate::sync::CancelToken;

/// How often a call looks whether its registration has been restored.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Calls the registration of this name with the words of the command, the name first.
pub fn trigger(words: &[&[u8]]) -> Outcome {
    let name = words.first().copied().unwrap_or_default();
    // One record: the list of words.
    let records = Reply::Array(vec![Reply::bulks(words.iter().copied())]);
    let Some(registration) = registrations().trigger(name) else {
        if let Some(underway) = durable::underway() {
            let name = name.to_vec();
            return Outcome::Job(job(None, move |lane| when_restored(&underway, &name, records, lane)));
        }
        return Outcome::Reply(unknown());
    };
    let sync = registration.mode == Mode::Sync;
    if !sync && matches!(registration.trigger, Trigger::Command { in_order: true, .. }) {
        return Outcome::Wait(Wait {
            limit: None,
            cancel: CancelToken::new(),
            register: Box::new(move |held, client| {
                queue::push(held, &registration, Event { db: held.db(), records, client: Some(client) });
            }),
            otherwise: Reply::error(
                "ERR can not run a non-sync execution inside a MULTI/LUA (blocking is not allowed) or on loading.",
            ),
        });
    }
    let limit = registration.session.origin.limit;
    let by_itself = sync || limit.is_some() || registration.session.origin.max_memory.is_some();
    if !by_itself {
        let (queued, cancel, copy) = (Arc::clone(&registration), CancelToken::new(), records.clone());
        let wait = Wait {
            limit: None,
            cancel: cancel.clone(),
            register: Box::new(move |held, client| calls::push(held, &queued, copy, cancel, client)),
            otherwise: Reply::Null,
        };
        return Outcome::WaitOr(wait, job(None, move |lane| counted(&registration, lane, records)));
    }
    registration.count_event();
    let job = job(limit, move |lane| queue::run_one(&registration, lane, records, false));
    if sync {
        Outcome::Now(job)
    } else {
        Outcome::Job(job)
    }
}

fn counted(registration: &Arc<Registration>, lane: &mut Lane, records: Reply) -> Reply {
    registration.count_event();
    queue::run_one(registration, lane, records, false)
}

fn unknown() -> Reply {
    Reply::error("ERR subcommand not found")
}

fn job(limit: Option<Duration>, run: impl FnOnce(&mut Lane) -> Reply + Send + 'static) -> Job {
    Job {
        pool: Pools::Python,
        limit: None,
        cancel: CancelToken::new(),
        inline_limit: [limit, settings::PYTHON_INLINE_LIMIT.millis()].into_iter().flatten().min(),
        run: Box::new(run),
    }
}

/// A call that came while scripts were being restored: it was there before the restart, so it is not unknown yet.
fn when_restored(underway: &Underway, name: &[u8], records: Reply, lane: &mut Lane) -> Reply {
    // Inline nobody can wait, since the scripts may need the lock: they are run here.
    while !lane.is_inline() && underway.goes_on() {
        if let Some(stop) = lane.cancel().stopped() {
            return Reply::error(format!("ERR registrations are being restored: {stop}"));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    if lane.is_inline() {
        durable::restore_here(lane, || registrations().trigger(name).is_some());
    }
    match registrations().trigger(name) {
        Some(registration) => call_restored(&registration, records, lane),
        None if underway.goes_on() => Reply::error("ERR registrations are being restored, try again"),
        None => unknown(),
    }
}

fn call_restored(registration: &Arc<Registration>, records: Reply, lane: &mut Lane) -> Reply {
    registration.count_event();
    if registration.mode == Mode::Sync && lane.door().keep().is_err() {
        return Reply::error("ERR the call was stopped before it began");
    }
    let reply = queue::run_one(registration, lane, records, false);
    lane.door().release();
    reply
}
