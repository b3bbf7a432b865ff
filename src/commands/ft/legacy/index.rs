//! `FT.DROP`, `FT.OPTIMIZE`: what version 1 did to whole indexes.

use super::super::dropindex;
use super::index_of;
use crate::commands::args::{is_word, shown};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;

pub(super) struct Drop;

impl Command for Drop {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.drop",
        flags: c"write",
        arity: -2,
        summary: c"Removes an index and its documents (version 1)",
        args: &[ArgDoc::required(c"index"), ArgDoc::flag(c"keep_docs", c"KEEPDOCS")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        match invocation.args() {
            [name] => dropindex::remove(invocation, name, true),
            [name, word] if is_word(word, "KEEPDOCS") => dropindex::remove(invocation, name, false),
            // What the client library of version 1 sends for a missing KEEPDOCS.
            [name, b""] => dropindex::remove(invocation, name, true),
            [_, word, ..] => Outcome::Reply(Reply::error(format!("Unknown argument `{}`", shown(word)))),
            [] => Outcome::Reply(Reply::error("Unknown Index name")),
        }
    }
}

pub(super) struct Optimize;

impl Command for Optimize {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.optimize",
        flags: c"readonly",
        arity: 2,
        summary: c"Nothing: indexes are kept in shape in the background (version 1)",
        args: &[ArgDoc::required(c"index")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(index_of(invocation, "Unknown Index name").map_or_else(|error| error, |_| Reply::Int(0)))
    }
}
