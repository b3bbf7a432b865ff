//! `RG._TIMER key timer expiry`: how a primary, or the AOF, tells of a timer's key.

use crate::gears::learn_timer;
use crate::redis::{Command, CommandSpec, Invocation, Keys, Outcome};
use crate::reply::Reply;

pub(super) struct Timer;

impl Command for Timer {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg._timer",
        flags: c"write admin deny-script",
        arity: 4,
        summary: c"Tells replicas and the AOF of a timer's key; not for users.",
        args: &[],
    };
    const KEYS: Keys = Keys::FirstWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let learned = match invocation.args() {
            [key, timer, expiry] if invocation.user().is_none() => {
                let expiry = std::str::from_utf8(expiry).ok().and_then(|text| text.parse().ok());
                let expiry = expiry.ok_or_else(|| "ERR the expiry must be an integer".to_owned());
                expiry.and_then(|expiry| learn_timer(&invocation.held, key, timer, expiry))
            }
            _ => Err("ERR RG._TIMER is for replicas and the AOF, use registerTE() in a script".to_owned()),
        };
        if learned.is_ok() {
            invocation.replicate_as_is();
        }
        Outcome::Reply(learned.map_or_else(Reply::error, |()| Reply::ok()))
    }
}
