//! Who ends interpreters?
//!
//! Reaper threads, never the thread that dropped the last share: ending takes milliseconds, may run a
//! script's clean-up code, and waits for the interpreter's threads. An end that is not possible yet is tried again
//! later; one that hangs (a destructor that loops) costs one thread, and another takes its place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::ffi::{self, Attached};
use super::host::{Host, KeysRequest, LogLevel, PlanInfo, RecordSource};
use super::interpreter::{Core, State};
use super::run::{Run, RunState};
use crate::reply::Reply;
use crate::sync::CancelToken;

/// How long an interpreter's own clean-up code may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Pause before the first and the later attempts to end an interpreter whose threads do not stop.
const SOON: Duration = Duration::from_millis(5);
const LATER: Duration = Duration::from_millis(500);
/// After this time without success an interpreter counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(2);
/// A reaper that works on one interpreter for longer is not waited for.
const BUSY: Duration = Duration::from_secs(2);
/// References to release wait so long for somebody who attaches anyway.
const SWEEP: Duration = Duration::from_millis(50);
/// The most reapers, hanging ones included.
const MAX_REAPERS: usize = 16;
/// Past so many interpreters that wait for their end, whoever wants a new one waits first, ...
const BACKLOG: usize = 16;
/// ... but not for longer than this: the one whose turn it is may hang.
const PATIENCE: Duration = Duration::from_millis(200);

enum Job {
    End(Arc<Core>, Option<Instant>),
    Sweep(Arc<Core>),
}

type Since = (Instant, Arc<Core>);

struct Reaper {
    jobs: Sender<Job>,
    queue: Arc<Mutex<Receiver<Job>>>,
    /// When each reaper thread began what it is doing, and to which interpreter.
    busy: Mutex<Vec<Option<Since>>>,
    /// Jobs to be done at some time.
    later: Mutex<Vec<(Instant, Job)>>,
    clock: Condvar,
    /// Interpreters whose end was not tried yet.
    backlog: Mutex<usize>,
    /// There are fewer of them.
    fewer: Condvar,
    ended: AtomicU64,
}

static REAPER: OnceLock<Reaper> = OnceLock::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the reaper. Once per process.
pub(crate) fn start() -> std::io::Result<()> {
    let (jobs, queue) = mpsc::channel();
    let reaper = REAPER.get_or_init(|| Reaper {
        jobs,
        queue: Arc::new(Mutex::new(queue)),
        busy: Mutex::new(Vec::new()),
        later: Mutex::new(Vec::new()),
        clock: Condvar::new(),
        backlog: Mutex::new(0),
        fewer: Condvar::new(),
        ended: AtomicU64::new(0),
    });
    reaper.hire()?;
    thread::Builder::new().name("py-reaper-clock".into()).spawn(|| reaper.keep_time())?;
    Ok(())
}

/// How many interpreters have ended.
pub(crate) fn ended() -> u64 {
    REAPER.get().map_or(0, |reaper| reaper.ended.load(Ordering::Relaxed))
}

/// The last share of `core` is gone.
pub(crate) fn end(core: Arc<Core>) {
    core.set_state(State::Ending);
    if let Some(reaper) = REAPER.get() {
        *lock(&reaper.backlog) += 1;
        // The receiver lives as long as the reaper: for ever.
        let _ = reaper.jobs.send(Job::End(core, None));
    }
}

/// Waits while too many interpreters wait for their end. Where each has its own GIL several threads make them at the same
/// time, and one ends them: without this their memory would grow for as long as clients ask for new ones.
pub(crate) fn catch_up() {
    if let Some(reaper) = REAPER.get() {
        let backlog = lock(&reaper.backlog);
        let waited = reaper.fewer.wait_timeout_while(backlog, PATIENCE, |backlog| *backlog > BACKLOG);
        drop(waited);
    }
}

/// Sees to it that references which `core` discarded are released soon.
pub(crate) fn sweep(core: &Arc<Core>) {
    if let Some(reaper) = REAPER.get().filter(|_| core.needs_sweep()) {
        reaper.postpone(SWEEP, Job::Sweep(core.clone()));
    }
}

impl Reaper {
    fn hire(&'static self) -> std::io::Result<()> {
        let me = {
            let mut busy = lock(&self.busy);
            busy.push(None);
            busy.len() - 1
        };
        thread::Builder::new()
            .name("py-reaper".into())
            .stack_size(super::STACK_SIZE)
            .spawn(move || self.work(me))
            .map(|_| ())
    }

    fn work(&self, me: usize) {
        loop {
            let job = match lock(&self.queue).recv_timeout(Duration::from_secs(3600)) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let first = matches!(job, Job::End(_, None));
            let (Job::End(core, _) | Job::Sweep(core)) = &job;
            lock(&self.busy)[me] = Some((Instant::now(), core.clone()));
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.perform(job)));
            lock(&self.busy)[me] = None;
            drop(done);
            if first {
                *lock(&self.backlog) -= 1;
                self.fewer.notify_all();
            }
        }
    }

    fn postpone(&self, pause: Duration, job: Job) {
        let mut later = lock(&self.later);
        later.push((Instant::now() + pause, job));
        // Otherwise it looks soon by itself.
        if later.len() == 1 {
            self.clock.notify_one();
        }
    }

    /// Hands out postponed jobs, and hires another reaper when all hang.
    fn keep_time(&'static self) {
        loop {
            let due: Vec<(Instant, Job)> = {
                let mut later = lock(&self.later);
                let pause = if later.is_empty() { BUSY / 4 } else { SOON };
                later = self.clock.wait_timeout(later, pause).unwrap_or_else(PoisonError::into_inner).0;
                let now = Instant::now();
                let (due, rest) = std::mem::take(&mut *later).into_iter().partition(|(at, _)| *at <= now);
                *later = rest;
                due
            };
            for (_, job) in due {
                let _ = self.jobs.send(job);
            }
            let hang = {
                let busy = lock(&self.busy);
                let mut hanging = 0;
                for (since, core) in busy.iter().flatten() {
                    if since.elapsed() > BUSY {
                        core.set_state(State::Stuck);
                        hanging += 1;
                    }
                }
                hanging == busy.len() && busy.len() < MAX_REAPERS
            };
            if hang {
                let _ = self.hire();
            }
        }
    }

    fn perform(&self, job: Job) {
        match job {
            Job::Sweep(core) => {
                core.sweep_comes();
                if core.has_discarded() {
                    if let Some(_visit) = core.visit() {
                        bounded(&core, |attached| core.sweep(attached));
                    }
                }
            }
            Job::End(core, since) => self.end(core, since),
        }
    }

    fn end(&self, core: Arc<Core>, since: Option<Instant>) {
        let first = since.is_none();
        let since = since.unwrap_or_else(Instant::now);
        if first {
            bounded(&core, |attached| {
                // The root's state and this thread's.
                if attached.thread_states() == 2 {
                    core.renew_import_locks(attached);
                }
                core.lift_limit();
                core.sweep(attached);
                let farewell = core.objects().farewell.get(attached);
                if let Err(raised) = farewell.call(attached, &[]) {
                    ffi::clear(attached, raised);
                }
            });
        }
        if core.close() {
            if ffi::end_interpreter(core.handle(), core.objects(), |attached| {
                if attached.thread_states() == 1 {
                    core.renew_import_locks(attached);
                }
                core.sweep(attached);
                core.drop_code(attached);
            }) {
                self.ended.fetch_add(1, Ordering::Relaxed);
                super::registry::forget(core.id);
                return;
            }
            core.reopen();
        }
        let waited = since.elapsed();
        if waited > STUCK_AFTER {
            core.set_state(State::Stuck);
        }
        self.postpone(if waited > STUCK_AFTER { LATER } else { SOON }, Job::End(core, Some(since)));
    }
}

/// Runs what may call code that a script left behind (`atexit`, destructors of its globals) as a run of its own:
/// watched, and with a time limit.
fn bounded(core: &Arc<Core>, work: impl FnOnce(&Attached<'_>)) {
    let run = Run::new(Arc::new(Nobody), CancelToken::with_limit(FAREWELL));
    let state = RunState::new(run, core.clone(), Weak::new());
    super::watch::watch(&state);
    {
        let attached = core.handle().attach();
        let _current = super::run::enter(&state);
        state.enter_main(&attached);
        work(&attached);
        state.leave_main(&attached);
    }
    state.abandon();
    super::watch::returned(&state);
}

/// The host of code that runs when nobody listens any more.
pub(super) struct Nobody;

const GONE: &str = "the script has ended";

impl Host for Nobody {
    fn execute(&self, _: Vec<Vec<u8>>) -> Result<Reply, Vec<u8>> {
        Err(GONE.as_bytes().to_vec())
    }
    fn enter_atomic(&self) -> Result<(), String> {
        Err(GONE.to_owned())
    }
    fn leave_atomic(&self) {}
    fn holds_lock(&self) -> bool {
        false
    }
    fn log(&self, _: LogLevel, _: &str) {}
    fn hashtag(&self) -> String {
        String::new()
    }
    fn config_get(&self, _: &str) -> Option<Vec<u8>> {
        None
    }
    fn open_keys(&self, _: KeysRequest) -> Result<Box<dyn RecordSource>, String> {
        Err(GONE.to_owned())
    }
    fn create_execution(&self, _: &PlanInfo, _: bool) -> Result<String, String> {
        Err(GONE.to_owned())
    }
}
