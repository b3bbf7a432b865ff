//! `IL.SCRIPT PIN|UNPIN|LIST|STATS`: the Lua scripts that the module keeps for `EVALSHA`.

use crate::commands::args::{is_word, shown};
use crate::coordination::scripts;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;
use crate::settings;

pub(super) struct Script;

impl Command for Script {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.script",
        flags: c"",
        arity: -2,
        summary: c"Pins, unpins and lists the Lua scripts that the module keeps.",
        args: &[ArgDoc::required(c"subcommand"), ArgDoc::required(c"script")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(answer(invocation).unwrap_or_else(Reply::error))
    }
}

fn answer(invocation: &Invocation<'_>) -> Result<Reply, String> {
    let (&subcommand, args) = invocation.args().split_first().ok_or("ERR IL.SCRIPT is missing its subcommand")?;
    let script = || match args {
        [script] => Ok(*script),
        _ => Err(format!("ERR IL.SCRIPT {} takes one argument, a script or its SHA-1", shown(subcommand))),
    };
    let nothing = || match args {
        [] => Ok(()),
        _ => Err(format!("ERR IL.SCRIPT {} takes no arguments", shown(subcommand))),
    };
    let changes = ["PIN", "UNPIN", "LEARN"].iter().any(|word| is_word(subcommand, word));
    // Not a command with the flag `write`: a replica answers LIST and STATS.
    if changes && invocation.held.is_replica() && invocation.user().is_some() {
        return Err("READONLY You can't write against a read only replica.".to_owned());
    }
    if is_word(subcommand, "PIN") {
        if !settings::PIN_SCRIPTS.is_on() {
            return Err("ERR scripts are not kept, see CONFIG SET search.pin-scripts yes".to_owned());
        }
        let given = script()?;
        // By its SHA-1 a script can be pinned that has passed already.
        let known = scripts::body(given);
        let sha = scripts::pin(known.as_deref().unwrap_or(given)).map_err(|error| format!("ERR {error}"))?;
        invocation.replicate_as_is();
        Ok(Reply::bulk(sha))
    } else if is_word(subcommand, "UNPIN") {
        let unpinned = scripts::unpin(script()?);
        if unpinned {
            invocation.replicate_as_is();
        }
        Ok(Reply::Int(i64::from(unpinned)))
    } else if is_word(subcommand, "LEARN") {
        // How replicas and the AOF hear of scripts that have passed.
        scripts::learn_replicated(script()?);
        invocation.replicate_as_is();
        Ok(Reply::ok())
    } else if is_word(subcommand, "LIST") {
        nothing()?;
        Ok(Reply::Array(scripts::list().iter().map(show).collect()))
    } else if is_word(subcommand, "STATS") {
        nothing()?;
        Ok(figures())
    } else {
        Err(format!("ERR unknown subcommand '{}', expected PIN, UNPIN, LIST or STATS", shown(subcommand)))
    }
}

fn show(script: &scripts::Script) -> Reply {
    Reply::map([
        ("sha1", Reply::bulk(script.sha1.as_str())),
        ("bytes", Reply::count(script.body.len() as u64)),
        ("pinned", Reply::count(u64::from(script.pinned))),
        ("calls", Reply::count(script.calls)),
    ])
}

fn figures() -> Reply {
    let stats = scripts::stats();
    Reply::map([
        ("enabled", Reply::count(u64::from(settings::PIN_SCRIPTS.is_on()))),
        ("scripts", Reply::count(stats.scripts)),
        ("pinned", Reply::count(stats.pinned)),
        ("bytes", Reply::count(stats.bytes)),
        ("limit", Reply::Int(settings::PIN_SCRIPTS_MEMORY.get())),
        ("learned", Reply::count(stats.learned)),
        ("evicted", Reply::count(stats.evicted)),
        ("calls", Reply::count(stats.calls)),
        ("unknown", Reply::count(stats.unknown)),
    ])
}
