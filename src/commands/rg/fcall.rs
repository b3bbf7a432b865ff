//! `RG.FCALL name numkeys [key ...] [arg ...]` and `RG.FCALL_RO`: call a function of a library.

use crate::gears::functions::{self, FunctionCall};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Keys, Outcome};
use crate::reply::Reply;

const ARGS: &[ArgDoc] =
    &[ArgDoc::required(c"function"), ArgDoc::required(c"numkeys"), ArgDoc::optional(c"key"), ArgDoc::optional(c"arg")];

pub(super) struct FCall;

impl Command for FCall {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.fcall",
        // What it runs may write; the effects of its commands are what is replicated.
        flags: c"may-replicate no-mandatory-keys",
        arity: -3,
        summary: c"Calls a Python function of a library.",
        args: ARGS,
    };

    const KEYS: Keys = Keys::CountedWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        outcome(invocation, false)
    }
}

pub(super) struct FCallReadOnly;

impl Command for FCallReadOnly {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.fcall_ro",
        flags: c"readonly no-mandatory-keys",
        arity: -3,
        summary: c"Calls a Python function of a library that never writes.",
        args: ARGS,
    };

    const KEYS: Keys = Keys::CountedRead;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        outcome(invocation, true)
    }
}

fn outcome(invocation: &Invocation<'_>, read_only: bool) -> Outcome {
    let Some(([name, count], words)) = invocation.args().split_first_chunk() else {
        return Outcome::Reply(Reply::error("ERR expected a function and the number of keys"));
    };
    let by_client = invocation.user().is_some();
    match split(count, words) {
        Ok((keys, arguments)) => {
            functions::call(&invocation.held, &FunctionCall { name, keys, arguments, read_only, by_client })
        }
        Err(error) => Outcome::Reply(Reply::error(error)),
    }
}

type Words<'w> = &'w [&'w [u8]];

/// The keys, and what comes after them.
fn split<'w>(count: &[u8], words: Words<'w>) -> Result<(Words<'w>, Words<'w>), &'static str> {
    let count: i64 =
        std::str::from_utf8(count).ok().and_then(|text| text.parse().ok()).ok_or("ERR Bad number of keys provided")?;
    let count = usize::try_from(count).map_err(|_| "ERR Number of keys can't be negative")?;
    words.split_at_checked(count).ok_or("ERR Number of keys can't be greater than number of args")
}
