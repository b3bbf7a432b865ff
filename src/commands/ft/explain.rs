//! `FT.EXPLAIN index query [option...]`, `FT.EXPLAINCLI`: what a query means to an index.

use super::{job, options};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;
use crate::search::{registry, Failure, Plan};

pub(super) struct Explain;

impl Command for Explain {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.explain",
        flags: c"readonly",
        arity: -3,
        summary: c"Shows how a query is understood, as one text.",
        args: &[ArgDoc::required(c"index"), ArgDoc::required(c"query")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        explained(invocation, Reply::bulk).unwrap_or_else(|error| Outcome::Reply(Reply::error(error)))
    }
}

pub(super) struct ExplainCli;

impl Command for ExplainCli {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.explaincli",
        flags: c"readonly",
        arity: -3,
        summary: c"Shows how a query is understood, line by line.",
        args: &[ArgDoc::required(c"index"), ArgDoc::required(c"query")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        // The text ends with a line break, after which comes one more line, an empty one.
        let lines = |text: String| Reply::bulks(text.split('\n'));
        explained(invocation, lines).unwrap_or_else(|error| Outcome::Reply(Reply::error(error)))
    }
}

/// The query as a tree, in the form that `shape` gives it. A query may be long: a worker reads it.
fn explained(invocation: &Invocation<'_>, shape: fn(String) -> Reply) -> Result<Outcome, String> {
    let (name, words) = invocation.args().split_first().ok_or("No index name provided")?;
    let request = options::request(words)?;
    let index = registry::find(&invocation.held, name).ok_or_else(|| Failure::no_index(name).to_string())?;
    let view = index.view();
    Ok(job(move |_| {
        let plan = Plan::new(&request, view)?;
        Ok(shape(engine::query::explain(&plan.query, &plan.view.schema)))
    }))
}
