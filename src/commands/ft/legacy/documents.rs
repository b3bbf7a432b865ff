//! `FT.GET`, `FT.MGET`, `FT.DEL`, `FT.SETPAYLOAD`: one document of an index.

use super::index_of;
use crate::commands::args::{is_word, shown};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Keys, Outcome};
use crate::reply::Reply;
use crate::search::{legacy, SearchIndex};

const UNKNOWN: &str = "Unknown Index name";

/// Answers with what `work` makes of the index and the arguments after its name.
fn with_index(invocation: &Invocation<'_>, work: impl FnOnce(&SearchIndex, &[&[u8]]) -> Reply) -> Outcome {
    Outcome::Reply(match index_of(invocation, UNKNOWN) {
        Ok(index) => work(&index, &invocation.args()[1..]),
        Err(reply) => reply,
    })
}

/// A document's fields, or null.
fn document(invocation: &Invocation<'_>, index: &SearchIndex, key: &[u8]) -> Reply {
    legacy::read(&invocation.held, index, key).map_or(Reply::Null, Reply::Array)
}

pub(super) struct Get;

impl Command for Get {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.get",
        flags: c"readonly",
        arity: 3,
        summary: c"The fields of a document of an index (version 1)",
        args: &[ArgDoc::required(c"index"), ArgDoc::required(c"key")],
    };
    const KEYS: Keys = Keys::SecondRead;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        with_index(invocation, |index, keys| document(invocation, index, keys.first().copied().unwrap_or_default()))
    }
}

pub(super) struct MGet;

impl Command for MGet {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.mget",
        flags: c"readonly",
        arity: -3,
        summary: c"The fields of several documents of an index (version 1)",
        args: &[ArgDoc::required(c"index"), ArgDoc::required(c"key")],
    };
    const KEYS: Keys = Keys::FromSecondRead;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        with_index(invocation, |index, keys| {
            Reply::Array(keys.iter().map(|key| document(invocation, index, key)).collect())
        })
    }
}

pub(super) struct Del;

impl Command for Del {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.del",
        flags: c"write",
        arity: -3,
        summary: c"Deletes a document (version 1)",
        args: &[ArgDoc::required(c"index"), ArgDoc::required(c"key"), ArgDoc::flag(c"delete_doc", c"DD")],
    };
    const KEYS: Keys = Keys::SecondWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        with_index(invocation, |_, args| match args {
            [key] => legacy::delete(&invocation.held, key),
            // The document goes in any case.
            [key, word] if is_word(word, "DD") => legacy::delete(&invocation.held, key),
            [_, word, ..] => Reply::error(format!("Unknown argument `{}`", shown(word))),
            [] => Reply::Int(0),
        })
    }
}

pub(super) struct SetPayload;

impl Command for SetPayload {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.setpayload",
        flags: c"write deny-oom",
        arity: 4,
        summary: c"Gives a document a payload (version 1)",
        args: &[ArgDoc::required(c"index"), ArgDoc::required(c"key"), ArgDoc::required(c"payload")],
    };
    const KEYS: Keys = Keys::SecondWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        with_index(invocation, |index, args| match args {
            [key, payload] => legacy::set_payload(&invocation.held, index, key, payload),
            _ => Reply::error("Document does not exist"),
        })
    }
}
