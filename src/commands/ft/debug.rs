//! `FT.DEBUG TTL index`: when does a temporary index go?

use std::time::Instant;

use super::unknown_index;
use crate::commands::args::is_word;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;
use crate::search::registry;

pub(super) struct Debug;

impl Command for Debug {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.debug",
        flags: c"readonly",
        arity: -2,
        summary: c"Seconds until a temporary index goes unless it is used",
        args: &[ArgDoc::required(c"subcommand"), ArgDoc::required(c"index")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(match invocation.args() {
            [subcommand, name] if is_word(subcommand, "TTL") => match registry::find(&invocation.held, name) {
                None => Reply::error(unknown_index()),
                Some(index) => match index.expires() {
                    None => Reply::error("Index is not temporary"),
                    Some(at) => Reply::Int(at.saturating_duration_since(Instant::now()).as_secs_f64().ceil() as i64),
                },
            },
            _ => Reply::error("subcommand is unknown: FT.DEBUG TTL index is there"),
        })
    }
}
