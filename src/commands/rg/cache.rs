//! `RG.PYLOAD script`, `RG.PYEXECUTESHA sha1 [options]`, `RG.PYEXISTS sha1 [sha1 ...]`: scripts that are sent once.

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
        let (sum, new) = cache::load(&invocation.held, source);
        if new {
            invocation.replicate_as_is();
        }
        Outcome::Reply(Reply::bulk(sum))
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
            Some(source) => pyexecute::outcome(&source, options),
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
