//! `FT._CREATEIFNX` and the like: the definition commands in a form that may be repeated.
//!
//! For those who copy definitions from another server. What there is to do may have been done; that is no error.

use super::{alias, alter, create, definition_command, dropindex};
use crate::redis::{Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;
use crate::search::registry;

/// A command that does nothing where that is what is left to do.
const fn spec(name: &'static std::ffi::CStr, flags: &'static std::ffi::CStr) -> CommandSpec {
    CommandSpec { name, flags, arity: -2, summary: c"For replicas of another server", args: &[] }
}

/// Whether there is an index or alias of this name.
fn known(invocation: &Invocation<'_>) -> bool {
    invocation.args().first().is_some_and(|name| registry::find(&invocation.held, name).is_some())
}

pub(super) struct CreateIfNew;

impl Command for CreateIfNew {
    const SPEC: CommandSpec = spec(c"ft._createifnx", c"write deny-oom");

    fn call(invocation: &Invocation<'_>) -> Outcome {
        if known(invocation) {
            return Outcome::Reply(Reply::ok());
        }
        <create::Create as Command>::call(invocation)
    }
}

pub(super) struct AlterIfNew;

impl Command for AlterIfNew {
    const SPEC: CommandSpec = spec(c"ft._alterifnx", c"write deny-oom");

    fn call(invocation: &Invocation<'_>) -> Outcome {
        definition_command(invocation, || match alter::alter(invocation) {
            Err(text) if text.starts_with("Duplicate field in schema") => Ok(()),
            done => done,
        })
    }
}

pub(super) struct DropIfThere;

impl Command for DropIfThere {
    const SPEC: CommandSpec = spec(c"ft._dropindexifx", c"write");

    fn call(invocation: &Invocation<'_>) -> Outcome {
        if known(invocation) {
            <dropindex::DropIndex as Command>::call(invocation)
        } else {
            Outcome::Reply(Reply::ok())
        }
    }
}

pub(super) struct AliasAddIfNew;

impl Command for AliasAddIfNew {
    const SPEC: CommandSpec = spec(c"ft._aliasaddifnx", c"write deny-oom");

    fn call(invocation: &Invocation<'_>) -> Outcome {
        if known(invocation) {
            return Outcome::Reply(Reply::ok());
        }
        definition_command(invocation, || alias::add(invocation))
    }
}

pub(super) struct AliasDelIfThere;

impl Command for AliasDelIfThere {
    const SPEC: CommandSpec = spec(c"ft._aliasdelifx", c"write");

    fn call(invocation: &Invocation<'_>) -> Outcome {
        if known(invocation) {
            definition_command(invocation, || alias::del(invocation))
        } else {
            Outcome::Reply(Reply::ok())
        }
    }
}
