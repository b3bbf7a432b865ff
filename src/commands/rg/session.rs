//! `RG._SESSION replaced page`: how a primary, or the AOF, tells of a session with registrations.

use crate::gears::learn_session;
use crate::redis::{Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;

pub(super) struct Session;

impl Command for Session {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg._session",
        flags: c"write admin deny-script",
        arity: 3,
        summary: c"Tells replicas and the AOF of a session with registrations; not for users.",
        args: &[],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let learned = match invocation.args() {
            [replaced, page] if invocation.user().is_none() => learn_session(&invocation.held, replaced, page),
            _ => Err("ERR RG._SESSION is for replicas and the AOF, use RG.PYEXECUTE".to_owned()),
        };
        if learned.is_ok() {
            invocation.replicate_as_is();
        }
        Outcome::Reply(learned.map_or_else(Reply::error, |()| Reply::ok()))
    }
}
