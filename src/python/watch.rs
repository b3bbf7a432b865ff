//! Who sees that runs stop when they must, and that one run does not starve the others?
//!
//! One watcher thread looks at all runs every few milliseconds. It never attaches to an interpreter, so it can
//! never be held up; a short run costs it nothing but a place in a list. A run that must stop, and on
//! versions of CPython where the GIL is shared any run that lasts, gets a *companion*: a thread
//! (from a crew that is used again) that attaches to the run's interpreter every few milliseconds.
//!
//! * Before CPython 3.13 a thread that waits for the shared GIL asks its *own* interpreter to let go, not the
//!   one that holds it. The companion attaches to the right one: that makes it let go. Without this ticker
//!   a spinning script freezes all others.
//! * When the run must stop the companion raises an exception in all its threads, again and again, until they
//!   are gone. A raise can be swallowed by an `except BaseException`: so for every second while the threads are
//!   traced instead, and raise at each line.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::ffi::Attached;
use super::run::RunState;

/// How often runs are looked at, and what a run may last before it gets a companion that ticks.
const LOOK: Duration = Duration::from_millis(5);
/// How often a companion attaches. A spinning script runs for about twice this time in one piece: the companion's
/// pause, and what CPython lets it wait (set to the same value at the start).
const TICK: Duration = Duration::from_millis(1);
/// How often a companion raises.
const RAISE: Duration = Duration::from_millis(5);
/// Background runs are looked at once in so many rounds: there may be thousands.
const WAITING_EVERY: u32 = 4;
/// How long the watcher goes on looking at an empty list before it sleeps: waking it costs a system call.
const LINGER: u32 = 20;
/// A run that does not stop within this time is reported as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(1);
/// After so many rounds in which exceptions were swallowed, the threads are traced, for as many rounds; and so on.
const ENOUGH: u32 = 8;
/// An idle companion waits so long for its next run.
const IDLE: Duration = Duration::from_secs(10);

/// The runs to look at.
struct Watch {
    runs: Mutex<Vec<Watched>>,
    /// Background runs, which may have to stop while nothing of them runs.
    waiting: Mutex<Vec<Arc<RunState>>>,
    wake: Condvar,
    asleep: AtomicBool,
    ticks: AtomicBool,
    crew: Crew,
}

struct Watched {
    run: Arc<RunState>,
    stopping_since: Option<Instant>,
}

static WATCH: Watch = Watch {
    runs: Mutex::new(Vec::new()),
    waiting: Mutex::new(Vec::new()),
    wake: Condvar::new(),
    asleep: AtomicBool::new(false),
    ticks: AtomicBool::new(false),
    crew: Crew { state: Mutex::new(CrewState { idle: 0, jobs: VecDeque::new() }), wake: Condvar::new() },
};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the watcher; `ticks` is the remedy against starvation. Once per process.
pub(crate) fn start(ticks: bool) -> std::io::Result<()> {
    WATCH.ticks.store(ticks, Ordering::Relaxed);
    thread::Builder::new().name("py-watch".into()).spawn(|| loop {
        look();
    })?;
    Ok(())
}

/// Looks at `run` until it is over.
pub(crate) fn watch(run: &Arc<RunState>) {
    let mut runs = lock(&WATCH.runs);
    if !runs.iter().any(|watched| Arc::ptr_eq(&watched.run, run)) {
        runs.push(Watched { run: run.clone(), stopping_since: None });
    }
    if WATCH.asleep.load(Ordering::Relaxed) {
        WATCH.asleep.store(false, Ordering::Relaxed);
        WATCH.wake.notify_one();
    }
}

/// Looks at a background run until it has ended.
pub(crate) fn watch_waiting(run: &Arc<RunState>) {
    lock(&WATCH.waiting).push(run.clone());
    let _runs = lock(&WATCH.runs);
    if WATCH.asleep.swap(false, Ordering::Relaxed) {
        WATCH.wake.notify_one();
    }
}

/// Ends the background runs that must stop; whether there are others.
fn look_at_waiting() -> bool {
    let (mut stopped, mut ended) = (Vec::new(), Vec::new());
    let any = {
        let mut waiting = lock(&WATCH.waiting);
        let (gone, rest) = std::mem::take(&mut *waiting).into_iter().partition(|run| run.has_ended());
        ended.extend::<Vec<_>>(gone);
        *waiting = rest;
        stopped.extend(waiting.iter().filter_map(|run| Some((run.cancel.stopped()?, run.clone()))));
        !waiting.is_empty()
    };
    for (stop, run) in stopped {
        run.finish_stopped(stop);
    }
    any
}

/// The main thread of `run` has returned: if nothing else of it runs, it need not be looked at any more.
pub(crate) fn returned(run: &Arc<RunState>) {
    if run.is_idle() {
        // The caller has a reference too: nothing is dropped under the lock.
        let mut runs = lock(&WATCH.runs);
        if let Some(at) = runs.iter().position(|watched| Arc::ptr_eq(&watched.run, run)) {
            runs.swap_remove(at);
        }
    }
}

fn look() {
    let mut empty = 0;
    let mut round = 0_u32;
    let mut any_waiting = false;
    loop {
        round = round.wrapping_add(1);
        if round % WAITING_EVERY == 0 || !any_waiting {
            any_waiting = look_at_waiting();
        }
        let mut stuck = Vec::new();
        // Dropped after the lock: with the last reference goes the run's host, which is not ours.
        let over: Vec<Watched>;
        {
            let mut runs = lock(&WATCH.runs);
            let (gone, rest) = std::mem::take(&mut *runs).into_iter().partition(|watched| watched.run.is_idle());
            over = gone;
            *runs = rest;
            for watched in runs.iter_mut() {
                if watched.run.stop().is_some() {
                    let since = *watched.stopping_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= STUCK_AFTER && !watched.run.stuck.load(Ordering::Relaxed) {
                        stuck.push(watched.run.clone());
                    }
                    accompany(&watched.run);
                } else if WATCH.ticks.load(Ordering::Relaxed) && watched.run.busy_for() >= LOOK {
                    accompany(&watched.run);
                }
            }
            empty = if runs.is_empty() && !any_waiting { empty + 1 } else { 0 };
            // Who brings a background run finds this thread awake, or asleep, under this lock: no run comes in between.
            if empty > LINGER && lock(&WATCH.waiting).is_empty() {
                WATCH.asleep.store(true, Ordering::Relaxed);
                while WATCH.asleep.load(Ordering::Relaxed) {
                    runs = WATCH.wake.wait(runs).unwrap_or_else(PoisonError::into_inner);
                }
                return;
            }
        }
        // The report calls the run's owner: not under the lock.
        drop(over);
        for run in stuck {
            super::registry::shun(run.core.id);
            run.report_stuck();
        }
        thread::sleep(LOOK);
    }
}

fn accompany(run: &Arc<RunState>) {
    if !run.companion.swap(true, Ordering::AcqRel) {
        let run = run.clone();
        WATCH.crew.send(Box::new(move || companion(&run)));
    }
}

/// Stays with one run until it is over, or until it needs no companion any more.
fn companion(run: &Arc<RunState>) {
    while !run.is_idle() {
        let stopping = run.stop().is_some();
        if !stopping && !WATCH.ticks.load(Ordering::Relaxed) {
            break;
        }
        // The interpreter may not end while this thread waits for its GIL.
        let Some(visit) = run.core.visit() else { break };
        {
            let attached = visit.attach();
            if stopping {
                interrupt(run, &attached);
            }
        }
        drop(visit);
        thread::sleep(if stopping { RAISE } else { TICK });
    }
    if run.rounds.load(Ordering::Relaxed) > ENOUGH {
        if let Some(visit) = run.core.visit() {
            visit.attach().trace_none();
        }
    }
    run.companion.store(false, Ordering::Release);
}

/// One round against a run that must stop.
fn interrupt(run: &RunState, attached: &Attached<'_>) {
    let round = run.rounds.fetch_add(1, Ordering::Relaxed);
    let exception = run.core.objects().stopped.get(attached);
    let tracing = (round / ENOUGH) % 2 == 1;
    if tracing {
        if round % ENOUGH == 0 {
            attached.forget_raised(&run.core.objects().settle.get(attached));
        }
        attached.trace(&run.targets(), &exception);
    } else {
        if round % ENOUGH == 0 && round > 0 {
            attached.trace_none();
        }
        run.interrupt(|thread| attached.is_delicate(thread), |thread| attached.raise_in(thread, &exception));
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// Threads that are used again, as many as there is work: a companion may wait for a GIL for long.
struct Crew {
    state: Mutex<CrewState>,
    wake: Condvar,
}

struct CrewState {
    idle: usize,
    jobs: VecDeque<Job>,
}

impl Crew {
    fn send(&'static self, job: Job) {
        let mut state = lock(&self.state);
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() {
            self.wake.notify_one();
            return;
        }
        drop(state);
        // Without a thread the job waits for the next idle one: late, not lost.
        let _ = thread::Builder::new().name("py-companion".into()).spawn(move || self.work());
    }

    fn work(&self) {
        loop {
            let mut state = lock(&self.state);
            while state.jobs.is_empty() {
                state.idle += 1;
                let (after, waited) = self.wake.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
                state = after;
                state.idle -= 1;
                if waited.timed_out() && state.jobs.is_empty() {
                    return;
                }
            }
            let job = state.jobs.pop_front();
            drop(state);
            if let Some(job) = job {
                // A panic of one companion must not take a thread of the crew with it unseen.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
        }
    }
}
