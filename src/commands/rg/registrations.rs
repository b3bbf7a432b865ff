//! `RG.DUMPREGISTRATIONS`, `RG.UNREGISTER`, `RG.PAUSEREGISTRATIONS`, `RG.UNPAUSEREGISTRATIONS`,
//! `RG.CLEARREGISTRATIONSSTATS`: the registrations that are in force.

use std::sync::Arc;
use std::time::Duration;

use super::introspection::as_text;
use super::LOOKS;
use crate::commands::args::is_word;
use crate::gears::{pause, registrations, unregister, Registration, Stats, Trigger};
use crate::redis::{ArgDoc, Command, CommandSpec, Held, Invocation, Outcome};
use crate::reply::Reply;

const ID: ArgDoc = ArgDoc::required(c"id");

fn millis(duration: Duration) -> Reply {
    Reply::Int(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

/// Names and values one after the other.
fn flat(pairs: Vec<(&'static str, Reply)>) -> Reply {
    Reply::Array(pairs.into_iter().flat_map(|(name, value)| [Reply::bulk(name), value]).collect())
}

pub(super) struct Dump;

impl Command for Dump {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.dumpregistrations",
        flags: LOOKS,
        arity: 1,
        summary: c"Lists the registrations.",
        args: &[],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let held = &invocation.held;
        Outcome::Reply(Reply::Array(registrations().all().iter().map(|one| entry(held, one, true)).collect()))
    }
}

/// One registration; `RG.PYDUMPSESSIONS VERBOSE` leaves the private data out.
pub(super) fn entry(held: &Held<'_>, registration: &Arc<Registration>, private: bool) -> Reply {
    let mut fields = vec![
        Reply::bulk("id"),
        Reply::bulk(registration.id.clone()),
        Reply::bulk("reader"),
        Reply::bulk(registration.reader()),
        Reply::bulk("desc"),
        registration.description().map_or(Reply::Null, Reply::bulk),
        Reply::bulk("RegistrationData"),
        data(registration),
    ];
    if private {
        fields.extend([
            Reply::bulk("PD"),
            Reply::bulk(as_text(held, &registration.session, Arc::strong_count(&registration.session), false)),
        ]);
    }
    fields.extend([Reply::bulk("ExecutionThreadPool"), Reply::bulk("DefaultPool")]);
    Reply::Array(fields)
}

fn data(registration: &Registration) -> Reply {
    let mut fields = statistics(registration);
    fields.push(("args", flat(arguments(registration))));
    fields.extend(status(registration));
    flat(fields)
}

/// What came of its events.
pub(super) fn statistics(registration: &Registration) -> Vec<(&'static str, Reply)> {
    let stats = registration.stats();
    let Stats { triggered, success, failures, aborted, last, total, .. } = stats;
    let ended = (success + failures + aborted).max(1);
    let mut fields = vec![
        ("mode", Reply::bulk(registration.mode.name())),
        ("numTriggered", Reply::count(triggered)),
        ("numSuccess", Reply::count(success)),
        ("numFailures", Reply::count(failures)),
        ("numAborted", Reply::count(aborted)),
        ("lastRunDurationMS", millis(last)),
        ("totalRunDurationMS", millis(total)),
        ("avgRunDurationMS", Reply::Double(total.as_secs_f64() * 1e3 / ended as f64)),
    ];
    if matches!(registration.trigger, Trigger::Stream(_)) {
        fields.push(("lastEstimatedLagMS", millis(stats.last_lag)));
        fields.push(("avgEstimatedLagMS", Reply::Double(stats.total_lag.as_secs_f64() * 1e3 / ended as f64)));
    }
    fields.push(("lastError", stats.last_error.map_or(Reply::Null, Reply::Bulk)));
    fields
}

/// What its `register()` was given.
pub(super) fn arguments(registration: &Registration) -> Vec<(&'static str, Reply)> {
    let names = |names: &Option<Vec<Vec<u8>>>| names.clone().map_or(Reply::Null, Reply::bulks);
    match &registration.trigger {
        Trigger::Keys(keys) => vec![
            ("regex", Reply::bulk(keys.prefix.clone())),
            ("eventTypes", names(&keys.events)),
            ("keyTypes", names(&keys.types)),
            ("hookCommands", names(&keys.commands)),
        ],
        Trigger::Stream(stream) => vec![
            ("batchSize", Reply::count(stream.batch as u64)),
            ("durationMS", millis(stream.duration.unwrap_or_default())),
            ("stream", Reply::bulk(stream.prefix.clone())),
            ("trimStream", Reply::Int(i64::from(stream.trim))),
            ("onFailedPolicy", Reply::bulk(stream.on_failure.name())),
            ("retryInterval", Reply::count(stream.retry_after.as_secs())),
        ],
        Trigger::Command { name, in_order } | Trigger::Hook { command: name, in_order, .. } => {
            vec![("trigger", Reply::bulk(name.clone())), ("inorder", Reply::Int(i64::from(*in_order)))]
        }
    }
}

/// Whether it reads its streams, if it has any.
pub(super) fn status(registration: &Registration) -> Option<(&'static str, Reply)> {
    matches!(registration.trigger, Trigger::Stream(_))
        .then(|| ("status", Reply::bulk(registration.stream_status().name())))
}

fn find(id: &[u8]) -> Option<Arc<Registration>> {
    registrations().get(std::str::from_utf8(id).ok()?)
}

pub(super) struct Unregister;

impl Command for Unregister {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.unregister",
        flags: c"write",
        arity: -2,
        summary: c"Removes a registration.",
        args: &[ID, ArgDoc::flag(c"abortpending", c"ABORTPENDING")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let abort_pending = match invocation.args() {
            [_] => false,
            [_, option] if is_word(option, "ABORTPENDING") => true,
            _ => return Outcome::Reply(Reply::error("ERR expected RG.UNREGISTER id [ABORTPENDING]")),
        };
        let id = invocation.args().first().and_then(|id| std::str::from_utf8(id).ok());
        Outcome::Reply(match id {
            Some(id) if unregister(&invocation.held, id, abort_pending) => {
                invocation.replicate_as_is();
                Reply::ok()
            }
            _ => Reply::error("execution is not registered"),
        })
    }
}

/// Pauses registrations or goes on with them: those of streams, since events of keys and commands can't be caught up with.
fn each(invocation: &Invocation<'_>, what: &str) -> Outcome {
    let ids: Vec<&[u8]> = invocation.args().iter().copied().filter(|word| !is_word(word, "ABORTPENDING")).collect();
    if ids.is_empty() {
        return Outcome::Reply(Reply::error(format!("ERR no registration to {what}")));
    }
    let mut found = Vec::new();
    for id in ids {
        let Some(registration) = find(id) else {
            let (id, shard) = (String::from_utf8_lossy(id), crate::redis::node_id());
            return Outcome::Reply(Reply::error(format!("Execution {id} does not exists on shard {shard}")));
        };
        if !matches!(registration.trigger, Trigger::Stream(_)) {
            let reader = registration.reader();
            return Outcome::Reply(Reply::error(format!("Reader {reader} does not support {what}")));
        }
        found.push(registration);
    }
    for registration in &found {
        pause(&invocation.held, registration, what == "pause");
    }
    Outcome::Reply(Reply::ok())
}

pub(super) struct Pause;

impl Command for Pause {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pauseregistrations",
        flags: c"write",
        arity: -2,
        summary: c"Holds registrations up.",
        args: &[ArgDoc::flag(c"abortpending", c"ABORTPENDING"), ID],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        each(invocation, "pause")
    }
}

pub(super) struct Unpause;

impl Command for Unpause {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.unpauseregistrations",
        flags: c"write",
        arity: -2,
        summary: c"Lets registrations go on.",
        args: &[ID],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        each(invocation, "unpause")
    }
}

pub(super) struct ClearStats;

impl Command for ClearStats {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.clearregistrationsstats",
        flags: LOOKS,
        arity: 1,
        summary: c"Forgets the statistics of all registrations.",
        args: &[],
    };

    fn call(_invocation: &Invocation<'_>) -> Outcome {
        registrations().all().iter().for_each(|registration| registration.clear_stats());
        Outcome::Reply(Reply::ok())
    }
}
