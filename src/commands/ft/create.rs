//! `FT.CREATE index [options] SCHEMA field type ...`: makes an index over the hashes whose names begin with a prefix.

use super::{argument, definition_command, flag, option};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::search::lifecycle;

pub(super) struct Create;

impl Command for Create {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.create",
        flags: c"write deny-oom",
        arity: -2,
        summary: c"Creates an index over hashes and indexes those that are there, in the background",
        args: ARGS,
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let [name, words @ ..] = invocation.args() else {
            return Outcome::Reply(crate::reply::Reply::error("ERR no index name"));
        };
        definition_command(invocation, || lifecycle::create(&invocation.held, name, words))
    }
}

const ARGS: &[ArgDoc] = &[
    argument(c"index"),
    option(c"data_type", c"ON"),
    option(c"prefix", c"PREFIX"),
    option(c"filter", c"FILTER"),
    option(c"default_lang", c"LANGUAGE"),
    option(c"lang_attribute", c"LANGUAGE_FIELD"),
    option(c"default_score", c"SCORE"),
    option(c"score_attribute", c"SCORE_FIELD"),
    option(c"payload_attribute", c"PAYLOAD_FIELD"),
    flag(c"maxtextfields", c"MAXTEXTFIELDS"),
    option(c"seconds", c"TEMPORARY"),
    flag(c"nooffsets", c"NOOFFSETS"),
    flag(c"nohl", c"NOHL"),
    flag(c"nofields", c"NOFIELDS"),
    flag(c"nofreqs", c"NOFREQS"),
    option(c"stopword", c"STOPWORDS"),
    flag(c"skipinitialscan", c"SKIPINITIALSCAN"),
    ArgDoc { name: c"field", token: Some(c"SCHEMA"), optional: false, flag: false },
];
