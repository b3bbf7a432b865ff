//! `RG.PYSTATS`, `RG.PYDUMPSESSIONS`, `RG.PYDUMPINTERPRETERS`: what Python is doing.

use std::sync::Arc;

use super::LOOKS;
use crate::commands::args::{is_word, shown};
use crate::gears::{registrations, sessions, Session};
use crate::python;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;

pub(super) struct PyStats;

impl Command for PyStats {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pystats",
        flags: LOOKS,
        arity: -1,
        summary: c"Returns the memory that Python has allocated.",
        args: &[],
    };

    fn call(_invocation: &Invocation<'_>) -> Outcome {
        let memory = python::memory_totals();
        Outcome::Reply(Reply::Array(vec![
            Reply::bulk("TotalAllocated"),
            Reply::count(memory.total),
            Reply::bulk("PeakAllocated"),
            Reply::count(memory.peak),
            Reply::bulk("CurrAllocated"),
            Reply::count(memory.current),
        ]))
    }
}

pub(super) struct DumpSessions;

impl Command for DumpSessions {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pydumpsessions",
        flags: LOOKS,
        arity: -1,
        summary: c"Lists the sessions of scripts that are alive.",
        args: &[
            ArgDoc::flag(c"verbose", c"VERBOSE"),
            ArgDoc::flag(c"dead", c"DEAD"),
            ArgDoc::option(c"sessions", c"SESSIONS"),
        ],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let (mut dead, mut verbose) = (false, false);
        let mut args = invocation.args().iter();
        while let Some(word) = args.next() {
            if is_word(word, "DEAD") {
                dead = true;
            } else if is_word(word, "SESSIONS") {
                let named = args.map(|id| {
                    let id = String::from_utf8_lossy(id);
                    sessions().get(&id).map_or_else(
                        || Reply::bulk(format!("Session {id} does not exists")),
                        |session| entry(&session, false, verbose),
                    )
                });
                return Outcome::Reply(Reply::Array(named.collect()));
            } else if is_word(word, "VERBOSE") {
                verbose = true;
            } else {
                return Outcome::Reply(Reply::error(format!("Unknown option {}", shown(word))));
            }
        }
        Outcome::Reply(Reply::Array(sessions().all(dead).iter().map(|session| entry(session, dead, verbose)).collect()))
    }
}

fn entry(session: &Arc<Session>, dead: bool, verbose: bool) -> Reply {
    let registered = registrations().of_session(session);
    // Without the owner that is looking at it.
    let owners = Arc::strong_count(session).saturating_sub(1);
    let registered = registered.iter().map(|one| match verbose {
        true => super::registrations::entry(one, false),
        false => Reply::bulk(one.id.clone()),
    });
    Reply::Array(vec![
        Reply::bulk("ID"),
        Reply::bulk(session.id.clone()),
        Reply::bulk("sessionDescription"),
        session.description.clone().map_or(Reply::Null, Reply::bulk),
        Reply::bulk("refCount"),
        Reply::count(owners as u64),
        Reply::bulk("linked"),
        Reply::bulk(if dead { "None" } else { "primary" }),
        Reply::bulk("dead"),
        Reply::bulk(if dead { "true" } else { "false" }),
        Reply::bulk("requirementInstallationNeeded"),
        Reply::Int(i64::from(!session.origin.requirements.is_empty())),
        Reply::bulk("requirements"),
        Reply::bulks(session.origin.requirements.iter().map(String::as_str)),
        Reply::bulk("registrations"),
        Reply::Array(registered.collect()),
    ])
}

pub(super) struct DumpInterpreters;

impl Command for DumpInterpreters {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pydumpinterpreters",
        flags: LOOKS,
        arity: 1,
        summary: c"Lists the Python interpreters.",
        args: &[],
    };

    fn call(_invocation: &Invocation<'_>) -> Outcome {
        let entry = |info: python::InterpreterInfo| {
            Reply::map([
                ("id", Reply::count(info.id)),
                ("isolation", Reply::bulk(info.isolation.name())),
                ("gil", Reply::bulk(if info.own_gil { "own" } else { "shared" })),
                (
                    "scope",
                    Reply::bulk(match info.scope {
                        None => "none",
                        Some(python::Scope::Call) => "call",
                        Some(python::Scope::Script(_)) => "script",
                        Some(python::Scope::Library) => "library",
                    }),
                ),
                ("state", Reply::bulk(info.state.name())),
                ("owners", Reply::count(info.owners as u64)),
                ("running", Reply::count(info.running as u64)),
                ("runs", Reply::count(info.runs)),
                ("memory", Reply::count(info.memory as u64)),
                ("age_ms", Reply::count(info.age_ms)),
            ])
        };
        let list = python::registry().map(|registry| registry.dump()).unwrap_or_default();
        Outcome::Reply(Reply::Array(list.into_iter().map(entry).collect()))
    }
}
