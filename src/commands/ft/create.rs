//! `FT.CREATE index [options] SCHEMA field type ...`: makes an index over the hashes whose names begin with a prefix.

use super::definition_command;
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
    ArgDoc::required(c"index"),
    ArgDoc::option(c"data_type", c"ON"),
    ArgDoc::option(c"prefix", c"PREFIX"),
    ArgDoc::option(c"filter", c"FILTER"),
    ArgDoc::option(c"default_lang", c"LANGUAGE"),
    ArgDoc::option(c"lang_attribute", c"LANGUAGE_FIELD"),
    ArgDoc::option(c"default_score", c"SCORE"),
    ArgDoc::option(c"score_attribute", c"SCORE_FIELD"),
    ArgDoc::option(c"payload_attribute", c"PAYLOAD_FIELD"),
    ArgDoc::flag(c"maxtextfields", c"MAXTEXTFIELDS"),
    ArgDoc::option(c"seconds", c"TEMPORARY"),
    ArgDoc::flag(c"nooffsets", c"NOOFFSETS"),
    ArgDoc::flag(c"nohl", c"NOHL"),
    ArgDoc::flag(c"nofields", c"NOFIELDS"),
    ArgDoc::flag(c"nofreqs", c"NOFREQS"),
    ArgDoc::option(c"stopword", c"STOPWORDS"),
    ArgDoc::flag(c"skipinitialscan", c"SKIPINITIALSCAN"),
    ArgDoc::after(c"field", c"SCHEMA"),
];
