//! `RG.TRIGGER name [arg ...]` and `RG.TRIGGERONKEY name key [arg ...]`: call what a CommandReader registered.

use crate::gears::trigger;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Keys, Outcome};

const NAME: ArgDoc = ArgDoc::required(c"name");
const REST: ArgDoc = ArgDoc::optional(c"arg");

pub(super) struct Trigger;

impl Command for Trigger {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.trigger",
        // What it runs may write; the effects of its commands are what is replicated.
        flags: c"may-replicate",
        arity: -2,
        summary: c"Calls a function that was registered under this name.",
        args: &[NAME, REST],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        trigger(invocation.args())
    }
}

pub(super) struct TriggerOnKey;

impl Command for TriggerOnKey {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.triggeronkey",
        flags: c"may-replicate",
        arity: -3,
        summary: c"As RG.TRIGGER, on the node that has the key.",
        args: &[NAME, ArgDoc::required(c"key"), REST],
    };

    const KEYS: Keys = Keys::SecondWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        trigger(invocation.args())
    }
}
