//! `FT.SEARCH index query [option...]`: documents that match, and the first of them.

use super::options;
use super::rows::Shape;
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Job, Lane, Outcome, Pools};
use crate::reply::Reply;
use crate::search::{self, Answer, Failure, Leg, Weight};
use crate::settings;
use crate::sync::CancelToken;

/// Bytes of a reply that the main thread puts together.
const SMALL_REPLY: usize = 64 << 10;

pub(super) struct Search;

impl Command for Search {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.search",
        flags: c"readonly",
        arity: -2,
        summary: c"Returns documents of an index that match a query.",
        args: &[
            ArgDoc::required(c"index"),
            ArgDoc::required(c"query"),
            ArgDoc::option(c"limit", c"LIMIT"),
            ArgDoc::option(c"sortby", c"SORTBY"),
        ],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        start(invocation).unwrap_or_else(|error| Outcome::Reply(Reply::error(error)))
    }
}

fn start(invocation: &Invocation<'_>) -> Result<Outcome, String> {
    let (index, words) = invocation.args().split_first().ok_or("No index name provided")?;
    let request = options::request(words)?;
    let is_resp3 = invocation.is_resp3();
    let shape = Shape::new(&request, is_resp3);
    let user = invocation.user();
    let search = search::Search::arrive(&invocation.held, index, request, user.clone(), false)?;
    let weight = search.weight();
    let pool = if weight == Weight::Long { Pools::Long } else { Pools::Workers };
    let key = search.key(words, user, is_resp3);
    let answer = move |answer: Result<Answer, Failure>| match answer {
        Ok(answer) => shape.reply(answer),
        Err(failure) => Reply::error(failure.to_string()),
    };
    if weight != Weight::Trifle && invocation.may_block() && !settings::SAFEMODE.is_on() {
        return Ok(Outcome::Wait(search::board(key, pool, move |lane| {
            let matched = match search.matched(lane.cancel()) {
                Ok(matched) => matched,
                Err(failure) => return Leg::Landed(answer(Err(failure))),
            };
            if search.needs_no_keys() {
                return Leg::Landed(answer(search.rows(lane, matched)));
            }
            if !search.has_small_page() {
                return read_rows(search, matched, answer);
            }
            Leg::Brief(Box::new(move |lane| match search.rows_at_once(lane, matched) {
                Ok(found) if found.bytes() <= SMALL_REPLY => Leg::Landed(answer(Ok(found))),
                Ok(found) => Leg::Next(Pools::Rows, Box::new(move |_| Leg::Landed(answer(Ok(found))))),
                Err(matched) => read_rows(search, matched, answer),
            }))
        })));
    }
    let run = move |lane: &mut Lane| answer(search.run(lane));
    let job = Job { pool, limit: None, cancel: CancelToken::new(), inline_limit: None, run: Box::new(run) };
    Ok(if weight == Weight::Trifle { Outcome::Now(job) } else { Outcome::Job(job) })
}

/// Reads the page of a search in slices. Who does that holds the server's lock now and then, and must not be one who
/// stands back for others.
fn read_rows(
    search: search::Search,
    matched: search::Matched,
    answer: impl FnOnce(Result<Answer, Failure>) -> Reply + Send + 'static,
) -> Leg {
    Leg::Next(Pools::Rows, Box::new(move |lane| Leg::Landed(answer(search.rows(lane, matched)))))
}
