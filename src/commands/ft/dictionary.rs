//! `FT.DICTADD`, `FT.DICTDEL`, `FT.DICTDUMP`: lists of words for spell checking.

use super::listing;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;
use crate::search::dictionaries;

pub(super) struct DictAdd;

impl Command for DictAdd {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.dictadd",
        flags: c"write deny-oom",
        arity: -3,
        summary: c"Adds words to a dictionary",
        args: &[ArgDoc::required(c"dict"), ArgDoc::required(c"term")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        changed(invocation, |name, words| dictionaries::add(&invocation.held, name, words))
    }
}

pub(super) struct DictDel;

impl Command for DictDel {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.dictdel",
        flags: c"write",
        arity: -3,
        summary: c"Removes words from a dictionary",
        args: &[ArgDoc::required(c"dict"), ArgDoc::required(c"term")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        changed(invocation, |name, words| dictionaries::remove(&invocation.held, name, words))
    }
}

/// Answers with how many words a change was about.
fn changed(invocation: &Invocation<'_>, change: impl FnOnce(&[u8], &[&[u8]]) -> usize) -> Outcome {
    let count = invocation.args().split_first().map_or(0, |(name, words)| change(name, words));
    if count > 0 {
        invocation.replicate_as_is();
    }
    Outcome::Reply(Reply::count(count as u64))
}

pub(super) struct DictDump;

impl Command for DictDump {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.dictdump",
        flags: c"readonly",
        arity: 2,
        summary: c"The words of a dictionary",
        args: &[ArgDoc::required(c"dict")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let found = invocation.args().first().and_then(|name| dictionaries::find(&invocation.held, name));
        match found {
            Some(words) => {
                listing(words.len(), move || Reply::Set(words.iter().map(|word| Reply::bulk(&**word)).collect()))
            }
            None => Outcome::Reply(Reply::error("could not open dict key")),
        }
    }
}
