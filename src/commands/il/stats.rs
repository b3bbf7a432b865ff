//! `IL.STATS [RESET]`: the module's figures as a map.

use crate::commands::args::{is_word, shown};
use crate::commands::figures;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;

pub(super) struct Stats;

impl Command for Stats {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.stats",
        flags: c"readonly fast",
        arity: -1,
        summary: c"Returns the module's figures; RESET sets counters and histograms back to zero.",
        args: &[ArgDoc::flag(c"reset", c"RESET")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(match invocation.args() {
            [] => Reply::map(figures::figures()),
            [word] if is_word(word, "RESET") => {
                figures::reset();
                Reply::ok()
            }
            [word, ..] => Reply::error(format!("ERR unknown option '{}', expected RESET", shown(word))),
        })
    }
}
