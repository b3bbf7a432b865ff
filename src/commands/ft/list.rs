//! `FT._LIST`: the names of all indexes.

use crate::redis::{Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;
use crate::search::registry;

pub(super) struct List;

impl Command for List {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft._list",
        flags: c"readonly",
        arity: 1,
        summary: c"The names of all indexes",
        args: &[],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let names = registry::all(&invocation.held);
        Outcome::Reply(Reply::Set(names.iter().map(|index| Reply::Status(index.name().to_vec())).collect()))
    }
}
