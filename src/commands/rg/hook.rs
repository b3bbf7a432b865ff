//! `RG._HOOK command [arg ...]`: a command that was hooked. The filter of passing commands leads it here.

use crate::gears::hooked;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Keys, Outcome};

pub(super) struct Hook;

impl Command for Hook {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg._hook",
        // What it runs may write; the effects of its commands are what is replicated.
        flags: c"may-replicate getkeys-api",
        arity: -2,
        summary: c"Runs a command that a registration hooks; clients send the command itself.",
        args: &[ArgDoc::required(c"command"), ArgDoc::optional(c"arg")],
    };

    const KEYS: Keys = Keys::OfInnerCommand;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        hooked(invocation)
    }
}
