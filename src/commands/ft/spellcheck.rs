//! `FT.SPELLCHECK index query [DISTANCE n] [TERMS INCLUDE|EXCLUDE dictionary]...`: unknown words of a query.

use engine::query::{parse, Dialect, Params};
use engine::spellcheck::Misspelling;

use super::words::{number, unknown, Words};
use super::{job, UNKNOWN_INDEX};
use crate::commands::args::shown;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;
use crate::search::{dictionaries, misspelled, registry, Spelling};
use crate::settings;

pub(super) struct SpellCheck;

impl Command for SpellCheck {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.spellcheck",
        flags: c"readonly",
        arity: -3,
        summary: c"Suggests known words for the unknown ones of a query.",
        args: &[
            ArgDoc::required(c"index"),
            ArgDoc::required(c"query"),
            ArgDoc::option(c"distance", c"DISTANCE"),
            ArgDoc::option(c"terms", c"TERMS"),
            ArgDoc::option(c"dialect", c"DIALECT"),
        ],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        start(invocation).unwrap_or_else(|error| Outcome::Reply(Reply::error(error)))
    }
}

fn start(invocation: &Invocation<'_>) -> Result<Outcome, String> {
    let (name, words) = invocation.args().split_first().ok_or(UNKNOWN_INDEX)?;
    let index = registry::find(&invocation.held, name).ok_or(UNKNOWN_INDEX)?;
    let mut words = Words::new(words);
    let text = words.next().ok_or("No query string provided")?;
    let mut dialect = Dialect::parse(settings::DEFAULT_DIALECT.get()).unwrap_or_default();
    let mut distance = 1;
    let (mut include, mut exclude) = (Vec::new(), Vec::new());
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(b"DISTANCE") {
            distance = words
                .next()
                .and_then(number)
                .filter(|distance| (1..=4).contains(distance))
                .ok_or("bad distance given, distance must be a natural number between 1 to 4")?;
        } else if word.eq_ignore_ascii_case(b"TERMS") {
            let list = if words.take("INCLUDE") {
                &mut include
            } else if words.take("EXCLUDE") {
                &mut exclude
            } else {
                return Err("bad format, exlude/include operation was not given".to_owned());
            };
            let name = words.next().ok_or("bad format, a dictionary name was not given")?;
            let found = dictionaries::find(&invocation.held, name);
            list.push(found.ok_or_else(|| format!("Dict does not exist: {}", shown(name)))?);
        } else if word.eq_ignore_ascii_case(b"DIALECT") {
            let version = words.next().and_then(number).unwrap_or(0);
            dialect = Dialect::parse(version).map_err(|error| error.to_string())?;
        } else {
            return Err(unknown(word, words.read() - 1));
        }
    }
    let query = parse(text, dialect, &Params::default()).map_err(|error| error.to_string())?;
    let spelling = Spelling { query, view: index.view(), distance, include, exclude };
    let (arrival, is_resp3) = (index.documents().arrive(), invocation.is_resp3());
    Ok(job(move |lane| {
        let words = misspelled(lane, &index, &arrival, &spelling).map_err(|failure| failure.to_string())?;
        Ok(if is_resp3 { map(words) } else { flat(words) })
    }))
}

fn flat(words: Vec<Misspelling>) -> Reply {
    let word = |misspelling: Misspelling| {
        let suggestions = misspelling.suggestions.into_iter();
        let suggestions =
            suggestions.map(|suggestion| Reply::Array(vec![Reply::Double(suggestion.score), text(&suggestion.word)]));
        Reply::Array(vec![Reply::bulk("TERM"), text(&misspelling.word), Reply::Array(suggestions.collect())])
    };
    Reply::Array(words.into_iter().map(word).collect())
}

fn map(words: Vec<Misspelling>) -> Reply {
    let word = |misspelling: Misspelling| {
        let suggestions = misspelling.suggestions.into_iter();
        let suggestions =
            suggestions.map(|suggestion| Reply::Map(vec![(text(&suggestion.word), Reply::Double(suggestion.score))]));
        (text(&misspelling.word), Reply::Array(suggestions.collect()))
    };
    Reply::Map(vec![(Reply::Status(b"results".to_vec()), Reply::Map(words.into_iter().map(word).collect()))])
}

fn text(word: &str) -> Reply {
    Reply::bulk(word)
}
