//! `RG.PYSTATS`, `RG.PYDUMPSESSIONS`, `RG.PYDUMPINTERPRETERS`: what Python is doing.

use std::sync::Arc;

use super::LOOKS;
use crate::commands::args::{is_word, shown};
use crate::gears::{registrations, requirements, sessions, Session};
use crate::python;
use crate::redis::{ArgDoc, Command, CommandSpec, Held, Invocation, Outcome};
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
        let pairs = memory().into_iter().flat_map(|(name, bytes)| [Reply::bulk(name), Reply::count(bytes)]);
        Outcome::Reply(Reply::Array(pairs.collect()))
    }
}

/// What Python has allocated, in bytes.
pub(super) fn memory() -> [(&'static str, u64); 3] {
    let memory = python::memory_totals();
    [("TotalAllocated", memory.total), ("PeakAllocated", memory.peak), ("CurrAllocated", memory.current)]
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
        let held = &invocation.held;
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
                        |session| entry(held, &session, false, verbose),
                    )
                });
                return Outcome::Reply(Reply::Array(named.collect()));
            } else if is_word(word, "VERBOSE") {
                verbose = true;
            } else {
                return Outcome::Reply(Reply::error(format!("Unknown option {}", shown(word))));
            }
        }
        let all = sessions().all(dead);
        Outcome::Reply(Reply::Array(all.iter().map(|session| entry(held, session, dead, verbose)).collect()))
    }
}

/// Who has a session, without the one that is looking at it.
pub(super) fn owners(session: &Arc<Session>) -> usize {
    Arc::strong_count(session).saturating_sub(1)
}

/// A session as the text of a dictionary, as RedisGears has it in `PD` of a registration and in INFO.
pub(super) fn as_text(held: &Held<'_>, session: &Session, owners: usize, dead: bool) -> String {
    let quoted = |names: Vec<String>| names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(",");
    let ids = registrations().of_session(session).iter().map(|one| one.id.clone()).collect();
    let packages = session.origin.requirements.iter().map(|name| {
        let found = requirements::find(held, name);
        let wheels = found.map(|found| found.wheels.iter().map(|(file, _)| file.clone()).collect()).unwrap_or_default();
        let folder = requirements::root();
        format!("{{'name':'{name}', 'basePath':'{}', 'wheels':[{}]}}", folder.display(), quoted(wheels))
    });
    format!(
        "{{'sessionName':'{}', 'sessionDescription':'{}', 'refCount': {}, 'linkedTo': {}, 'dead': {dead}, \
         'isInstallationNeeded':{}, 'registrationsList':[{}], 'depsList':[{}]}}",
        session.id,
        session.description.as_deref().unwrap_or("null"),
        owners,
        if dead { "None" } else { "primary" },
        u8::from(!session.origin.requirements.is_empty()),
        quoted(ids),
        packages.collect::<Vec<_>>().join(","),
    )
}

fn entry(held: &Held<'_>, session: &Arc<Session>, dead: bool, verbose: bool) -> Reply {
    let registered = registrations().of_session(session);
    let registered = registered.iter().map(|one| match verbose {
        true => super::registrations::entry(held, one, false),
        false => Reply::bulk(one.id.clone()),
    });
    let needed =
        session.origin.requirements.iter().map(|name| match requirements::find(held, name).filter(|_| verbose) {
            Some(found) => super::requirements::metadata(held, &found),
            None => Reply::bulk(name.clone()),
        });
    Reply::Array(vec![
        Reply::bulk("ID"),
        Reply::bulk(session.id.clone()),
        Reply::bulk("sessionDescription"),
        session.description.clone().map_or(Reply::Null, Reply::bulk),
        Reply::bulk("refCount"),
        Reply::count(owners(session) as u64),
        Reply::bulk("linked"),
        Reply::bulk(if dead { "None" } else { "primary" }),
        Reply::bulk("dead"),
        Reply::bulk(if dead { "true" } else { "false" }),
        Reply::bulk("requirementInstallationNeeded"),
        Reply::Int(i64::from(!session.origin.requirements.is_empty())),
        Reply::bulk("requirements"),
        Reply::Array(needed.collect()),
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
