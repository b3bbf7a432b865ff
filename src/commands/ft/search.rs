//! `FT.SEARCH index query [option...]`: documents that match, and the first of them.

use super::options;
use super::rows::Shape;
use super::{argument, option};
use crate::redis::{Command, CommandSpec, Invocation, Job, Outcome, Pools};
use crate::reply::Reply;
use crate::search::{self, Weight};
use crate::sync::CancelToken;

pub(super) struct Search;

impl Command for Search {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.search",
        flags: c"readonly",
        arity: -2,
        summary: c"Returns documents of an index that match a query.",
        args: &[argument(c"index"), argument(c"query"), option(c"limit", c"LIMIT"), option(c"sortby", c"SORTBY")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        start(invocation).unwrap_or_else(|error| Outcome::Reply(Reply::error(error)))
    }
}

fn start(invocation: &Invocation<'_>) -> Result<Outcome, String> {
    let (index, words) = invocation.args().split_first().ok_or("No index name provided")?;
    let request = options::request(words)?;
    let shape = Shape::new(&request, invocation.is_resp3());
    let search = search::Search::arrive(&invocation.held, index, request, invocation.user(), false)?;
    let weight = search.weight();
    let job = Job {
        pool: if weight == Weight::Long { Pools::Long } else { Pools::Workers },
        limit: None,
        cancel: CancelToken::new(),
        inline_limit: None,
        run: Box::new(move |lane| match search.run(lane) {
            Ok(answer) => shape.reply(answer),
            Err(failure) => Reply::error(failure.to_string()),
        }),
    };
    Ok(if weight == Weight::Trifle { Outcome::Now(job) } else { Outcome::Job(job) })
}
