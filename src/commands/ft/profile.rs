//! `FT.PROFILE index SEARCH [LIMITED] QUERY query [option...]`: a search, and where its time went.

use std::time::Duration;

use engine::cursor::profile::Profile as Clause;

use super::rows::Shape;
use super::words::Words;
use super::{job, options};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;
use crate::search::{Answer, Report, Search, TIMED_OUT};

pub(super) struct Profile;

impl Command for Profile {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.profile",
        flags: c"readonly",
        arity: -5,
        summary: c"Runs a search and reports how long its parts took.",
        args: &[ArgDoc::required(c"index"), ArgDoc::flag(c"limited", c"LIMITED"), ArgDoc::required(c"query")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        start(invocation).unwrap_or_else(|error| Outcome::Reply(Reply::error(error)))
    }
}

fn start(invocation: &Invocation<'_>) -> Result<Outcome, String> {
    let (index, words) = invocation.args().split_first().ok_or("No index name provided")?;
    let mut words = Words::new(words);
    if words.take("AGGREGATE") {
        return Err("FT.PROFILE AGGREGATE is not supported".to_owned());
    }
    if !words.take("SEARCH") {
        return Err("No `SEARCH` or `AGGREGATE` provided".to_owned());
    }
    let limited = words.take("LIMITED");
    if !words.take("QUERY") {
        return Err("The QUERY keyword is expected".to_owned());
    }
    let request = options::request(words.rest())?;
    let resp3 = invocation.is_resp3();
    let shape = Shape::new(&request, resp3);
    let search = Search::arrive(&invocation.held, index, request, invocation.user(), true)?;
    Ok(job(move |lane| {
        let answer = search.run(lane).map_err(|failure| failure.to_string())?;
        Ok(reply(shape, resp3, answer, &search.report(), limited))
    }))
}

fn reply(shape: Shape, resp3: bool, answer: Answer, report: &Report, limited: bool) -> Reply {
    let warning = answer.partial.then_some(TIMED_OUT);
    let rows = answer.rows.len() as u64;
    let total = report.planning + report.waiting + report.matching + report.loading;
    let entries = [
        ("Total profile time", millis(total)),
        ("Parsing time", millis(report.planning)),
        ("Pipeline creation time", millis(report.waiting)),
        ("Warning", Reply::Status(warning.unwrap_or("None").into())),
        ("Iterators profile", clause(&report.clauses, limited)),
        ("Result processors profile", Reply::Array(processors(report, answer.total, rows))),
    ];
    if resp3 {
        let mut map = shape.map(answer);
        map.push((name("profile"), Reply::Map(entries.map(|(key, value)| (name(key), value)).into())));
        return Reply::Map(map);
    }
    let pairs = entries.map(|(key, value)| match (key, warning) {
        ("Warning", None) => Reply::Array(vec![name(key)]),
        _ => Reply::Array(vec![name(key), value]),
    });
    Reply::Array(vec![shape.reply(answer), Reply::Array(pairs.into())])
}

/// The steps after matching, each with the time that it took by itself.
fn processors(report: &Report, total: u64, rows: u64) -> Vec<Reply> {
    let clauses = report.clauses.time;
    let step = |kind, time, counter: u64| {
        Reply::Map(vec![
            (name("Type"), name(kind)),
            (name("Time"), millis(time)),
            (name("Counter"), Reply::count(counter)),
        ])
    };
    vec![
        step("Index", clauses, total),
        step("Sorter", report.matching.saturating_sub(clauses), report.ranked),
        step("Loader", report.loading, rows),
    ]
}

/// A clause and those in it. `limited`: of unions only how many there are.
fn clause(profile: &Clause, limited: bool) -> Reply {
    let mut entries = vec![(name("Type"), name(profile.kind))];
    entries.extend(profile.origin.map(|origin| (name("Query type"), name(origin))));
    entries.extend(profile.term.as_ref().map(|term| (name("Term"), Reply::bulk(&**term))));
    entries.push((name("Time"), millis(profile.time)));
    entries.push((name("Counter"), Reply::count(profile.reads)));
    if profile.children.is_empty() {
        entries.push((name("Size"), Reply::count(profile.size)));
        return Reply::Map(entries);
    }
    let children = || profile.children.iter().map(|child| clause(child, limited));
    entries.push(match profile.kind {
        "UNION" if limited => {
            let many = format!("The number of iterators in the union is {}", profile.children.len());
            (name("Child iterators"), Reply::Status(many.into_bytes()))
        }
        "NOT" | "OPTIONAL" => (name("Child iterator"), children().next().unwrap_or(Reply::Null)),
        _ => (name("Child iterators"), Reply::Array(children().collect())),
    });
    Reply::Map(entries)
}

fn name(text: &str) -> Reply {
    Reply::Status(text.into())
}

fn millis(time: Duration) -> Reply {
    Reply::Double(time.as_secs_f64() * 1000.0)
}
