//! `RG.PYDUMPREQS`, `RG.PYEXPORTREQ`, `RG.PYIMPORTREQ`, `RG.PYDROPREQ`: the packages that scripts have asked for.

use super::LOOKS;
use crate::gears::requirements::{self, Requirement};
use crate::gears::{functions, sessions};
use crate::redis::{ArgDoc, Command, CommandSpec, Held, Invocation, Outcome};
use crate::reply::Reply;

const NAME: &[ArgDoc] = &[ArgDoc::required(c"requirement")];

/// The version of the metadata, as clients know it.
const METADATA_VERSION: i64 = 2;

pub(super) struct Dump;

impl Command for Dump {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pydumpreqs",
        flags: LOOKS,
        arity: 1,
        summary: c"Lists the requirements of scripts.",
        args: &[],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let all = requirements::all(&invocation.held);
        Outcome::Reply(Reply::Array(all.iter().map(|one| metadata(&invocation.held, one)).collect()))
    }
}

/// How many sessions and libraries need it.
fn users_of(held: &Held<'_>, name: &str) -> usize {
    let needs = |requirements: &[String]| requirements.iter().any(|one| one == name);
    let sessions = sessions().all(false).into_iter().chain(sessions().all(true));
    let libraries = functions::all(held);
    sessions.filter(|session| needs(&session.origin.requirements)).count()
        + libraries.iter().filter(|library| needs(&library.definition.header.requirements)).count()
}

/// One requirement, as RedisGears shows it.
pub(super) fn metadata(held: &Held<'_>, requirement: &Requirement) -> Reply {
    let fields = described(held, requirement);
    Reply::Array(fields.into_iter().flat_map(|(name, value)| [Reply::bulk(name), value]).collect())
}

/// What there is to say of a requirement.
pub(super) fn described(held: &Held<'_>, requirement: &Requirement) -> [(&'static str, Reply); 9] {
    let installed = requirements::is_installed(held, &requirement.name);
    [
        ("GearReqVersion", Reply::Int(METADATA_VERSION)),
        ("Name", Reply::bulk(requirement.name.clone())),
        ("IsDownloaded", Reply::bulk("yes")),
        ("IsInstalled", Reply::bulk(if installed { "yes" } else { "no" })),
        ("CompiledOs", Reply::bulk(format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH))),
        ("Wheels", Reply::bulks(requirement.wheels.iter().map(|(file, _)| file.as_str()))),
        ("Path", Reply::bulk(requirements::root().to_string_lossy().into_owned())),
        ("RefCount", Reply::count(users_of(held, &requirement.name) as u64)),
        ("IsInReqDictionary", Reply::bulk("yes")),
    ]
}

pub(super) struct Export;

impl Command for Export {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pyexportreq",
        flags: LOOKS,
        arity: 2,
        summary: c"Returns a requirement with its wheels, for RG.PYIMPORTREQ.",
        args: NAME,
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let name = invocation.args().first().and_then(|name| std::str::from_utf8(name).ok());
        Outcome::Reply(match name.and_then(|name| requirements::find(&invocation.held, name)) {
            Some(found) => Reply::Array(vec![
                metadata(&invocation.held, &found),
                Reply::Array(requirements::export(&found).into_iter().map(Reply::Bulk).collect()),
            ]),
            None => Reply::error("requirement does not exists"),
        })
    }
}

pub(super) struct Import;

impl Command for Import {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pyimportreq",
        flags: c"write deny-oom",
        arity: -2,
        summary: c"Keeps a requirement that RG.PYEXPORTREQ has returned.",
        args: &[ArgDoc::required(c"chunk")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let imported = requirements::import(&invocation.held, invocation.args());
        Outcome::Reply(imported.map_or_else(Reply::error, |_| Reply::bulk("OK")))
    }
}

pub(super) struct Drop;

impl Command for Drop {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pydropreq",
        flags: c"write",
        arity: 2,
        summary: c"Forgets a requirement that nothing needs.",
        args: NAME,
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let name = invocation.args().first().and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
        // A primary, or the AOF, knows better.
        if invocation.user().is_some() && users_of(&invocation.held, name) > 0 {
            let text = format!("ERR the requirement {name} is needed by a session or a library");
            return Outcome::Reply(Reply::error(text));
        }
        if !requirements::drop_requirement(&invocation.held, name) {
            return Outcome::Reply(Reply::error("requirement does not exists"));
        }
        invocation.replicate_as_is();
        Outcome::Reply(Reply::ok())
    }
}

/// `RG._REQUIREMENT requirement`: how a primary, or the AOF, tells of a requirement.
pub(super) struct Learn;

impl Command for Learn {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg._requirement",
        flags: c"write admin deny-script",
        arity: 2,
        summary: c"Tells replicas and the AOF of a requirement; not for users.",
        args: &[],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let learned = match invocation.args() {
            [bytes] if invocation.user().is_none() => requirements::learn(&invocation.held, bytes),
            _ => Err("ERR RG._REQUIREMENT is for replicas and the AOF, use RG.PYIMPORTREQ".to_owned()),
        };
        if learned.is_ok() {
            invocation.replicate_as_is();
        }
        Outcome::Reply(learned.map_or_else(Reply::error, |()| Reply::ok()))
    }
}
