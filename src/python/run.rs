//! What belongs to one run of Python code?
//!
//! [`Run`] is what the caller gives: the host, the cancel token, the limits. [`RunState`] is what the layer makes
//! of it: which threads belong to the run (the one that called, and those the script started), and
//! which plans and output it produced. A thread finds its run through [`current`].
//!
//! A run is *over* when its main thread has returned and its other threads have ended. Threads may
//! outlive the main one; they are interrupted when the script itself is given up ([`RunState::abandon`]).

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::background::Ending;
use super::ffi::{ident, Attached, Ident, Stored, ThreadRef};
use super::host::{Background, Host, LogLevel};
use super::interpreter::Core;
use super::output::Output;
use super::script::{Globals, Plan};
use crate::sync::{CancelToken, Stop};

/// How long the interrupts hold off while the text of an exception is made.
const QUIET: Duration = Duration::from_millis(250);

/// How many times in a row a thread is not interrupted because it is at a delicate place, with a lock half taken or
/// half given back. It leaves such a place at once; if it does not, what it leaves behind is put right
/// afterwards as well as can be.
const PATIENCE: u32 = 60;

/// One piece of a sleeping thread's sleep: it looks for a stop so often.
const SLEEP_SLICE: Duration = Duration::from_millis(20);

/// The circumstances of one run.
pub struct Run {
    /// The server.
    pub host: Arc<dyn Host>,
    /// Stops the run.
    pub cancel: CancelToken,
    /// The calling thread is the server's main thread and holds its lock. Only this thread may then
    /// ask the host for anything: another one would wait for the lock, and this one for it.
    pub inline: bool,
    /// How many bytes the interpreter may allocate on top of what a fresh one has. Has no effect on
    /// the shared interpreter.
    pub max_memory: Option<u64>,
    /// Whether error texts hold the traceback.
    pub traceback: bool,
    /// Whether executions add to the profile of their script.
    pub profile: bool,
    /// Called once, on a thread of the Python layer, when the run was told to stop and did not
    /// within a second (a loop in C): the caller can answer the client and replace the thread.
    pub on_stuck: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Run {
    /// A run in a worker thread, without limits.
    pub fn new(host: Arc<dyn Host>, cancel: CancelToken) -> Self {
        Self { host, cancel, inline: false, max_memory: None, traceback: true, profile: false, on_stuck: None }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("inline", &self.inline).field("max_memory", &self.max_memory).finish()
    }
}

/// A run, as its threads, its watcher and the native functions see it.
pub(crate) struct RunState {
    pub(crate) host: Arc<dyn Host>,
    pub(crate) cancel: CancelToken,
    pub(crate) core: Arc<Core>,
    /// Weak: a thread that a script left behind must not keep the interpreter.
    pub(crate) owner: Weak<Globals>,
    pub(crate) plans: Mutex<Vec<Plan>>,
    /// Somebody watches it more closely than the general look every few milliseconds.
    pub(crate) companion: AtomicBool,
    /// How often its threads were interrupted.
    pub(crate) rounds: AtomicU32,
    /// It was told to stop long ago and has not.
    pub(crate) stuck: AtomicBool,
    /// Whether error texts hold the traceback.
    pub(crate) traceback: bool,
    /// Whether executions add to the profile of their script.
    pub(super) profile: bool,
    body: AtomicBool,
    /// Whether a thread has been told to stop, by an exception or by a native function.
    cut: AtomicBool,
    inline: Option<Ident>,
    /// Set for a background run: how it ends.
    pub(super) ending: Option<Mutex<Ending>>,
    max_memory: Option<u64>,
    abandoned: AtomicBool,
    threads: Mutex<Threads>,
    /// The threads inside `atomic()`.
    atomic: Mutex<Vec<Ident>>,
    output: Mutex<Output>,
    on_stuck: Option<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Debug)]
struct Threads {
    /// Until the run's main thread returns.
    main: Option<Target>,
    /// Whether the main thread has not returned (it has no identity before it is attached).
    running: bool,
    quiet_until: Option<Instant>,
    children: Vec<Target>,
    /// When its only thread began what it does now.
    began: Instant,
}

/// A thread that can be interrupted.
#[derive(Debug)]
struct Target {
    ident: Ident,
    thread: ThreadRef,
    /// How often it was left alone in a row.
    spared: u32,
}

impl Target {
    fn new(attached: &Attached<'_>) -> Self {
        Self { ident: attached.ident(), thread: attached.thread(), spared: 0 }
    }

    /// Whether to interrupt it now.
    fn is_due(&mut self, delicate: impl Fn(ThreadRef) -> bool) -> bool {
        let spare = self.spared < PATIENCE && delicate(self.thread);
        self.spared = if spare { self.spared + 1 } else { 0 };
        !spare
    }
}

/// What a host call is refused with.
pub(crate) enum Refused {
    /// The run must stop.
    Stopped,
    /// The call makes no sense here.
    Because(&'static str),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunState {
    pub(crate) fn new(run: Run, core: Arc<Core>, owner: Weak<Globals>) -> Arc<Self> {
        Arc::new(Self::with(run, core, owner))
    }

    /// What an execution of `run` goes on as when `run` has returned; `queue` holds its waiting records.
    pub(crate) fn background(given: Background, run: &RunState, queue: Stored) -> Arc<Self> {
        let Background { host, cancel } = given;
        let max_memory = run.max_memory;
        let next = Run { max_memory, traceback: run.traceback, ..Run::new(host, cancel) };
        run.core.begin_run(max_memory);
        let state = Self::with(next, run.core.clone(), run.owner.clone());
        let state = Arc::new(Self { ending: Some(Ending::new(queue)), ..state });
        super::watch::watch_waiting(&state);
        state
    }

    /// A background run has ended.
    pub(super) fn end_background(&self) {
        self.flush_output();
        lock(&self.threads).running = false;
        self.host.ended();
        self.core.end_run(self.max_memory);
    }

    fn with(run: Run, core: Arc<Core>, owner: Weak<Globals>) -> Self {
        Self {
            host: run.host,
            cancel: run.cancel,
            core,
            owner,
            plans: Mutex::new(Vec::new()),
            companion: AtomicBool::new(false),
            rounds: AtomicU32::new(0),
            stuck: AtomicBool::new(false),
            traceback: run.traceback,
            profile: run.profile,
            body: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            inline: run.inline.then(ident),
            ending: None,
            max_memory: run.max_memory,
            abandoned: AtomicBool::new(false),
            threads: Mutex::new(Threads {
                main: None,
                running: true,
                quiet_until: None,
                children: Vec::new(),
                began: Instant::now(),
            }),
            atomic: Mutex::new(Vec::new()),
            output: Mutex::new(Output::default()),
            on_stuck: run.on_stuck,
        }
    }

    /// Notes that a script's body runs, not a plan of it.
    pub(crate) fn set_body(&self) {
        self.body.store(true, Ordering::Relaxed);
    }

    /// Whether a script's body runs.
    pub(crate) fn is_body(&self) -> bool {
        self.body.load(Ordering::Relaxed)
    }

    /// Why the calling thread, which belongs to this run, must stop.
    pub(crate) fn stop(&self) -> Option<Stop> {
        if self.abandoned.load(Ordering::Acquire) {
            return Some(Stop::Aborted);
        }
        // After the main thread's return the token says nothing any more about threads left behind.
        if lock(&self.threads).running {
            self.cancel.stopped()
        } else {
            None
        }
    }

    /// The script is given up: its threads must end.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::Release);
    }

    /// Whether nothing of the run runs any more.
    pub(crate) fn is_over(&self) -> bool {
        let threads = lock(&self.threads);
        !threads.running && threads.children.is_empty()
    }

    /// Whether nothing of it runs now, though a background run may go on.
    pub(crate) fn is_idle(&self) -> bool {
        let threads = lock(&self.threads);
        threads.children.is_empty() && (!threads.running || self.ending.is_some())
    }

    /// How long its only thread has been at what it does.
    pub(crate) fn busy_for(&self) -> Duration {
        lock(&self.threads).began.elapsed()
    }

    /// The threads to interrupt, passed to `each` while none of them can leave the run; not those of which `delicate`
    /// says that an exception would do harm where they are, unless they stay there for long.
    pub(crate) fn interrupt(&self, delicate: impl Fn(ThreadRef) -> bool, each: impl Fn(Ident)) {
        let abandoned = self.abandoned.load(Ordering::Acquire);
        let mut threads = lock(&self.threads);
        let stopped = abandoned || (threads.running && self.cancel.stopped().is_some());
        if !stopped {
            return;
        }
        let quiet = threads.quiet_until.is_some_and(|until| Instant::now() < until);
        let Threads { main, children, .. } = &mut *threads;
        for target in main.iter_mut().filter(|_| !quiet).chain(children) {
            if target.is_due(&delicate) {
                self.cut.store(true, Ordering::Release);
                each(target.ident);
            }
        }
    }

    /// The threads that have not left the run.
    pub(crate) fn targets(&self) -> Vec<ThreadRef> {
        let threads = lock(&self.threads);
        threads.main.iter().chain(&threads.children).map(|target| target.thread).collect()
    }

    /// The main thread is attached and about to run code.
    pub(crate) fn enter_main(&self, attached: &Attached<'_>) {
        lock(&self.threads).main = Some(Target::new(attached));
    }

    /// Holds the interrupts of the main thread, which calls this, off for a moment.
    pub(crate) fn quieten(&self, attached: &Attached<'_>) {
        lock(&self.threads).quiet_until = Some(Instant::now() + QUIET);
        self.forget_raised(attached);
    }

    /// An interrupt that has been sent to the calling thread must not arrive.
    fn forget_raised(&self, attached: &Attached<'_>) {
        if self.cut.load(Ordering::Acquire) {
            attached.forget_raised(&self.core.objects().settle.get(attached));
        }
    }

    /// The main thread has run its code and is still attached; nobody interrupts it after this.
    pub(crate) fn leave_main(&self, attached: &Attached<'_>) {
        {
            let mut threads = lock(&self.threads);
            threads.main = None;
            threads.running = false;
        }
        self.put_right(attached);
    }

    /// Takes back what was sent to the calling thread, and puts right what it may have been torn away from.
    fn put_right(&self, attached: &Attached<'_>) {
        self.forget_raised(attached);
        if self.cut.load(Ordering::Acquire) {
            let settle = self.core.objects().settle.get(attached);
            if let Err(raised) = settle.call(attached, &[]) {
                super::ffi::clear(attached, raised);
            }
        }
    }

    /// Why a thread of the run was interrupted or refused something while the main thread ran, if any was: what the
    /// run gives is not what the script meant to give.
    pub(crate) fn interrupted(&self) -> Option<Stop> {
        let interrupted = self.cut.load(Ordering::Acquire);
        if interrupted {
            self.cancel.stopped()
        } else {
            None
        }
    }

    /// Tells the caller that the run does not stop.
    pub(crate) fn report_stuck(&self) {
        if !self.stuck.swap(true, Ordering::AcqRel) && lock(&self.threads).running {
            if let Some(report) = &self.on_stuck {
                report();
            }
        }
    }

    /// Whether the calling thread may ask the host now.
    pub(crate) fn may_ask(&self) -> Result<(), Refused> {
        if self.stop().is_some() {
            self.cut.store(true, Ordering::Release);
            return Err(Refused::Stopped);
        }
        if !lock(&self.threads).running {
            return Err(Refused::Because("the run of this script is over, its threads cannot use the server"));
        }
        match self.inline {
            Some(main) if main != ident() => Err(Refused::Because(
                "a thread of a script that runs inline (in MULTI, EXEC or Lua) cannot use the server",
            )),
            _ => Ok(()),
        }
    }

    /// Sleeps, or ends early when the run must stop.
    pub(crate) fn sleep(&self, duration: Duration) -> Result<(), Stop> {
        let start = Instant::now();
        loop {
            if let Some(stop) = self.stop() {
                self.cut.store(true, Ordering::Release);
                return Err(stop);
            }
            let left = duration.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(SLEEP_SLICE));
        }
    }

    /// Notes that the calling thread is inside `atomic()`.
    pub(crate) fn entered_atomic(&self) {
        lock(&self.atomic).push(ident());
    }

    /// Notes that it left; whether it had been inside.
    pub(crate) fn left_atomic(&self) -> bool {
        let mut atomic = lock(&self.atomic);
        let me = ident();
        let at = atomic.iter().rposition(|thread| *thread == me);
        at.map(|at| atomic.swap_remove(at)).is_some()
    }

    /// Whether the calling thread is inside `atomic()`.
    pub(crate) fn in_atomic(&self) -> bool {
        lock(&self.atomic).contains(&ident())
    }

    /// Gives the server's lock back if the calling thread was torn out of an `atomic()` block.
    pub(crate) fn release_atomic(&self) {
        while self.left_atomic() {
            self.host.leave_atomic();
        }
    }

    fn forget_child(&self, child: Ident) {
        lock(&self.threads).children.retain(|target| target.ident != child);
    }

    /// Takes what the script printed; returns the lines that are complete.
    pub(crate) fn print(&self, text: &[u8]) -> Vec<String> {
        lock(&self.output).push(text)
    }

    /// Logs what the script printed without a newline at the end.
    pub(crate) fn flush_output(&self) {
        let rest = lock(&self.output).finish();
        if let Some(line) = rest {
            self.host.log(LogLevel::Notice, &line);
        }
    }
}

/// The membership of a thread in a run. For threads that Python started it ends with the thread.
struct Membership {
    run: Arc<RunState>,
    /// Set for a thread that the script started.
    child: Option<Ident>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Some(child) = self.child {
            self.run.release_atomic();
            self.run.forget_child(child);
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Membership>> = const { RefCell::new(None) };
    /// What the thread worked for before it joined a background run.
    static BEFORE: RefCell<Vec<Option<Membership>>> = const { RefCell::new(Vec::new()) };
}

/// The run that the calling thread works for.
pub(crate) fn current() -> Option<Arc<RunState>> {
    with_member(|member| member.run.clone())
}

/// Whether the calling thread is one that a script has started: others only join a run for a while.
pub(crate) fn on_thread_of_script() -> bool {
    let joined = || BEFORE.with_borrow(|before| !before.is_empty());
    with_member(|member| member.child.is_some()).unwrap_or(true) && !joined()
}

/// Whether the calling thread must stop, and nothing holds the interrupts off.
pub(crate) fn must_raise() -> bool {
    with_member(|member| {
        let quiet = || lock(&member.run.threads).quiet_until.is_some_and(|until| Instant::now() < until);
        member.run.stop().is_some() && (member.child.is_some() || !quiet())
    })
    .unwrap_or(false)
}

/// The calling thread is being stopped.
pub(crate) fn raising() {
    with_member(|member| member.run.cut.store(true, Ordering::Release));
}

fn with_member<R>(work: impl FnOnce(&Membership) -> R) -> Option<R> {
    CURRENT.try_with(|current| current.borrow().as_ref().map(work)).ok().flatten()
}

/// Makes `run` the calling thread's, as its main thread, until the guard is dropped.
pub(crate) fn enter(run: &Arc<RunState>) -> impl Drop {
    struct Guard(Option<Membership>);
    impl Drop for Guard {
        fn drop(&mut self) {
            let outer = self.0.take();
            CURRENT.with(|current| current.replace(outer));
        }
    }
    Guard(CURRENT.with(|current| current.replace(Some(Membership { run: run.clone(), child: None }))))
}

/// Makes the calling thread, which is attached, work for `run` until [`part`].
pub(crate) fn join(run: &Arc<RunState>, attached: &Attached<'_>) -> Result<(), Stop> {
    if let Some(stop) = run.stop() {
        return Err(stop);
    }
    let me = attached.ident();
    let left_over = {
        let mut threads = lock(&run.threads);
        if threads.children.is_empty() {
            threads.began = Instant::now();
        }
        threads.children.push(Target::new(attached));
        !threads.running
    };
    let member = Membership { run: run.clone(), child: Some(me) };
    if left_over {
        // A coroutine that nobody waits for any more goes on while its script is there.
        run.owner.upgrade().ok_or(Stop::Aborted)?.remember(run);
    }
    let before = CURRENT.with(|current| current.replace(Some(member)));
    BEFORE.with_borrow_mut(|all| all.push(before));
    super::watch::watch(run);
    Ok(())
}

/// Ends what [`join`] began; nobody interrupts the calling thread for that run after this.
pub(crate) fn part(attached: &Attached<'_>) {
    let before = BEFORE.with_borrow_mut(Vec::pop).flatten();
    let Some(member) = CURRENT.with(|current| current.replace(before)) else { return };
    let run = member.run.clone();
    run.forget_child(attached.ident());
    run.put_right(attached);
    drop(member);
    super::watch::returned(&run);
}

/// Makes the calling thread, which Python started, one of `run`'s until it ends.
pub(crate) fn adopt(run: &Arc<RunState>, attached: &Attached<'_>) -> Result<(), Stop> {
    if let Some(stop) = run.stop() {
        return Err(stop);
    }
    let me = attached.ident();
    let owner = run.owner.upgrade();
    {
        let mut threads = lock(&run.threads);
        if owner.is_none() && !threads.running {
            // The script is gone, and with it whoever would stop this thread.
            return Err(Stop::Aborted);
        }
        threads.children.push(Target::new(attached));
    }
    // The run's main thread may have returned before this one began, and seen nobody to be remembered.
    if let Some(owner) = owner {
        owner.remember(run);
    }
    CURRENT.with(|current| current.replace(Some(Membership { run: run.clone(), child: Some(me) })));
    super::watch::watch(run);
    Ok(())
}

/// The calling thread, which Python started, has done its work and is about to end; nobody interrupts it after this.
pub(crate) fn leave(attached: &Attached<'_>) {
    with_member(|member| member.run.clone()).inspect(|run| {
        run.forget_child(attached.ident());
        run.forget_raised(attached);
    });
}
