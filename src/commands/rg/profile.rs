//! `RG.PYPROFILE STATS session [order]` and `RG.PYPROFILE RESET session`.

use crate::commands::args::is_word;
use crate::gears::profile;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Job, Outcome, Pools};
use crate::reply::Reply;
use crate::settings;
use crate::sync::CancelToken;

/// How profiles are ordered: by the time in the functions themselves.
const ORDER: &str = "tottime";

pub(super) struct Profile;

impl Command for Profile {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pyprofile",
        flags: c"readonly",
        arity: -2,
        summary: c"Returns where the time of a session's executions went, or forgets it.",
        args: &[
            ArgDoc::flag(c"stats", c"STATS"),
            ArgDoc::flag(c"reset", c"RESET"),
            ArgDoc::required(c"session"),
            ArgDoc::optional(c"order"),
        ],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
        let (session, order) = match invocation.args() {
            [word, session] if is_word(word, "STATS") => (text(session), ORDER.to_owned()),
            [word, session, order] if is_word(word, "STATS") && !order.is_empty() => (text(session), text(order)),
            [word, session] if is_word(word, "RESET") => (text(session), String::new()),
            [word, ..] if is_word(word, "STATS") => {
                return Outcome::Reply(Reply::error("ERR expected RG.PYPROFILE STATS session [order]"));
            }
            [word, ..] if is_word(word, "RESET") => {
                return Outcome::Reply(Reply::error("ERR expected RG.PYPROFILE RESET session"));
            }
            _ => return Outcome::Reply(Reply::error("Wrong subcommand given to RG.PYPROFILE")),
        };
        Outcome::Job(Job {
            pool: Pools::Python,
            limit: settings::PYTHON_TIME_LIMIT.millis(),
            cancel: CancelToken::new(),
            inline_limit: settings::PYTHON_INLINE_LIMIT.millis(),
            run: Box::new(move |lane| profile(&session, &order, lane)),
        })
    }
}
