//! `RG.INFOCLUSTER`, `RG.REFRESHCLUSTER`, `RG.NETWORKTEST`: what clients ask of a cluster, on a server that executes by itself.

use super::LOOKS;
use crate::redis::{Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;

pub(super) struct Info;

impl Command for Info {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.infocluster",
        flags: LOOKS,
        arity: 1,
        summary: c"Tells that executions run on this server only.",
        args: &[],
    };

    fn call(_invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(Reply::bulk("no cluster mode"))
    }
}

pub(super) struct Refresh;

impl Command for Refresh {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.refreshcluster",
        flags: LOOKS,
        arity: 1,
        summary: c"Answers OK: there is no topology to read.",
        args: &[],
    };

    fn call(_invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(Reply::ok())
    }
}

pub(super) struct NetworkTest;

impl Command for NetworkTest {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.networktest",
        flags: LOOKS,
        arity: -1,
        summary: c"Answers OK: there is nobody to send a message to.",
        args: &[],
    };

    fn call(_invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(Reply::ok())
    }
}
