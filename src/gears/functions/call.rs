//! What happens when a function is called? `RG.FCALL`, in either lane.

use std::sync::Arc;

use super::library::{Counted, Declared, Library};
use super::load::job;
use super::table;
use crate::gears::host::RunHost;
use crate::gears::run::{count, new_run, run_nested, text_of, Owner};
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
        let Some(tally) = library.tallies.get(at) else { return Ok(Reply::Null) };
        let counted = Counted::begin(tally);
        let reply = run(&library, function, &lists, lane);
        if reply.is_err() {
            counted.failed();
        }
        if let Some(stop) = lane.cancel().stopped() {
            count(stop);
        }
        reply
    });
    // What is still to be loaded does not hold the server up: it is loaded first, then the call is atomic.
    if at_once {
        Outcome::Now(job)
    } else {
        Outcome::Job(job)
    }
}

fn run(library: &Arc<Library>, function: &Declared, lists: &[Reply; 2], lane: &mut Lane) -> Result<Reply, Vec<u8>> {
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
    let host = Arc::new(if function.readonly {
        // Without an owner: nothing goes on in the background, where it might write.
        RunHost::new(Arc::clone(lane.door()), cancel.clone()).read_only()
    } else {
        RunHost::for_execution(lane, &owner)
    });
    let keep = function.sync && !lane.is_inline();
    if keep {
        lane.door().keep().map_err(|denied| format!("ERR the call was stopped before it began: {denied}"))?;
    }
    let run = new_run(&host, cancel, lane, header.max_memory);
    let done = loaded.script.call(run, plan, lists);
    if keep {
        lane.door().release();
    }
    let (reply, nested) = done.map_err(text_of)?;
    run_nested(&loaded.script, nested, lane, &owner);
    Ok(reply)
}
