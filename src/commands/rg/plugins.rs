//! `RG.DUMPPLUGINS`, `RG.PYEXECUTEREMOTE`, `RG.PYFREEINTERPRETER`: what RedisGears answers where there is nothing to do.

use super::LOOKS;
use crate::redis::{Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;

/// The plugin that runs Python, and its version, as those of RedisGears 1.2.
pub(super) const PLUGIN: (&str, i64) = ("GearsPythonPlugin", 10_000);

pub(super) struct Dump;

impl Command for Dump {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.dumpplugins",
        flags: LOOKS,
        arity: -1,
        summary: c"Lists the plugin that runs Python.",
        args: &[],
    };

    fn call(_invocation: &Invocation<'_>) -> Outcome {
        let (name, version) = PLUGIN;
        Outcome::Reply(Reply::Array(vec![Reply::Array(vec![Reply::bulk(name), Reply::Int(version)])]))
    }
}

pub(super) struct ExecuteRemote;

impl Command for ExecuteRemote {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pyexecuteremote",
        flags: LOOKS,
        arity: -1,
        summary: c"Answers that it is not supported any more.",
        args: &[],
    };

    fn call(_invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(Reply::bulk("Execute remote is not longer supported"))
    }
}

pub(super) struct FreeInterpreter;

impl Command for FreeInterpreter {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pyfreeinterpreter",
        flags: LOOKS,
        arity: -1,
        summary: c"Answers that it is not supported any more.",
        args: &[],
    };

    fn call(_invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(Reply::bulk("Free interpreter is not longer supported"))
    }
}
