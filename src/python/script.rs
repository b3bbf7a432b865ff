//! How does a script run?
//!
//! A [`Script`] is one globals dictionary in one interpreter: the body runs in it, and so do the plans that the body
//! created. Dropping one never waits: its objects are released by whoever is attached next, and
//! its threads are interrupted.

use std::borrow::Borrow;
use std::fmt;
use std::mem::take;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::background::Waiting;
use super::ffi::{self, Attached, Object, PyResult, Refusal, Stored};
use super::host::{Options, PlanInfo};
use super::interpreter::{Core, Discarded, Interpreter, Isolation};
use super::run::{Run, RunState};
use crate::reply::Reply;
use crate::sync::Stop;

/// The name of every script in tracebacks, as in RedisGears.
const FILE_NAME: &std::ffi::CStr = c"<string>";

/// Why a script or a plan did not finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// The text for the client.
    pub text: Vec<u8>,
    /// Set when the run was told to stop, and stopped for that.
    pub stop: Option<Stop>,
}

/// What a script's `run()` or `register()` asked for.
pub struct Plan {
    /// The id of the execution or of the registration, from the host.
    pub id: String,
    /// What the server shows of it.
    pub info: Arc<PlanInfo>,
    /// What `register()` was given; `None` for `run()`.
    pub registration: Option<Options>,
    object: Option<Stored>,
    globals: Arc<Globals>,
}

/// What a plan produced.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PlanOutcome {
    /// The records that reached the end.
    pub results: Vec<Reply>,
    /// The texts of the records that failed.
    pub errors: Vec<Vec<u8>>,
    /// How long its reader took.
    pub read: Duration,
    /// How long the function of each step took, first step first; nothing unless it was profiled.
    pub steps: Vec<Duration>,
}

/// How far a plan came.
pub enum Ran {
    /// To its end.
    Ended(PlanOutcome),
    /// It waits for coroutines, and goes on later.
    Waits(Waiting),
}

/// What a function did that was called.
pub enum Called {
    /// It returned this.
    Returned(Reply),
    /// It is a coroutine, whose value or error is the only one of its outcome.
    Waits(Waiting),
}

/// A script in its interpreter.
#[derive(Clone)]
pub struct Script {
    globals: Arc<Globals>,
    /// A folder of packages that come before all others.
    packages: Option<PathBuf>,
}

/// The namespace of a script: the script's own and its plans', whose functions look names up in it.
pub(crate) struct Globals {
    interpreter: Arc<Interpreter>,
    dict: Mutex<Option<Stored>>,
    /// Runs whose threads may still be there.
    runs: Mutex<Vec<Weak<RunState>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("id", &self.id).field("info", &self.info).finish_non_exhaustive()
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("interpreter", &self.interpreter().id()).finish_non_exhaustive()
    }
}

impl Plan {
    pub(crate) fn new(
        id: String,
        info: PlanInfo,
        registration: Option<Options>,
        object: Stored,
        globals: Arc<Globals>,
    ) -> Self {
        Self { id, info: Arc::new(info), registration, object: Some(object), globals }
    }

    /// The script whose plan it is.
    pub fn script(&self) -> Script {
        Script { globals: self.globals.clone(), packages: None }
    }

    /// The interpreter that it must run in.
    pub fn interpreter(&self) -> &Arc<Interpreter> {
        &self.globals.interpreter
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            discard(self.globals.interpreter.core(), Discarded::Object(object));
        }
    }
}

/// Releases something without attaching here.
pub(super) fn discard(core: &Arc<Core>, discarded: Discarded) {
    if core.discard(discarded) {
        super::reaper::sweep(core);
    }
}

impl Script {
    /// A script with fresh globals in `interpreter`.
    pub fn new(interpreter: Arc<Interpreter>) -> Self {
        let dict = Mutex::new(None);
        let globals = Arc::new(Globals { interpreter, dict, runs: Mutex::new(Vec::new()) });
        Self { globals, packages: None }
    }

    /// The same, whose body finds modules in this folder first.
    pub fn with_packages(self, packages: Option<PathBuf>) -> Self {
        Self { packages, ..self }
    }

    /// The interpreter it runs in.
    pub fn interpreter(&self) -> &Arc<Interpreter> {
        &self.globals.interpreter
    }

    /// Runs the script's body on the calling thread, whose stack must have [`super::STACK_SIZE`] bytes; returns the
    /// plans that it created with `run()`.
    ///
    /// # Errors
    /// The exception that ended it, as the client sees it.
    pub fn exec(&self, run: Run, source: &[u8]) -> Result<Vec<Plan>, ScriptError> {
        let ((), plans) = self.perform(run, |attached, state| {
            state.set_body();
            if let Some(packages) = &self.packages {
                ffi::prefer_path(attached, packages.as_os_str().as_bytes())?;
            }
            let globals = self.globals(attached)?;
            let core = self.interpreter().core();
            let code = match core.cached_code(attached, source) {
                Some(code) => code,
                None => {
                    let code = ffi::compile(attached, source, FILE_NAME)?;
                    core.cache_code(attached, source, code.again(attached));
                    code
                }
            };
            ffi::evaluate(attached, &code, &globals).map(drop)
        })?;
        Ok(plans)
    }

    /// Executes a plan of this script on the calling thread; returns how far it came, and the plans that its steps
    /// created in turn.
    ///
    /// # Errors
    /// What ended the execution as a whole; a record that fails is part of the outcome.
    pub fn run_plan(&self, run: Run, plan: &Plan) -> Result<(Ran, Vec<Plan>), ScriptError> {
        self.perform(run, |attached, state| {
            let Some(object) = &plan.object else {
                return Ok(Ran::Ended(PlanOutcome::default()));
            };
            let object = object.get(attached);
            let ran = self.start(attached, state, &object, None)?;
            Ok(came(attached, state, &ran))
        })
    }

    /// Executes a registration's plan once for each of `events` (each an array of records), in order, without giving
    /// the interpreter up in between. `begin` is asked before each (`false` ends it) and `end` told what came of it; both
    /// with the GIL held, so they wait for nothing. Returns the plans that the steps created.
    ///
    /// # Errors
    /// What ended the run: the event that was begun last did not end.
    pub fn run_events<E: Borrow<Reply>>(
        &self,
        run: Run,
        plan: &Plan,
        events: impl Iterator<Item = E>,
        mut begin: impl FnMut() -> bool,
        mut end: impl FnMut(Ran),
    ) -> Result<Vec<Plan>, ScriptError> {
        let ((), plans) = self.perform(run, |attached, state| {
            let Some(object) = &plan.object else { return Ok(()) };
            let object = object.get(attached);
            for event in events {
                if !begin() {
                    break;
                }
                let records = ffi::to_python(attached, event.borrow())?;
                let ran = self.start(attached, state, &object, Some(&records))?;
                end(came(attached, state, &ran));
            }
            Ok(())
        })?;
        Ok(plans)
    }

    /// Calls a function that the body has declared, with two lists: keys and arguments (arrays). Returns its result, and
    /// the plans that it created.
    ///
    /// # Errors
    /// The exception that ended it, or why its result can't be returned.
    pub fn call(&self, run: Run, function: &Plan, lists: &[Reply; 2]) -> Result<(Called, Vec<Plan>), ScriptError> {
        let (answer, plans) = self.perform(run, |attached, state| {
            let Some(object) = &function.object else { return Ok(Ok(Called::Returned(Reply::Null))) };
            let [keys, arguments] = lists;
            let (keys, arguments) = (ffi::to_python(attached, keys)?, ffi::to_python(attached, arguments)?);
            let value = object.get(attached).call(attached, &[&keys, &arguments])?;
            if value.is_coroutine() {
                let run = state.core.objects().wait_for.get(attached).call(attached, &[&value])?;
                return Ok(ffi::run_in(attached, &run)
                    .map(|run| Called::Waits(Waiting(run)))
                    .ok_or(Refusal::Unsuitable));
            }
            state.core.lift_limit();
            Ok(ffi::to_answer(attached, &value).map(Called::Returned))
        })?;
        match answer {
            Ok(answer) => Ok((answer, plans)),
            Err(refusal) => Err(ScriptError { text: refusal.text().as_bytes().to_vec(), stop: None }),
        }
    }

    /// Calls the function that a registration was given as `name` (`onRegistered`, `onUnregistered`), if any.
    ///
    /// # Errors
    /// The exception that ended it.
    pub fn call_option(&self, run: Run, plan: &Plan, name: &str) -> Result<(), ScriptError> {
        self.perform(run, |attached, _| {
            let Some(object) = &plan.object else { return Ok(()) };
            let (object, name) = (object.get(attached), ffi::text(attached, name.as_bytes())?);
            let call_option = self.interpreter().core().objects().call_option.get(attached);
            call_option.call(attached, &[&object, &name]).map(drop)
        })
        .map(drop)
    }

    /// Starts a plan, over an event if there is one.
    fn start<'a>(
        &self,
        attached: &'a Attached<'_>,
        state: &RunState,
        plan: &Object<'_>,
        event: Option<&Object<'_>>,
    ) -> PyResult<Object<'a>> {
        let objects = self.interpreter().core().objects();
        let plan_and_event = [Some(plan), event];
        if !state.profile {
            let arguments: Vec<_> = plan_and_event.into_iter().flatten().collect();
            return objects.run_plan.get(attached).call(attached, &arguments);
        }
        let globals = self.globals(attached)?;
        let arguments: Vec<_> = std::iter::once(&globals).chain(plan_and_event.into_iter().flatten()).collect();
        objects.run_profiled.get(attached).call(attached, &arguments)
    }

    /// The profile of this script's executions as text, if there is one; an empty `order` forgets it.
    ///
    /// # Errors
    /// What it does not like of the order.
    pub fn profile(&self, run: Run, order: &str) -> Result<Option<Vec<u8>>, ScriptError> {
        let (text, _) = self.perform(run, |attached, state| {
            let (globals, order) = (self.globals(attached)?, ffi::text(attached, order.as_bytes())?);
            let text = state.core.objects().profile_text.get(attached).call(attached, &[&globals, &order])?;
            Ok((!text.is_none()).then(|| ffi::encode(attached, &text)))
        })?;
        Ok(text)
    }

    fn globals<'a>(&self, attached: &'a Attached<'_>) -> PyResult<Object<'a>> {
        if let Some(globals) = &*lock(&self.globals.dict) {
            return Ok(globals.get(attached));
        }
        let template = self.interpreter().core().objects().template.get(attached);
        let globals = template.copy_dict(attached)?;
        let mut slot = lock(&self.globals.dict);
        if slot.is_none() {
            *slot = Some(globals.again(attached).store());
        }
        Ok(globals)
    }

    /// Runs `body` attached, watched and limited, and turns what it raises into an error.
    fn perform<R>(
        &self,
        run: Run,
        body: impl FnOnce(&Attached<'_>, &RunState) -> PyResult<R>,
    ) -> Result<(R, Vec<Plan>), ScriptError> {
        if let Some(stop) = run.cancel.stopped() {
            return Err(ScriptError { text: stop.to_string().into_bytes(), stop: Some(stop) });
        }
        let core = self.interpreter().core();
        let (limit, with_traceback) = (run.max_memory, run.traceback);
        let state = RunState::new(run, core.clone(), Arc::downgrade(&self.globals));
        core.begin_run(limit);
        let _ended = Ended { state: &state, limit };
        super::watch::watch(&state);
        let result = {
            let attached = core.handle().attach();
            // In the shared interpreter these are other scripts' objects, with destructors that may never return.
            if core.isolation == Isolation::Subinterpreter {
                core.sweep(&attached);
            }
            let _current = super::run::enter(&state);
            let _left = Left { attached: &attached, state: &state };
            state.enter_main(&attached);
            body(&attached, &state).map_err(|raised| {
                core.lift_limit();
                state.quieten(&attached);
                describe(&attached, &state, raised, with_traceback)
            })
        };
        state.flush_output();
        if !state.is_over() {
            self.globals.remember(&state);
        }
        if let (Ok(_), Some(stop)) = (&result, state.interrupted()) {
            // A script may swallow the exception, or end before it comes, for a thread it waited for was stopped.
            return Err(ScriptError { text: b"gears.forcestopped".to_vec(), stop: Some(stop) });
        }
        let plans = take(&mut *lock(&state.plans));
        result.map(|result| (result, plans))
    }
}

/// Ends the run, even if a panic passes by.
struct Ended<'s> {
    state: &'s Arc<RunState>,
    limit: Option<u64>,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        // The watcher, and threads that the script left behind, may keep the state for longer.
        self.state.host.ended();
        self.state.core.end_run(self.limit);
        super::watch::returned(self.state);
    }
}

/// Takes the calling thread out of the run while it is still attached: only then can nobody be about to
/// interrupt it.
struct Left<'s> {
    attached: &'s Attached<'s>,
    state: &'s RunState,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.state.leave_main(self.attached);
        self.state.release_atomic();
    }
}

pub(super) fn describe(
    attached: &Attached<'_>,
    state: &RunState,
    raised: ffi::Raised,
    with_traceback: bool,
) -> ScriptError {
    let objects = state.core.objects();
    let Some(exception) = ffi::take(attached, raised) else {
        return ScriptError { text: b"failed running the given script".to_vec(), stop: None };
    };
    let forced = exception.is(&objects.stopped.get(attached));
    let text = exception.text(attached, &objects.describe.get(attached), with_traceback);
    // A `finally` may have put another exception into the place of the one that stopped the script.
    let stop = if forced { state.cancel.stopped() } else { state.interrupted() };
    ScriptError { text, stop }
}

/// What `run_plan` returned.
fn came(attached: &Attached<'_>, state: &RunState, ran: &Object<'_>) -> Ran {
    if let Some(run) = ffi::run_in(attached, ran) {
        return Ran::Waits(Waiting(run));
    }
    // Results may be as large as the limit; copying them must not fail for their size.
    state.core.lift_limit();
    Ran::Ended(outcome(attached, ran))
}

/// Converts the three lists that a plan gives at its end.
pub(super) fn outcome(attached: &Attached<'_>, lists: &Object<'_>) -> PlanOutcome {
    let mut outcome = PlanOutcome::default();
    if let Some(results) = ffi::tuple_item(attached, lists, 0) {
        let mut at = 0;
        while let Some(result) = ffi::list_item(attached, &results, at) {
            match ffi::to_reply(attached, &result) {
                Ok(reply) => outcome.results.push(reply),
                Err(refusal) => outcome.errors.push(refusal.text().as_bytes().to_vec()),
            }
            at += 1;
            if at % 4096 == 0 {
                attached.breathe();
            }
        }
    }
    if let Some(errors) = ffi::tuple_item(attached, lists, 1) {
        let mut at = 0;
        while let Some(error) = ffi::list_item(attached, &errors, at) {
            outcome.errors.push(ffi::encode(attached, &error));
            at += 1;
        }
    }
    let spent = ffi::tuple_item(attached, lists, 2).and_then(|spent| ffi::to_reply(attached, &spent).ok());
    if let Some(Reply::Array(spent)) = spent {
        let mut micros = spent.iter().map(|one| match one {
            Reply::Int(micros) => Duration::from_micros(u64::try_from(*micros).unwrap_or(0)),
            _ => Duration::ZERO,
        });
        outcome.read = micros.next().unwrap_or_default();
        outcome.steps = micros.collect();
    }
    outcome
}

impl Globals {
    /// Notes a run with threads: they are stopped when the script is given up.
    pub(super) fn remember(&self, run: &Arc<RunState>) {
        let mut runs = lock(&self.runs);
        runs.retain(|other| other.upgrade().is_some_and(|other| !other.is_over() && !Arc::ptr_eq(&other, run)));
        runs.push(Arc::downgrade(run));
    }
}

impl Drop for Globals {
    fn drop(&mut self) {
        for run in take(&mut *lock(&self.runs)) {
            if let Some(run) = run.upgrade() {
                run.abandon();
            }
        }
        if let Some(dict) = lock(&self.dict).take() {
            discard(self.interpreter.core(), Discarded::Namespace(dict));
        }
    }
}
