//! How does a script become a reply? Its interpreter, its run, its execution.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use sha1::{Digest, Sha1};

use super::host::RunHost;
use super::{config, executions, Execution, Finished, Session, Status, COUNTERS};
use crate::python::{self, Isolation, Plan, PlanOutcome, Run, Scope, Script, ScriptError, Want};
use crate::redis::{self, Lane, Level, Pools};
use crate::reply::Reply;
use crate::settings;
use crate::sync::{CancelToken, Stop};

/// A script to run, as `RG.PYEXECUTE` was asked for it.
pub struct ScriptRequest {
    /// The source. Any bytes; Python says what it does not like.
    pub source: Vec<u8>,
    /// Answer with the execution's id instead of its results.
    pub unblocking: bool,
    /// Where it runs.
    pub isolation: Isolation,
    /// Whether it shares an interpreter with other calls of the same source.
    pub by_script: bool,
    /// How much memory it may allocate.
    pub max_memory: Option<u64>,
    /// How long an execution may take in the background.
    pub limit: Option<Duration>,
    /// Its session.
    pub session: Arc<Session>,
}

/// Runs a script in `lane`, and what it created.
pub fn run_script(request: ScriptRequest, lane: &mut Lane) -> Reply {
    COUNTERS.scripts.fetch_add(1, Ordering::Relaxed);
    let reply = script_reply(request, lane);
    // Looked at for the peak that RG.PYSTATS reports.
    python::memory_totals();
    if let Some(stop) = lane.cancel().stopped() {
        count(stop);
    }
    if matches!(reply, Reply::Error(_)) {
        COUNTERS.scripts_failed.fetch_add(1, Ordering::Relaxed);
    }
    reply
}

fn script_reply(request: ScriptRequest, lane: &mut Lane) -> Reply {
    if let Some(stop) = lane.cancel().stopped() {
        return Reply::error(format!("ERR the script was not run: {stop}"));
    }
    let scope = if request.by_script { Scope::Script(Sha1::digest(&request.source).into()) } else { Scope::Call };
    let want = Want { isolation: request.isolation, scope, max_memory: request.max_memory };
    let script = match python::registry()
        .ok_or_else(|| "Python is not running".to_owned())
        .and_then(|registry| registry.acquire(&want))
    {
        Ok(interpreter) => Arc::new(Script::new(interpreter)),
        Err(error) => return Reply::error(format!("ERR no interpreter: {error}")),
    };
    // An execution in the background outlives its client, and has the time limit for itself.
    let background = request.unblocking && !lane.is_inline();
    let executions_cancel = if background { CancelToken::new() } else { lane.cancel().clone() };
    let host = Arc::new(RunHost::new(Arc::clone(lane.door()), executions_cancel.clone()));
    let run = new_run(&host, lane.cancel().clone(), lane, request.max_memory);
    let plans = match script.exec(run, &request.source) {
        // The end may come before the exception that stops a script does: in `join()` of a thread
        // that was stopped first.
        Ok(_) if lane.cancel().stopped().is_some() => {
            forget(&host);
            let stop = lane.cancel().stopped();
            return Reply::Error(text_of(ScriptError { text: STOPPED.to_vec(), stop }));
        }
        Ok(plans) => plans,
        Err(error) => {
            forget(&host);
            return Reply::Error(text_of(error));
        }
    };
    let Some(plan) = plans.into_iter().next() else {
        return Reply::ok();
    };
    let Some(execution) = executions().get(&plan.id) else {
        return Reply::error("ERR the execution was dropped before it began (see MaxExecutions)");
    };
    if !request.unblocking {
        let reply = run_execution(&script, &plan, &execution, lane, request.max_memory).reply();
        executions().remove(&execution.id);
        return reply;
    }
    let id = Reply::bulk(execution.id.clone());
    if !background {
        run_execution(&script, &plan, &execution, lane, request.max_memory);
        return id;
    }
    let limit = request.limit;
    let refused = redis::background(Pools::Python, lane.db(), executions_cancel.clone(), move |lane| {
        executions_cancel.set_limit(limit);
        run_execution(&script, &plan, &execution, lane, request.max_memory);
        drop(request.session);
    });
    match refused {
        Ok(()) => id,
        Err(refused) => {
            forget(&host);
            Reply::error(format!("ERR {refused}"))
        }
    }
}

/// Runs one execution to its end, and the executions that its steps create after it.
fn run_execution(
    script: &Arc<Script>,
    plan: &Plan,
    execution: &Arc<Execution>,
    lane: &mut Lane,
    max_memory: Option<u64>,
) -> Arc<Finished> {
    if execution.start().is_ok() {
        let host = Arc::new(RunHost::new(Arc::clone(lane.door()), lane.cancel().clone()));
        let run = new_run(&host, execution.cancel.clone(), lane, max_memory);
        let (finished, nested) = match script.run_plan(run, plan) {
            Ok((PlanOutcome { results, errors }, nested)) => {
                (Finished { results, errors, ..Finished::default() }, nested)
            }
            Err(error) => (Finished { errors: vec![text_of(error)], ..Finished::default() }, Vec::new()),
        };
        if let Some(stop) = execution.cancel.stopped() {
            count(stop);
        }
        execution.end(Status::Done, finished);
        // Nobody waits for executions of steps: they are run, and dropped.
        for nested in nested {
            if let Some(inner) = executions().get(&nested.id) {
                run_execution(script, &nested, &inner, lane, max_memory);
                executions().remove(&inner.id);
            }
        }
    }
    execution.snapshot().1
}

fn new_run(host: &Arc<RunHost>, cancel: CancelToken, lane: &Lane, max_memory: Option<u64>) -> Run {
    let client = lane.client();
    let replaced = Replaced::default();
    Run {
        host: Arc::clone(host) as Arc<dyn python::host::Host>,
        cancel,
        inline: lane.is_inline(),
        max_memory,
        traceback: config::with_traceback(),
        on_stuck: Some(Box::new(move || {
            redis::log(
                Level::Warning,
                "Interlock: a script was told to stop and does not (a loop in C?); its thread is left to it",
            );
            replaced.add();
            client.answer(&Reply::error("ERR the script was told to stop and does not; it was left behind"));
        })),
    }
}

/// Threads that stuck scripts keep: the pool has as many more until they end.
#[derive(Default)]
struct Replaced(AtomicUsize);

static STUCK: AtomicUsize = AtomicUsize::new(0);

/// Scripts that were told to stop and did not, and still run.
pub fn stuck() -> usize {
    STUCK.load(Ordering::Relaxed)
}

impl Replaced {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        STUCK.fetch_add(1, Ordering::Relaxed);
        Self::resize();
    }

    fn resize() {
        Pools::Python.get().resize(settings::PYTHON_WORKERS.count() + STUCK.load(Ordering::Relaxed));
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        let stuck = self.0.load(Ordering::Relaxed);
        if stuck > 0 {
            STUCK.fetch_sub(stuck, Ordering::Relaxed);
            Self::resize();
        }
    }
}

/// Drops the executions of a script that failed.
fn forget(host: &RunHost) {
    for execution in host.created() {
        execution.abort();
        executions().remove(&execution.id);
    }
}

/// The error's text for the client; that of a stopped script says why it was stopped.
fn text_of(error: ScriptError) -> Vec<u8> {
    let Some(stop) = error.stop else {
        return error.text;
    };
    let mut text = error.text;
    match text.windows(STOPPED.len()).rposition(|window| window == STOPPED) {
        Some(at) => {
            let end = at + STOPPED.len();
            text.splice(end..end, format!(": {stop}").into_bytes());
        }
        // Something else came in the place of the exception that stopped it.
        None => text.extend(format!(" (the script was stopped: {stop})").into_bytes()),
    }
    text
}

/// How the exception that stops scripts is shown.
const STOPPED: &[u8] = b"gears.forcestopped: the script was stopped";

fn count(stop: Stop) {
    let counter = if stop == Stop::TimedOut { &COUNTERS.timeouts } else { &COUNTERS.aborted };
    counter.fetch_add(1, Ordering::Relaxed);
}
