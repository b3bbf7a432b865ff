//! `RG.PYLOAD script`, `RG.PYUNLOAD sha1 [sha1 ...]`, `RG.PYEXECUTESHA sha1 [options]`, `RG.PYEXISTS sha1 [sha1 ...]`:
//! scripts that are sent once.

use super::{pyexecute, LOOKS};
use crate::commands::args::shown;
use crate::gears::cache;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;

const SHA: ArgDoc = ArgDoc::required(c"sha1");

pub(super) struct Load;

impl Command for Load {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pyload",
        flags: c"write deny-oom",
        arity: 2,
        summary: c"Keeps a Python script, and returns its SHA-1 for RG.PYEXECUTESHA.",
        args: &[ArgDoc::required(c"script")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let source = invocation.args().first().copied().unwrap_or_default();
        // What a primary or the AOF has is never refused.
        let bounded = invocation.user().is_some();
        Outcome::Reply(match cache::load(&invocation.held, source, bounded) {
            Ok((sum, new)) => {
                if new {
                    invocation.replicate_as_is();
                }
                Reply::bulk(sum)
            }
            Err(error) => Reply::error(error),
        })
    }
}

pub(super) struct Unload;

impl Command for Unload {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pyunload",
        flags: c"write",
        arity: -2,
        summary: c"Gives up scripts that were kept with RG.PYLOAD.",
        args: &[SHA],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let gone = invocation.args().iter().filter(|sum| cache::unload(&invocation.held, sum)).count();
        if gone > 0 {
            invocation.replicate_as_is();
        }
        Outcome::Reply(Reply::count(gone as u64))
    }
}

pub(super) struct ExecuteSha;

impl Command for ExecuteSha {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pyexecutesha",
        flags: c"may-replicate",
        arity: -2,
        summary: c"Runs a Python script that was kept with RG.PYLOAD.",
        args: &[SHA, ArgDoc::optional(c"option")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let (sum, options) = invocation.args().split_first().map_or((&b""[..], &[][..]), |(sum, rest)| (*sum, rest));
        match cache::find(&invocation.held, sum) {
            Some(source) => pyexecute::outcome(&invocation.held, &source, options),
            None => Outcome::Reply(Reply::error(format!(
                "NOSCRIPT no script with the SHA-1 '{}', keep it with RG.PYLOAD first",
                shown(sum)
            ))),
        }
    }
}

pub(super) struct Exists;

impl Command for Exists {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pyexists",
        flags: LOOKS,
        arity: -2,
        summary: c"Tells which scripts are kept.",
        args: &[SHA],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let kept = |sum: &&[u8]| Reply::Int(i64::from(cache::find(&invocation.held, sum).is_some()));
        Outcome::Reply(Reply::Array(invocation.args().iter().map(kept).collect()))
    }
}
