//! `RG._SESSION2 replaced page`: how a primary, or the AOF, tells of a session with registrations.

use crate::gears::learn_session;
use crate::redis::{Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;

/// The command for pages of a version; what the first version wrote is still read.
pub(super) struct Session<const VERSION: i32>;

impl<const VERSION: i32> Command for Session<VERSION> {
    const SPEC: CommandSpec = CommandSpec {
        name: if VERSION == 1 { c"rg._session" } else { c"rg._session2" },
        flags: c"write admin deny-script",
        arity: 3,
        summary: c"Tells replicas and the AOF of a session with registrations; not for users.",
        args: &[],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let learned = match invocation.args() {
            [replaced, page] if invocation.user().is_none() => learn_session(&invocation.held, replaced, page, VERSION),
            _ => Err("ERR RG._SESSION2 is for replicas and the AOF, use RG.PYEXECUTE".to_owned()),
        };
        if learned.is_ok() {
            invocation.replicate_as_is();
        }
        Outcome::Reply(learned.map_or_else(Reply::error, |()| Reply::ok()))
    }
}
