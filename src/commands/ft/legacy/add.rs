//! `FT.ADD index id score [options] FIELDS field value ...`: writes a document; `FT.SAFEADD` is the same.

use engine::expression;

use super::{index_of, language, score, unknown_index};
use crate::commands::args::{is_word, shown, Args};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Job, Keys, Outcome, Pools};
use crate::reply::Reply;
use crate::search::legacy::{Document, Existing};
use crate::sync::CancelToken;

pub(super) struct Add;
pub(super) struct SafeAdd;

const ARGS: &[ArgDoc] = &[
    ArgDoc::required(c"index"),
    ArgDoc::required(c"key"),
    ArgDoc::required(c"score"),
    ArgDoc::flag(c"replace", c"REPLACE"),
    ArgDoc::flag(c"partial", c"PARTIAL"),
    ArgDoc::flag(c"nocreate", c"NOCREATE"),
    ArgDoc::option(c"condition", c"IF"),
    ArgDoc::option(c"language", c"LANGUAGE"),
    ArgDoc::option(c"payload", c"PAYLOAD"),
    ArgDoc::after(c"field", c"FIELDS"),
];

impl Command for Add {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.add",
        flags: c"write deny-oom",
        arity: -4,
        summary: c"Writes a document as a hash (version 1)",
        args: ARGS,
    };
    const KEYS: Keys = Keys::SecondWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        add(invocation)
    }
}

impl Command for SafeAdd {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.safeadd",
        flags: c"write deny-oom",
        arity: -4,
        summary: c"Writes a document as a hash (version 1)",
        args: ARGS,
    };
    const KEYS: Keys = Keys::SecondWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        add(invocation)
    }
}

fn add(invocation: &Invocation<'_>) -> Outcome {
    let index = match index_of(invocation, &unknown_index()) {
        Ok(index) => index,
        Err(reply) => return Outcome::Reply(reply),
    };
    let document = match parse(invocation.args()) {
        Ok(document) => document,
        Err(text) => return Outcome::Reply(Reply::error(text)),
    };
    Outcome::Job(Job {
        pool: Pools::Workers,
        limit: None,
        cancel: CancelToken::new(),
        inline_limit: None,
        run: Box::new(move |lane| {
            if let Err(error) = document.check(&index) {
                return Reply::error(error.to_string());
            }
            let written = lane.slice(|slice| {
                if index.is_dropped() {
                    return Reply::error(unknown_index());
                }
                document.write(slice.held(), &index)
            });
            written.unwrap_or_else(|stop| Reply::error(format!("ERR {stop}")))
        }),
    })
}

fn parse(args: &[&[u8]]) -> Result<Document, String> {
    let [_, key, score_word, rest @ ..] = args else {
        return Err("No field list found".to_owned());
    };
    let mut document = Document {
        key: key.to_vec(),
        score: score(score_word)?,
        existing: Existing::Refuse,
        must_exist: false,
        condition: None,
        language: None,
        payload: None,
        fields: Vec::new(),
    };
    let mut args = Args::new(rest);
    loop {
        let word = args.next().ok_or_else(|| "No field list found".to_owned())?;
        if is_word(word, "FIELDS") {
            break;
        } else if is_word(word, "NOSAVE") {
            return Err("NOSAVE is not supported: documents are hashes".to_owned());
        } else if is_word(word, "REPLACE") {
            if document.existing == Existing::Refuse {
                document.existing = Existing::Replace;
            }
        } else if is_word(word, "PARTIAL") {
            document.existing = Existing::Extend;
        } else if is_word(word, "NOCREATE") {
            document.must_exist = true;
        } else if is_word(word, "IF") {
            let text = args.value("IF")?;
            document.condition = Some(expression::parse(text).map_err(|error| error.to_string())?);
        } else if is_word(word, "LANGUAGE") {
            document.language = Some(language(args.value("LANGUAGE")?)?);
        } else if is_word(word, "PAYLOAD") {
            document.payload = Some(args.value("PAYLOAD")?.to_vec());
        } else {
            return Err(format!("Unknown keyword `{}` provided", shown(word)));
        }
    }
    let fields = args.rest();
    if fields.is_empty() || fields.len() % 2 != 0 {
        return Err("Fields must be specified in FIELD VALUE pairs".to_owned());
    }
    document.fields = fields.iter().map(|word| word.to_vec()).collect();
    Ok(document)
}
