//! What happens when a function is called? `RG.FCALL`, in either lane.

use std::sync::Arc;

use super::library::{Counted, Declared, Library};
use super::load::{job, Loaded};
use super::table;
use crate::gears::host::RunHost;
use crate::gears::run::{count, new_run, run_nested, text_of, Owner};
use crate::python::{Called, PlanOutcome, ScriptError};
use crate::redis::{Held, Lane, Outcome};
use crate::reply::Reply;

/// A call, as it was asked for.
pub struct FunctionCall<'a> {
    /// The function's name.
    pub name: &'a [u8],
    /// The keys that it is about.
    pub keys: &'a [&'a [u8]],
    /// Its other arguments.
    pub arguments: &'a [&'a [u8]],
    /// Only a function that never writes is meant.
    pub read_only: bool,
    /// Whether a client calls, which may not write to a replica.
    pub by_client: bool,
}

/// Calls a function.
pub fn call(held: &Held<'_>, call: &FunctionCall<'_>) -> Outcome {
    let refuse = |text: &str| Outcome::Reply(Reply::error(text));
    let Some((library, at)) = table::find(held, call.name) else {
        return refuse("ERR Function not found");
    };
    let Some(function) = library.definition.functions.get(at) else {
        return refuse("ERR Function not found");
    };
    if !function.readonly && call.read_only {
        return refuse("ERR Can not execute a script with write flag using *_ro command.");
    }
    if !function.readonly && call.by_client && held.is_read_only() {
        return refuse("READONLY You can't write against a read only replica.");
    }
    let lists = [Reply::bulks(call.keys.iter().copied()), Reply::bulks(call.arguments.iter().copied())];
    let at_once = function.sync && library.is_loaded();
    let job = job(library.definition.header.limit, move |lane| {
        let Some(function) = library.definition.functions.get(at) else { return Ok(Reply::Null) };
        let counted = Counted::begin(&library, at);
        let cancel = lane.cancel().clone();
        let ended = move |reply: Result<Reply, Vec<u8>>| {
            if reply.is_err() {
                counted.failed();
            }
            if let Some(stop) = cancel.stopped() {
                count(stop);
            }
            reply
        };
        match run(&library, function, &lists, lane) {
            Ok((Called::Waits(waiting), loaded)) => {
                let client = lane.postpone();
                waiting.then(move |result| {
                    client.answer(&ended(value_of(result)).unwrap_or_else(Reply::Error));
                    drop(loaded);
                });
                Ok(Reply::Null)
            }
            Ok((Called::Returned(reply), _)) => ended(Ok(reply)),
            Err(error) => ended(Err(error)),
        }
    });
    // What is still to be loaded does not hold the server up: it is loaded first, then the call is atomic.
    if at_once {
        Outcome::Now(job)
    } else {
        Outcome::Job(job)
    }
}

/// What a coroutine has returned, or raised.
fn value_of(result: Result<PlanOutcome, ScriptError>) -> Result<Reply, Vec<u8>> {
    let PlanOutcome { mut results, mut errors, .. } = result.map_err(text_of)?;
    errors.pop().map_or_else(|| Ok(results.pop().unwrap_or(Reply::Null)), Err)
}

/// Calls a function; what came of it, with the library, which has to stay while something of the call goes on.
fn run(
    library: &Arc<Library>,
    function: &Declared,
    lists: &[Reply; 2],
    lane: &mut Lane,
) -> Result<(Called, Arc<Loaded>), Vec<u8>> {
    let header = &library.definition.header;
    let loaded = library.ready(lane).map_err(|why| {
        let text = format!("ERR the library {} can't be loaded: ", header.name);
        [text.as_bytes(), &why].concat()
    })?;
    let Some(plan) = loaded.functions.get(&function.name) else {
        return Err(format!("ERR the library {} does not declare {} any more", header.name, function.name).into_bytes());
    };
    let cancel = lane.cancel().clone();
    let owner = Owner { max_memory: header.max_memory, limit: header.limit, session: None };
    let mut host = RunHost::for_execution(lane, &owner);
    if function.readonly {
        host = host.read_only();
    }
    if function.sync {
        host = host.atomic();
    }
    let host = Arc::new(host);
    let keep = function.sync && !lane.is_inline();
    if keep {
        lane.door().keep().map_err(|denied| format!("ERR the call was stopped before it began: {denied}"))?;
    }
    let run = new_run(&host, cancel, lane, header.max_memory);
    let done = loaded.script.call(run, plan, lists);
    if keep {
        lane.door().release();
    }
    let (called, nested) = done.map_err(text_of)?;
    run_nested(&loaded.script, nested, lane, &owner);
    Ok((called, loaded))
}
