//! `FT.ADDHASH index id score [LANGUAGE l] [REPLACE]`: gives a hash a score and a language; `FT.SAFEADDHASH` is the same.

use super::{index_of, language, score, unknown_index};
use crate::commands::args::{is_word, shown, Args};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Keys, Outcome};
use crate::reply::Reply;
use crate::search::legacy;

pub(super) struct AddHash;
pub(super) struct SafeAddHash;

const ARGS: &[ArgDoc] = &[
    ArgDoc::required(c"index"),
    ArgDoc::required(c"key"),
    ArgDoc::required(c"score"),
    ArgDoc::option(c"language", c"LANGUAGE"),
    ArgDoc::flag(c"replace", c"REPLACE"),
];

impl Command for AddHash {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.addhash",
        flags: c"write deny-oom",
        arity: -4,
        summary: c"Gives a hash a score and a language (version 1)",
        args: ARGS,
    };
    const KEYS: Keys = Keys::SecondWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(add(invocation).unwrap_or_else(|error| error))
    }
}

impl Command for SafeAddHash {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.safeaddhash",
        flags: c"write deny-oom",
        arity: -4,
        summary: c"Gives a hash a score and a language (version 1)",
        args: ARGS,
    };
    const KEYS: Keys = Keys::SecondWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(add(invocation).unwrap_or_else(|error| error))
    }
}

fn add(invocation: &Invocation<'_>) -> Result<Reply, Reply> {
    let index = index_of(invocation, &unknown_index())?;
    let [_, key, score_word, rest @ ..] = invocation.args() else {
        return Err(Reply::error("Could not parse document score"));
    };
    let score = score(score_word).map_err(Reply::error)?;
    let (mut language_named, mut replace) = (None, false);
    let mut args = Args::new(rest);
    while let Some(word) = args.next() {
        if is_word(word, "LANGUAGE") {
            let name = args.value("LANGUAGE").map_err(Reply::error)?;
            language_named = Some(language(name).map_err(Reply::error)?);
        } else if is_word(word, "REPLACE") {
            replace = true;
        } else {
            return Err(Reply::error(format!("Unknown keyword `{}` provided", shown(word))));
        }
    }
    Ok(legacy::adopt(&invocation.held, &index, key, score, language_named, replace))
}
