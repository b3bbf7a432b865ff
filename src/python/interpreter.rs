//! What is one interpreter, and who keeps it?
//!
//! An [`Interpreter`] is a right to use one: its owners (scripts, plans, whoever acquired it) share it in an `Arc`, and
//! the last one out hands it to the reaper. Behind it is the [`Core`], which lives until the
//! interpreter has really ended, so that watchers and the reaper can look at it safely.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::ffi::{Attached, Handle, Object, Stored};

/// How scripts are kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// A sub-interpreter: its own modules, and from CPython 3.13 its own GIL.
    Subinterpreter,
    /// The main interpreter: its own globals dictionary, everything else is shared. For extension modules
    /// that refuse sub-interpreters.
    Shared,
}

impl Isolation {
    /// Its name in commands and replies.
    pub fn name(self) -> &'static str {
        match self {
            Isolation::Subinterpreter => "subinterpreter",
            Isolation::Shared => "shared",
        }
    }
}

/// Who uses an interpreter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One call: an interpreter that nobody has used before.
    Call,
    /// All calls of the script with this SHA-1.
    Script([u8; 20]),
    /// The functions of one library.
    Library,
}

/// What an interpreter is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Ready and never used.
    Warm = 0,
    /// Owned by somebody.
    InUse = 1,
    /// Kept for the next call of its script.
    Idle = 2,
    /// Without owner, about to end.
    Ending = 3,
    /// Cannot end: a thread of it does not stop.
    Stuck = 4,
}

impl State {
    /// Its name in replies.
    pub fn name(self) -> &'static str {
        match self {
            State::Warm => "warm",
            State::InUse => "in use",
            State::Idle => "idle",
            State::Ending => "ending",
            State::Stuck => "stuck",
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            0 => State::Warm,
            1 => State::InUse,
            2 => State::Idle,
            3 => State::Ending,
            _ => State::Stuck,
        }
    }
}

/// What the runtime library gives the native side, in one interpreter.
#[derive(Debug)]
pub(crate) struct Objects {
    /// The dict that a script's globals are copied from.
    pub(crate) template: Stored,
    /// `describe(type, value, traceback, with_traceback)`: the text of an exception.
    pub(crate) describe: Stored,
    /// `run_plan(plan, event=None)`: `(results, errors)`, or the run that it waits as.
    pub(crate) run_plan: Stored,
    /// `run_profiled(globals, plan, event=None)`: as `run_plan`, and adds to the script's profile.
    pub(crate) run_profiled: Stored,
    /// `profile_text(globals, order)`: the script's profile as text, or None.
    pub(crate) profile_text: Stored,
    /// `resume_plan(queue)`: the next piece of an execution that waited.
    pub(crate) resume_plan: Stored,
    /// `call_option(plan, name)`: calls a function that a registration was given.
    pub(crate) call_option: Stored,
    /// `wait_for(coroutine)`: what a call runs as whose function has returned a coroutine.
    pub(crate) wait_for: Stored,
    /// `farewell()`: what a module registered to be called at the end.
    pub(crate) farewell: Stored,
    /// `settle()`: puts right what an interrupt may have left behind in the calling thread.
    pub(crate) settle: Stored,
    /// `renew_import_locks()`: new locks for imports, when no thread is left that may hold the old ones.
    pub(crate) renew_import_locks: Stored,
    /// The exception that stops a script.
    pub(crate) stopped: Stored,
}

/// What its owner let go of without being attached.
#[derive(Debug)]
pub(crate) enum Discarded {
    /// A reference to release.
    Object(Stored),
    /// A script's globals: emptied, since its functions and they refer to each other.
    Namespace(Stored),
    /// The waiting records of an execution that was stopped: their coroutines are cancelled.
    Queue(Stored),
}

/// An interpreter, from its creation to its end.
pub(crate) struct Core {
    pub(crate) id: u64,
    pub(crate) isolation: Isolation,
    handle: Handle,
    objects: Objects,
    /// What it had allocated when it was new.
    base: usize,
    created: Instant,
    state: AtomicU8,
    runs: AtomicU64,
    /// Runs that are going on.
    running: AtomicUsize,
    scope: Mutex<Option<Scope>>,
    gate: Mutex<Gate>,
    pending: Mutex<Vec<Discarded>>,
    /// Whether a reaper has been told of them.
    sweep_due: AtomicBool,
    limits: Mutex<Vec<Option<u64>>>,
    code: Mutex<Option<(Vec<u8>, Stored)>>,
    /// Whether its event loop has been started.
    has_loop: AtomicBool,
}

#[derive(Debug, Default)]
struct Gate {
    closed: bool,
    visitors: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("id", &self.id).field("state", &self.state()).finish()
    }
}

impl Core {
    pub(crate) fn new(id: u64, isolation: Isolation, handle: Handle, objects: Objects, state: State) -> Self {
        let base = handle.heap().used();
        Self {
            id,
            isolation,
            handle,
            objects,
            base,
            created: Instant::now(),
            state: AtomicU8::new(state as u8),
            runs: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            scope: Mutex::new(None),
            gate: Mutex::new(Gate::default()),
            pending: Mutex::new(Vec::new()),
            sweep_due: AtomicBool::new(false),
            limits: Mutex::new(Vec::new()),
            code: Mutex::new(None),
            has_loop: AtomicBool::new(false),
        }
    }

    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn state(&self) -> State {
        State::from_code(self.state.load(Ordering::Acquire))
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    pub(crate) fn set_scope(&self, scope: Scope) {
        *lock(&self.scope) = Some(scope);
    }

    /// Lets the caller attach although it owns nothing; `None` once the interpreter has begun to end.
    pub(crate) fn visit(&self) -> Option<Visit<'_>> {
        let mut gate = lock(&self.gate);
        if gate.closed {
            return None;
        }
        gate.visitors += 1;
        Some(Visit(self))
    }

    /// Keeps visitors out for good; `false` while there are some.
    pub(crate) fn close(&self) -> bool {
        let mut gate = lock(&self.gate);
        gate.closed = gate.visitors == 0;
        gate.closed
    }

    /// Lets visitors in again, after the end turned out to be impossible.
    pub(crate) fn reopen(&self) {
        lock(&self.gate).closed = false;
    }

    /// Leaves a reference to be released by whoever is attached next; whether it is the only one.
    pub(crate) fn discard(&self, object: Discarded) -> bool {
        let mut pending = lock(&self.pending);
        pending.push(object);
        pending.len() == 1
    }

    /// Whether a reaper is to be told of what was discarded; once until [`Core::sweep_comes`].
    pub(crate) fn needs_sweep(&self) -> bool {
        !self.sweep_due.swap(true, Ordering::AcqRel)
    }

    /// A reaper is about to release what was discarded.
    pub(crate) fn sweep_comes(&self) {
        self.sweep_due.store(false, Ordering::Release);
    }

    /// Whether references wait to be released.
    pub(crate) fn has_discarded(&self) -> bool {
        !lock(&self.pending).is_empty()
    }

    /// Releases what was left by [`Core::discard`].
    pub(crate) fn sweep(&self, attached: &Attached<'_>) {
        let pending = std::mem::take(&mut *lock(&self.pending));
        for discarded in pending {
            match discarded {
                Discarded::Object(object) => drop(object.into_object(attached)),
                Discarded::Namespace(dict) => dict.into_object(attached).clear_dict(),
                Discarded::Queue(queue) => {
                    let queue = queue.into_object(attached);
                    let abandoned =
                        queue.attribute(attached, c"abandon").and_then(|abandon| abandon.call(attached, &[]));
                    if let Err(raised) = abandoned {
                        super::ffi::clear(attached, raised);
                    }
                }
            }
        }
    }

    /// Whatever its threads left locked, imports must be possible until the end. Not while there are threads.
    pub(crate) fn renew_import_locks(&self, attached: &Attached<'_>) {
        if let Err(raised) = self.objects.renew_import_locks.get(attached).call(attached, &[]) {
            super::ffi::clear(attached, raised);
        }
    }

    /// The compiled form of `source`, if it is what this interpreter compiled last.
    pub(crate) fn cached_code<'a>(&self, attached: &'a Attached<'_>, source: &[u8]) -> Option<Object<'a>> {
        let code = lock(&self.code);
        code.as_ref().filter(|(cached, _)| cached == source).map(|(_, code)| code.get(attached))
    }

    /// Remembers the compiled form of `source`.
    pub(crate) fn cache_code(&self, attached: &Attached<'_>, source: &[u8], code: Object<'_>) {
        let before = lock(&self.code).replace((source.to_vec(), code.store()));
        // Released outside the lock: a release can run Python code.
        if let Some((_, before)) = before {
            drop(before.into_object(attached));
        }
    }

    /// Gives up the cached code, before the end.
    pub(crate) fn drop_code(&self, attached: &Attached<'_>) {
        let code = lock(&self.code).take();
        if let Some((_, code)) = code {
            drop(code.into_object(attached));
        }
    }

    /// Whether its event loop has been started; the first who asks is to do it.
    pub(crate) fn has_loop(&self) -> bool {
        self.has_loop.swap(true, Ordering::AcqRel)
    }

    /// Its event loop has failed: the next who asks is to start another one.
    pub(crate) fn loop_has_ended(&self) {
        self.has_loop.store(false, Ordering::Release);
    }

    /// A run begins, with this memory limit.
    pub(crate) fn begin_run(&self, limit: Option<u64>) {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        lock(&self.limits).push(limit);
        self.apply_limits();
    }

    /// It ended.
    pub(crate) fn end_run(&self, limit: Option<u64>) {
        self.running.fetch_sub(1, Ordering::Relaxed);
        {
            let mut limits = lock(&self.limits);
            if let Some(at) = limits.iter().position(|other| *other == limit) {
                limits.swap_remove(at);
            }
        }
        self.apply_limits();
    }

    /// Lifts the memory limit, so that errors can be described; the next begin or end of a run sets it again.
    pub(crate) fn lift_limit(&self) {
        self.handle.heap().set_limit(None);
    }

    /// Runs that share an interpreter share its memory: the most generous limit counts.
    fn apply_limits(&self) {
        if self.isolation == Isolation::Shared {
            return;
        }
        let limits = lock(&self.limits);
        let most = limits.iter().copied().try_fold(0, |most, limit| limit.map(|limit| most.max(limit)));
        let limit = match most {
            Some(most) if !limits.is_empty() => {
                Some(self.base.saturating_add(usize::try_from(most).unwrap_or(usize::MAX)))
            }
            _ => None,
        };
        self.handle.heap().set_limit(limit);
    }

    pub(crate) fn info(&self, owners: usize) -> InterpreterInfo {
        InterpreterInfo {
            id: self.id,
            isolation: self.isolation,
            own_gil: super::own_gil() && self.isolation == Isolation::Subinterpreter,
            scope: *lock(&self.scope),
            state: self.state(),
            owners,
            running: self.running.load(Ordering::Relaxed),
            runs: self.runs.load(Ordering::Relaxed),
            memory: self.handle.heap().used(),
            age_ms: u64::try_from(self.created.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The right to attach to an interpreter for a moment without owning it.
pub(crate) struct Visit<'c>(&'c Core);

impl Visit<'_> {
    pub(crate) fn attach(&self) -> Attached<'_> {
        self.0.handle.attach()
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        lock(&self.0.gate).visitors -= 1;
    }
}

/// A share in an interpreter; dropping the last one ends it, on another thread.
#[derive(Debug)]
pub struct Interpreter {
    core: Arc<Core>,
}

impl Interpreter {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Its number in `RG.PYDUMPINTERPRETERS`.
    pub fn id(&self) -> u64 {
        self.core.id
    }

    /// How it is kept apart from others.
    pub fn isolation(&self) -> Isolation {
        self.core.isolation
    }

    /// The bytes that its objects occupy.
    pub fn memory(&self) -> usize {
        self.core.handle().heap().used()
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        super::reaper::end(self.core.clone());
    }
}

/// One interpreter, as `RG.PYDUMPINTERPRETERS` shows it.
#[derive(Debug, Clone)]
pub struct InterpreterInfo {
    /// Its number.
    pub id: u64,
    /// How it is kept apart.
    pub isolation: Isolation,
    /// Whether it has a GIL of its own.
    pub own_gil: bool,
    /// Who uses it; `None` while it is warm.
    pub scope: Option<Scope>,
    /// What it is doing.
    pub state: State,
    /// How many own it.
    pub owners: usize,
    /// Runs going on.
    pub running: usize,
    /// Runs begun so far.
    pub runs: u64,
    /// Bytes that its objects occupy.
    pub memory: usize,
    /// Milliseconds since it was created.
    pub age_ms: u64,
}
