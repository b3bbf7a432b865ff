//! What goes on after the run that began it has returned?
//!
//! An execution that waits for coroutines. They run as a *background run*: a run without a thread of its own. The
//! interpreter's event loop joins it for each step of a coroutine, a worker for each piece of the execution after it
//! ([`run::join`]). It ends once: with its outcome, or when it was told to stop.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::ffi::{Attached, Object, Stored};
use super::interpreter::{Core, Discarded, Isolation};
use super::reaper::Nobody;
use super::run::{self, Run, RunState};
use super::script::{self, PlanOutcome, ScriptError};
use crate::sync::{CancelToken, Stop};

/// Told what came of an execution. Never waits.
type Then = Box<dyn FnOnce(Result<PlanOutcome, ScriptError>) + Send>;

/// How a background run ends.
#[derive(Default)]
pub(crate) struct Ending {
    over: bool,
    /// The execution's queue of waiting records, to tell it when nobody waits any more.
    queue: Option<Stored>,
    /// What came of it, until somebody asks.
    outcome: Option<Result<PlanOutcome, ScriptError>>,
    then: Option<Then>,
}

impl Ending {
    pub(super) fn new(queue: Stored) -> Mutex<Self> {
        Mutex::new(Self { queue: Some(queue), ..Self::default() })
    }
}

fn lock(ending: &Mutex<Ending>) -> MutexGuard<'_, Ending> {
    ending.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An execution that waits for coroutines.
pub struct Waiting(pub(super) Arc<RunState>);

impl Waiting {
    /// Calls `then` when it has ended, on whatever thread that happens; at once if it has.
    pub fn then(self, then: impl FnOnce(Result<PlanOutcome, ScriptError>) + Send + 'static) {
        let Some(ending) = &self.0.ending else { return };
        let ended = {
            let mut ending = lock(ending);
            match ending.outcome.take() {
                Some(outcome) => Some((then, outcome)),
                None => {
                    ending.then = Some(Box::new(then));
                    None
                }
            }
        };
        if let Some((then, outcome)) = ended {
            then(outcome);
        }
    }
}

impl RunState {
    /// Whether it is a background run that has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ending.as_ref().is_some_and(|ending| lock(ending).over)
    }

    /// Ends a background run, if it has not ended; `attached` if the calling thread is.
    pub(crate) fn finish(&self, attached: Option<&Attached<'_>>, outcome: Result<PlanOutcome, ScriptError>) {
        let Some(ending) = &self.ending else { return };
        let (then, queue) = {
            let mut ending = lock(ending);
            if std::mem::replace(&mut ending.over, true) {
                return;
            }
            let then = ending.then.take();
            (then, ending.queue.take())
        };
        self.end_background();
        match (queue, attached) {
            (Some(queue), Some(attached)) => drop(queue.into_object(attached)),
            (Some(queue), None) => script::discard(&self.core, Discarded::Queue(queue)),
            (None, _) => {}
        }
        match then {
            Some(then) => then(outcome),
            None => lock(ending).outcome = Some(outcome),
        }
    }

    /// Ends a background run that must stop, and the threads that work for it.
    pub(super) fn finish_stopped(&self, stop: Stop) {
        self.abandon();
        self.finish(None, Err(stopped(stop)));
    }
}

fn stopped(stop: Stop) -> ScriptError {
    ScriptError { text: b"gears.forcestopped: the script was stopped".to_vec(), stop: Some(stop) }
}

/// Sees that somebody goes on with an execution some of whose records need not wait any more.
pub(super) fn resume(state: &Arc<RunState>, queue: Stored) {
    let resumption = Resumption { state: Arc::clone(state), queue: Some(queue) };
    state.host.go_on(Box::new(move || resumption.run()));
}

/// The next piece of an execution. If it can't be run, the execution ends.
struct Resumption {
    state: Arc<RunState>,
    queue: Option<Stored>,
}

impl Resumption {
    fn run(mut self) {
        let state = Arc::clone(&self.state);
        let Some(visit) = state.core.visit() else { return };
        let attached = visit.attach();
        let Some(queue) = self.queue.take() else { return };
        let queue = queue.into_object(&attached);
        if state.has_ended() {
            return;
        }
        if state.core.isolation == Isolation::Subinterpreter {
            state.core.sweep(&attached);
        }
        if let Err(stop) = run::join(&state, &attached) {
            return state.finish(Some(&attached), Err(stopped(stop)));
        }
        let failed = advance(&state, &attached, &queue);
        run::part(&attached);
        if let Some(error) = failed {
            state.finish(Some(&attached), Err(error));
        }
    }
}

/// Runs the piece, which tells the run when the execution has ended; returns what ended it otherwise.
fn advance(state: &RunState, attached: &Attached<'_>, queue: &Object<'_>) -> Option<ScriptError> {
    let resume_plan = state.core.objects().resume_plan.get(attached);
    match resume_plan.call(attached, &[queue]) {
        Ok(_) => None,
        Err(raised) => Some(script::describe(attached, state, raised, state.traceback)),
    }
}

impl Drop for Resumption {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            script::discard(&self.state.core, Discarded::Queue(queue));
            let text = b"ERR the server takes no more jobs".to_vec();
            self.state.finish(None, Err(ScriptError { text, stop: None }));
        }
    }
}

/// Starts the thread of an interpreter's event loop, which calls `function`; once.
pub(super) fn start_loop(core: &Arc<Core>, function: Object<'_>) -> std::io::Result<()> {
    if core.has_loop() {
        return Ok(());
    }
    let (core, function) = (Arc::clone(core), function.store());
    let run = move || {
        // The interpreter may end while this thread begins; its objects end with it.
        let Some(visit) = core.visit() else { return };
        let attached = visit.attach();
        let run = Run::new(Arc::new(Nobody), CancelToken::new());
        let state = RunState::new(run, Arc::clone(&core), std::sync::Weak::new());
        let _current = run::enter(&state);
        let function = function.into_object(&attached);
        let ended = function.call(&attached, &[]).map(drop);
        if let Err(raised) = ended {
            // It may be out of memory: those who wait for it are told all the same.
            core.lift_limit();
            let failure = super::ffi::take(&attached, raised).map(|failure| failure.plain_text(&attached));
            core.loop_has_ended();
            let told = super::ffi::text(&attached, &failure.unwrap_or_default())
                .and_then(|text| function.call(&attached, &[&text]).map(drop));
            if let Err(raised) = told {
                super::ffi::clear(&attached, raised);
            }
        }
    };
    thread::Builder::new().name("py-loop".into()).stack_size(super::STACK_SIZE).spawn(run).map(drop)
}
