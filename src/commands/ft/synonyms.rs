//! `FT.SYNUPDATE`, `FT.SYNDUMP`: words that mean the same; `FT.SYNADD` of old clients.

use super::{definition_command, listing, unknown_index};
use crate::commands::args::is_word;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;
use crate::search::{lifecycle, registry};

pub(super) struct SynUpdate;

impl Command for SynUpdate {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.synupdate",
        flags: c"write deny-oom",
        arity: -4,
        summary: c"Adds words to a synonym group",
        args: &[
            ArgDoc::required(c"index"),
            ArgDoc::required(c"group"),
            ArgDoc::flag(c"skipinitialscan", c"SKIPINITIALSCAN"),
            ArgDoc::required(c"term"),
        ],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        definition_command(invocation, || {
            let [name, group, words @ ..] = invocation.args() else { return Err(unknown_index()) };
            let index = registry::find(&invocation.held, name).ok_or_else(unknown_index)?;
            let (skip_scan, words) = match words {
                [first, rest @ ..] if is_word(first, "SKIPINITIALSCAN") => (true, rest),
                words => (false, words),
            };
            if words.is_empty() {
                return Err("ERR wrong number of arguments for 'FT.SYNUPDATE' command".to_owned());
            }
            lifecycle::add_synonyms(&invocation.held, &index, group, words, skip_scan);
            Ok(())
        })
    }
}

pub(super) struct SynDump;

impl Command for SynDump {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.syndump",
        flags: c"readonly",
        arity: 2,
        summary: c"The words that have synonyms, each with its groups",
        args: &[ArgDoc::required(c"index")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let found = invocation.args().first().and_then(|name| registry::find(&invocation.held, name));
        let Some(index) = found else { return Outcome::Reply(Reply::error(unknown_index())) };
        let view = index.view();
        let groups = |groups: &[Box<str>]| Reply::bulks(groups.iter().map(|group| group.as_bytes()));
        listing(view.synonyms.len(), move || {
            Reply::map(view.synonyms.iter().map(|(word, of)| (word.as_bytes(), groups(of))))
        })
    }
}

pub(super) struct SynAdd;

impl Command for SynAdd {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.synadd",
        flags: c"write deny-oom",
        arity: -2,
        summary: c"Gone: FT.SYNUPDATE does it",
        args: &[ArgDoc::required(c"index"), ArgDoc::required(c"term")],
    };

    fn call(_invocation: &Invocation<'_>) -> Outcome {
        // The spelling is that of the original: clients may compare it.
        Outcome::Reply(Reply::error("No longer suppoted, use FT.SYNUPDATE"))
    }
}
