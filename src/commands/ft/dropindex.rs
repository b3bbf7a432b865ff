//! `FT.DROPINDEX index [DD]`: removes an index, with `DD` also its documents.

use crate::commands::args::{is_word, shown};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Job, Outcome, Pools};
use crate::reply::Reply;
use crate::search::{lifecycle, registry};
use crate::sync::CancelToken;

pub(super) struct DropIndex;

impl Command for DropIndex {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.dropindex",
        flags: c"write",
        arity: -2,
        summary: c"Removes an index, and on request its documents",
        args: &[ArgDoc::required(c"index"), ArgDoc::flag(c"delete_docs", c"DD")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let refused = |word: &[u8]| Outcome::Reply(Reply::error(format!("Unknown argument `{}`", shown(word))));
        let (name, with_documents) = match invocation.args() {
            [name] => (name, false),
            [name, word] if is_word(word, "DD") => (name, true),
            [_, dd, word, ..] if is_word(dd, "DD") => return refused(word),
            [_, word, ..] => return refused(word),
            [] => return Outcome::Reply(Reply::error("ERR no index name")),
        };
        remove(invocation, name, with_documents)
    }
}

/// Removes the index of this name or alias.
pub(super) fn remove(invocation: &Invocation<'_>, name: &[u8], with_documents: bool) -> Outcome {
    let Some(index) = registry::find(&invocation.held, name) else {
        return Outcome::Reply(Reply::error("Unknown Index name"));
    };
    if !with_documents {
        registry::remove(&invocation.held, index.name());
        invocation.replicate_as_is();
        return Outcome::Reply(Reply::ok());
    }
    Outcome::Job(Job {
        pool: Pools::Workers,
        limit: None,
        cancel: CancelToken::new(),
        inline_limit: None,
        run: Box::new(move |lane| match lifecycle::drop_with_documents(lane, &index) {
            Ok(()) => Reply::ok(),
            Err(stop) => Reply::error(format!("ERR not all documents were deleted: {stop}")),
        }),
    })
}
