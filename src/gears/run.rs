//! How does a script become a reply? Its interpreter, its run, its execution.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use sha1::{Digest, Sha1};

use super::durable::Page;
use super::host::RunHost;
use super::{
    commit, executions, requirements, sessions, timers, Execution, Finished, Origin, Session, Status, COUNTERS,
};
use crate::python::{self, Plan, PlanOutcome, Ran, Run, Scope, Script, ScriptError, Waiting, Want};
use crate::redis::{self, Lane, Level, Pools};
use crate::reply::Reply;
use crate::settings;
use crate::sync::{CancelToken, Stop};

/// A script to run, as `RG.PYEXECUTE` was asked for it.
pub struct ScriptRequest {
    /// Answer with the execution's id instead of its results.
    pub unblocking: bool,
    /// Its session.
    pub session: Arc<Session>,
}

/// Runs a script in `lane`, and what it created.
pub fn run_script(request: ScriptRequest, lane: &mut Lane) -> Reply {
    lane.door().set_brisk();
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
    let session = &request.session;
    let script = match new_script(session, lane) {
        Ok(script) => script,
        Err(error) => return Reply::error(error),
    };
    // An execution in the background outlives its client, and has the time limit for itself.
    let background = request.unblocking && !lane.is_inline();
    let executions_cancel = if background { CancelToken::new() } else { lane.cancel().clone() };
    let host = RunHost::new(Arc::clone(lane.door()), executions_cancel.clone()).for_session(session);
    let host = Arc::new(host);
    let run = new_run(&host, lane.cancel().clone(), lane, session.origin.max_memory);
    let plans = match script.exec(run, &session.origin.source) {
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
    let (registered, plans): (Vec<Plan>, Vec<Plan>) = plans.into_iter().partition(|plan| plan.registration.is_some());
    let (timed, registered): (Vec<Plan>, Vec<Plan>) = registered.into_iter().partition(timers::is_timer);
    let registers = !registered.is_empty();
    if registers || !timed.is_empty() || session.replaces().is_some() {
        if let Err(error) = put_in_force(session, registered, timed, lane) {
            forget(&host);
            return Reply::error(error);
        }
    }
    let Some(plan) = plans.into_iter().next() else {
        return Reply::ok();
    };
    let Some(execution) = executions().get(&plan.id) else {
        return Reply::error("ERR the execution was dropped before it began (see MaxExecutions)");
    };
    let owner = Owner::from(session);
    if !request.unblocking {
        if registers {
            // The reply is that of the registration; the execution stays listed.
            run_kept(&script, &plan, &execution, lane, &owner);
            return Reply::ok();
        }
        return match run_execution(&script, &plan, &execution, lane, &owner) {
            Course::Ended(finished) => {
                executions().remove(&execution.id);
                finished.reply()
            }
            Course::Waits(waiting) => {
                let client = lane.postpone();
                let kept = (script, request.session);
                waiting.then(move |result| {
                    let finished = end_execution(&execution, result);
                    executions().remove(&execution.id);
                    client.answer(&finished.reply());
                    drop(kept);
                });
                Reply::Null
            }
        };
    }
    let id = if registers { Reply::ok() } else { Reply::bulk(execution.id.clone()) };
    if !background {
        run_kept(&script, &plan, &execution, lane, &owner);
        return id;
    }
    let limit = session.origin.limit;
    let refused = redis::background(Pools::Python, lane.db(), executions_cancel.clone(), move |lane| {
        executions_cancel.set_limit(limit);
        run_kept(&script, &plan, &execution, lane, &owner);
    });
    match refused {
        Ok(()) => id,
        Err(refused) => {
            forget(&host);
            Reply::error(format!("ERR {refused}"))
        }
    }
}

/// Runs the script of a page again, without its effects, and puts its registrations in force.
///
/// # Errors
/// Why that is not possible.
pub(super) fn restore(page: &Page, lane: &mut Lane) -> Result<(), Vec<u8>> {
    let cancel = lane.cancel().clone();
    if !lane.is_inline() {
        cancel.set_limit(page.origin.limit);
    }
    let timers = lane.slice(|slice| timers::wanted(slice.held(), page)).map_err(|stop| stop.to_string())?;
    if page.ids.is_empty() && timers.is_empty() {
        return Ok(());
    }
    let (id, description) = (Some(page.session.clone()), page.description.clone());
    let session = sessions().open(id, description, true, None, page.origin.clone(), cancel.clone())?;
    let script = new_script(&session, lane)?;
    // What it creates is thrown away, and with it the token.
    let host = RunHost::new(Arc::clone(lane.door()), CancelToken::new()).for_session(&session);
    let host = Arc::new(host.restoring(page.ids.clone(), timers));
    let run = new_run(&host, cancel, lane, page.origin.max_memory);
    let plans = script.exec(run, &page.origin.source);
    // It ran when the script was sent.
    forget(&host);
    let mut registered = plans.map_err(text_of)?;
    registered.retain(|plan| plan.registration.is_some());
    let (timed, registered): (Vec<Plan>, Vec<Plan>) = registered.into_iter().partition(timers::is_timer);
    let new = lane.slice(|slice| commit::restored(slice.held(), &session, page, registered, timed));
    for registration in new.map_err(|stop| stop.to_string())? {
        commit::tell(&registration, lane, "onRegistered");
    }
    Ok(())
}

/// A script with an interpreter as the session wants it.
fn new_script(session: &Session, lane: &mut Lane) -> Result<Arc<Script>, String> {
    let origin = &session.origin;
    let packages = requirements::packages(&origin.requirements, lane)?;
    let scope = if origin.by_script { Scope::Script(sum_of(origin)) } else { Scope::Call };
    let want = Want { isolation: origin.isolation, scope, max_memory: origin.max_memory };
    let registry = python::registry().ok_or("ERR Python is not running")?;
    let interpreter = registry.acquire(&want).map_err(|error| format!("ERR no interpreter: {error}"))?;
    Ok(Arc::new(Script::new(interpreter).with_packages(packages)))
}

/// Tells apart what may not share an interpreter: another source, or the same with other packages.
fn sum_of(origin: &Origin) -> [u8; 20] {
    let mut sum = Sha1::new();
    sum.update(&origin.source);
    origin.requirements.iter().for_each(|name| sum.update([b"\0", name.as_bytes()].concat()));
    sum.finalize().into()
}

/// Commits what a script has registered and timed, and tells the registrations.
fn put_in_force(
    session: &Arc<Session>,
    registered: Vec<Plan>,
    timed: Vec<Plan>,
    lane: &mut Lane,
) -> Result<(), String> {
    let committed = lane.slice(|slice| commit::commit(slice.held(), session, registered, timed));
    let new = committed.map_err(|stop| format!("ERR nothing was registered: {stop}"))??;
    for registration in new {
        commit::tell(&registration, lane, "onRegistered");
    }
    Ok(())
}

/// Whose executions they are: what they may take, and what they keep.
#[derive(Clone)]
pub(in crate::gears) struct Owner {
    pub(super) max_memory: Option<u64>,
    /// How long one may take in the background.
    pub(super) limit: Option<Duration>,
    /// Set for those of a script.
    pub(super) session: Option<Arc<Session>>,
}

impl From<&Arc<Session>> for Owner {
    fn from(session: &Arc<Session>) -> Self {
        let origin = &session.origin;
        Self { max_memory: origin.max_memory, limit: origin.limit, session: Some(Arc::clone(session)) }
    }
}

/// How far an execution came.
enum Course {
    Ended(Arc<Finished>),
    /// It waits for coroutines. It has not been ended: [`end_execution`] is to be called then.
    Waits(Waiting),
}

/// Runs one execution as far as it can without waiting, and the executions that its steps create after it.
fn run_execution(script: &Script, plan: &Plan, execution: &Arc<Execution>, lane: &mut Lane, owner: &Owner) -> Course {
    if execution.start().is_ok() {
        let host = Arc::new(RunHost::for_execution(lane, owner));
        let run = new_run(&host, execution.cancel.clone(), lane, owner.max_memory);
        match script.run_plan(run, plan) {
            Ok((Ran::Ended(outcome), nested)) => {
                end_execution(execution, Ok(outcome));
                run_nested(script, nested, lane, owner);
            }
            Ok((Ran::Waits(waiting), nested)) => {
                run_nested(script, nested, lane, owner);
                return Course::Waits(waiting);
            }
            Err(error) => {
                end_execution(execution, Err(error));
            }
        }
    }
    Course::Ended(execution.snapshot().1)
}

/// Ends an execution with what came of it.
pub(super) fn end_execution(execution: &Execution, result: Result<PlanOutcome, ScriptError>) -> Arc<Finished> {
    let finished = match result {
        Ok(outcome) => outcome.into(),
        Err(error) => Finished { errors: vec![text_of(error)], ..Finished::default() },
    };
    if let Some(stop) = execution.cancel.stopped() {
        count(stop);
    }
    execution.end(Status::Done, finished);
    execution.snapshot().1
}

/// Runs an execution that stays listed.
fn run_kept(script: &Script, plan: &Plan, execution: &Arc<Execution>, lane: &mut Lane, owner: &Owner) {
    if let Course::Waits(waiting) = run_execution(script, plan, execution, lane, owner) {
        let (kept, execution) = ((script.clone(), owner.clone()), Arc::clone(execution));
        waiting.then(move |result| {
            end_execution(&execution, result);
            drop(kept);
        });
    }
}

/// Runs an execution that nobody waits for: it is run, and dropped.
pub(super) fn run_unattended(script: &Script, plan: &Plan, execution: &Arc<Execution>, lane: &mut Lane, owner: &Owner) {
    run_then(script, plan, execution, lane, owner, |_| {});
}

/// Runs an execution that is dropped when it has ended; `then` is told, and must not wait.
pub(super) fn run_then(
    script: &Script,
    plan: &Plan,
    execution: &Arc<Execution>,
    lane: &mut Lane,
    owner: &Owner,
    then: impl FnOnce(&Execution) + Send + 'static,
) {
    match run_execution(script, plan, execution, lane, owner) {
        Course::Ended(_) => {
            executions().remove(&execution.id);
            then(execution);
        }
        Course::Waits(waiting) => {
            let (kept, execution) = ((script.clone(), owner.clone()), Arc::clone(execution));
            waiting.then(move |result| {
                end_execution(&execution, result);
                executions().remove(&execution.id);
                then(&execution);
                drop(kept);
            });
        }
    }
}

/// Runs the executions that steps created.
pub(super) fn run_nested(script: &Script, plans: Vec<Plan>, lane: &mut Lane, owner: &Owner) {
    for plan in plans {
        if let Some(execution) = executions().get(&plan.id) {
            run_unattended(script, &plan, &execution, lane, owner);
        }
    }
}

pub(super) fn new_run(
    host: &Arc<impl python::host::Host + 'static>,
    cancel: CancelToken,
    lane: &Lane,
    max_memory: Option<u64>,
) -> Run {
    let client = lane.client();
    let replaced = Replaced::default();
    Run {
        host: Arc::clone(host) as Arc<dyn python::host::Host>,
        cancel,
        inline: lane.is_inline(),
        max_memory,
        traceback: settings::PYTHON_ATTEMPT_TRACEBACK.is_on(),
        profile: settings::PROFILE_EXECUTIONS.is_on(),
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
        resize_pool();
    }
}

/// Gives the pool as many threads as are set, and one for each that runs no scripts now.
pub fn resize_pool() {
    Pools::Python.get().resize(settings::PYTHON_WORKERS.count() + stuck() + requirements::busy());
}

impl Drop for Replaced {
    fn drop(&mut self) {
        let stuck = self.0.load(Ordering::Relaxed);
        if stuck > 0 {
            STUCK.fetch_sub(stuck, Ordering::Relaxed);
            resize_pool();
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
pub(super) fn text_of(error: ScriptError) -> Vec<u8> {
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

pub(super) fn count(stop: Stop) {
    let counter = if stop == Stop::TimedOut { &COUNTERS.timeouts } else { &COUNTERS.aborted };
    counter.fetch_add(1, Ordering::Relaxed);
}
