//! `FT.ALTER index [SKIPINITIALSCAN] SCHEMA ADD field type ...`: adds fields to an index.

use super::{definition_command, unknown_index};
use crate::commands::args::is_word;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::search::{lifecycle, registry};

pub(super) struct Alter;

impl Command for Alter {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.alter",
        flags: c"write deny-oom",
        arity: -2,
        summary: c"Adds fields to an index and reads its documents again, in the background",
        args: &[
            ArgDoc::required(c"index"),
            ArgDoc::flag(c"skipinitialscan", c"SKIPINITIALSCAN"),
            ArgDoc::after(c"add", c"SCHEMA ADD"),
        ],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        definition_command(invocation, || alter(invocation))
    }
}

pub(super) fn alter(invocation: &Invocation<'_>) -> Result<(), String> {
    let (name, mut words) = invocation.args().split_first().ok_or_else(unknown_index)?;
    let index = registry::find(&invocation.held, name).ok_or_else(unknown_index)?;
    let skip_scan = words.first().is_some_and(|word| is_word(word, "SKIPINITIALSCAN"));
    if skip_scan {
        words = &words[1..];
    }
    match words {
        [schema, ..] if !is_word(schema, "SCHEMA") => Err("ALTER must be followed by SCHEMA".to_owned()),
        [] => Err("ALTER must be followed by SCHEMA".to_owned()),
        [_] => Err("No action passed to ALTER SCHEMA".to_owned()),
        [_, action, ..] if !is_word(action, "ADD") => Err("Unknown action passed to ALTER SCHEMA".to_owned()),
        [_, _] => Err("No fields provided".to_owned()),
        [_, _, fields @ ..] => lifecycle::alter(&invocation.held, &index, fields, skip_scan),
    }
}
