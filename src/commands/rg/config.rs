//! `RG.CONFIGGET key ...` and `RG.CONFIGSET key value ...`.

use super::LOOKS;
use crate::gears::config;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;

pub(super) struct Get;

impl Command for Get {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.configget",
        flags: LOOKS,
        arity: -1,
        summary: c"Returns the values of Gears configuration keys.",
        args: &[ArgDoc::optional(c"key")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(Reply::Array(invocation.args().iter().map(|key| config::get(key)).collect()))
    }
}

pub(super) struct Set;

impl Command for Set {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.configset",
        flags: LOOKS,
        arity: -2,
        summary: c"Sets Gears configuration keys, or values that scripts read with configGet.",
        args: &[ArgDoc::required(c"key"), ArgDoc::required(c"value")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let pair = |pair: &[&[u8]]| match pair {
            [key, value] => config::set(key, value),
            _ => Reply::error(format!(
                "(error) Value was not given to {}",
                String::from_utf8_lossy(pair.first().copied().unwrap_or_default())
            )),
        };
        Outcome::Reply(Reply::Array(invocation.args().chunks(2).map(pair).collect()))
    }
}
