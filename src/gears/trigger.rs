//! What does `RG.TRIGGER` start?

use super::queue::{self, Event};
use super::registration::Mode;
use super::registrations::registrations;
use super::Trigger;
use crate::redis::{Job, Outcome, Pools, Wait};
use crate::reply::Reply;
use crate::settings;
use crate::sync::CancelToken;

/// Calls the registration of this name with the words of the command, the name first.
pub fn trigger(words: &[&[u8]]) -> Outcome {
    let found = words.first().and_then(|name| registrations().trigger(name));
    let Some(registration) = found else {
        return Outcome::Reply(Reply::error("ERR subcommand not found"));
    };
    // One record: the list of words.
    let records = Reply::Array(vec![Reply::bulks(words.iter().copied())]);
    let in_order = matches!(registration.trigger, Trigger::Command { in_order: true, .. });
    if in_order && registration.mode != Mode::Sync {
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
    registration.count_event();
    let limit = registration.session.origin.limit;
    let sync = registration.mode == Mode::Sync;
    let job = Job {
        pool: Pools::Python,
        limit: None,
        cancel: CancelToken::new(),
        inline_limit: [limit, settings::PYTHON_INLINE_LIMIT.millis()].into_iter().flatten().min(),
        run: Box::new(move |lane| queue::run_one(&registration, lane, records, false)),
    };
    if sync {
        Outcome::Now(job)
    } else {
        Outcome::Job(job)
    }
}
