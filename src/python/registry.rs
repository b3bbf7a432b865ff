//! Which interpreters are there, and which one does a call get?
//!
//! A call gets an interpreter that nobody used before, from a pool that a background thread keeps filled; or the one of
//! its script, which stays for a while after its last owner; or the main one. Every interpreter
//! is listed here from its creation until it has really ended.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::boot::Library;
use super::ffi;
use super::interpreter::{Core, Interpreter, InterpreterInfo, Isolation, Scope, State};

/// How long the interpreter of a script is kept after its last call.
const KEEP: Duration = Duration::from_secs(60);
/// How many of these are kept at most.
const MAX_KEPT: usize = 64;
/// The pool's thread rests after each creation for this multiple of what the creation took, so that filling
/// the pool takes at most a third of one core.
const REST: u32 = 2;

/// What a call wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// How it must be kept apart.
    pub isolation: Isolation,
    /// With whom it may share. The shared interpreter is everybody's, whatever the scope.
    pub scope: Scope,
    /// The memory limit of its runs; given again with each [`super::Run`].
    pub max_memory: Option<u64>,
}

/// Totals over all interpreters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RegistryStats {
    /// Ready and never used.
    pub warm: usize,
    /// Owned by somebody (the shared one not counted).
    pub in_use: usize,
    /// Kept for the next call of their script.
    pub idle: usize,
    /// On their way out.
    pub ending: usize,
    /// Cannot end.
    pub stuck: usize,
    /// Created so far.
    pub created: u64,
    /// Ended so far.
    pub ended: u64,
    /// Bytes that all Python objects occupy.
    pub memory: usize,
}

struct Kept {
    interpreter: Arc<Interpreter>,
    used: Instant,
}

/// All interpreters of the process.
pub struct Registry {
    library: Library,
    main: Arc<Interpreter>,
    all: Mutex<BTreeMap<u64, Listed>>,
    warm: Mutex<VecDeque<Arc<Interpreter>>>,
    target: AtomicUsize,
    refill: Condvar,
    scripts: Mutex<HashMap<[u8; 20], Kept>>,
    next_id: AtomicU64,
    created: AtomicU64,
    closed: AtomicBool,
}

struct Listed {
    core: Arc<Core>,
    owners: Weak<Interpreter>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("stats", &self.stats()).finish()
    }
}

static REGISTRY: OnceLock<Registry> = OnceLock::new();

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The registry, once [`super::boot()`] has succeeded.
pub fn registry() -> Option<&'static Registry> {
    REGISTRY.get()
}

/// Takes an ended interpreter off the list.
pub(crate) fn forget(id: u64) {
    if let Some(registry) = registry() {
        lock(&registry.all).remove(&id);
    }
}

/// Gives the interpreter up for later calls of its script: a thread in it does not stop.
pub(crate) fn shun(id: u64) {
    if let Some(registry) = registry() {
        let mut shunned = Vec::new();
        let mut scripts = lock(&registry.scripts);
        scripts.retain(|_, kept| {
            let keep = kept.interpreter.core().id != id;
            if !keep {
                shunned.push(kept.interpreter.clone());
            }
            keep
        });
        drop(scripts);
        drop(shunned);
    }
}

/// Makes the registry of this process and starts to fill its pool.
pub(crate) fn start(library: Library, main: Core, warm: usize) -> std::io::Result<&'static Registry> {
    let main = Arc::new(main);
    let owner = Arc::new(Interpreter::new(main.clone()));
    let registry = REGISTRY.get_or_init(|| Registry {
        library,
        all: Mutex::new(BTreeMap::from([(0, Listed { core: main, owners: Arc::downgrade(&owner) })])),
        main: owner,
        warm: Mutex::new(VecDeque::new()),
        target: AtomicUsize::new(warm),
        refill: Condvar::new(),
        scripts: Mutex::new(HashMap::new()),
        next_id: AtomicU64::new(1),
        created: AtomicU64::new(0),
        closed: AtomicBool::new(false),
    });
    thread::Builder::new().name("py-warm".into()).stack_size(super::STACK_SIZE).spawn(|| registry.keep_warm())?;
    Ok(registry)
}

impl Registry {
    /// An interpreter for a call.
    ///
    /// # Errors
    /// One line, when none can be created.
    pub fn acquire(&self, want: &Want) -> Result<Arc<Interpreter>, String> {
        if self.closed.load(Ordering::Acquire) {
            return Err("the server is shutting down".to_owned());
        }
        match (want.isolation, want.scope) {
            (Isolation::Shared, _) => Ok(self.main.clone()),
            (Isolation::Subinterpreter, Scope::Call | Scope::Library) => {
                let interpreter = self.unused()?;
                interpreter.core().set_scope(want.scope);
                Ok(interpreter)
            }
            (Isolation::Subinterpreter, Scope::Script(sha)) => self.of_script(sha),
        }
    }

    /// One that nobody has used before.
    fn unused(&self) -> Result<Arc<Interpreter>, String> {
        let ready = {
            let mut warm = lock(&self.warm);
            let ready = warm.pop_front();
            if warm.len() < self.target.load(Ordering::Relaxed) {
                self.refill.notify_one();
            }
            ready
        };
        let interpreter = match ready {
            Some(interpreter) => interpreter,
            None => {
                super::reaper::catch_up();
                self.create(State::InUse)?
            }
        };
        interpreter.core().set_state(State::InUse);
        Ok(interpreter)
    }

    fn of_script(&self, sha: [u8; 20]) -> Result<Arc<Interpreter>, String> {
        let find = || {
            lock(&self.scripts).get_mut(&sha).map(|kept| {
                kept.used = Instant::now();
                kept.interpreter.clone()
            })
        };
        if let Some(interpreter) = find() {
            return Ok(interpreter);
        }
        let interpreter = self.unused()?;
        interpreter.core().set_scope(Scope::Script(sha));
        let mut evicted = None;
        let interpreter = {
            let mut scripts = lock(&self.scripts);
            // Another call of the same script may have been faster; then this interpreter just ends.
            if let Some(kept) = scripts.get_mut(&sha) {
                kept.used = Instant::now();
                evicted = Some(interpreter);
                kept.interpreter.clone()
            } else {
                if scripts.len() >= MAX_KEPT {
                    let oldest = scripts
                        .iter()
                        .filter(|(_, kept)| Arc::strong_count(&kept.interpreter) == 1)
                        .min_by_key(|(_, kept)| kept.used)
                        .map(|(sha, _)| *sha);
                    evicted = oldest.and_then(|sha| scripts.remove(&sha)).map(|kept| kept.interpreter);
                }
                scripts.insert(sha, Kept { interpreter: interpreter.clone(), used: Instant::now() });
                interpreter
            }
        };
        drop(evicted);
        Ok(interpreter)
    }

    fn create(&self, state: State) -> Result<Arc<Interpreter>, String> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (handle, objects) = ffi::create_interpreter(&self.library, self.main.core().handle())?;
        let core = Arc::new(Core::new(id, Isolation::Subinterpreter, handle, objects, state));
        let interpreter = Arc::new(Interpreter::new(core.clone()));
        lock(&self.all).insert(id, Listed { core, owners: Arc::downgrade(&interpreter) });
        self.created.fetch_add(1, Ordering::Relaxed);
        Ok(interpreter)
    }

    /// Sets how many ready interpreters are kept.
    pub fn set_warm(&self, count: usize) {
        self.target.store(count, Ordering::Relaxed);
        let surplus: Vec<_> = {
            let mut warm = lock(&self.warm);
            let surplus = warm.len().saturating_sub(count);
            warm.drain(..surplus).collect()
        };
        drop(surplus);
        self.refill.notify_one();
    }

    fn keep_warm(&self) {
        if super::own_gil() {
            // With a shared GIL the others would wait for a thread that is not allowed to run.
            ffi::lower_priority();
        }
        loop {
            {
                let mut warm = lock(&self.warm);
                while warm.len() >= self.target.load(Ordering::Relaxed) || self.closed.load(Ordering::Acquire) {
                    let (after, waited) =
                        self.refill.wait_timeout(warm, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner);
                    warm = after;
                    if waited.timed_out() {
                        drop(warm);
                        self.drop_idle();
                        warm = lock(&self.warm);
                    }
                }
            }
            let start = Instant::now();
            match self.create(State::Warm) {
                Ok(interpreter) => {
                    let mut warm = lock(&self.warm);
                    if warm.len() < self.target.load(Ordering::Relaxed) {
                        warm.push_back(interpreter);
                    }
                    drop(warm);
                    thread::sleep(start.elapsed() * REST);
                }
                // Whoever needs one meets the same error and can report it; here it only matters not to spin.
                Err(_) => thread::sleep(Duration::from_secs(1)),
            }
        }
    }

    /// Gives up interpreters of scripts that have not been called for a while.
    fn drop_idle(&self) {
        let idle: Vec<Kept> = {
            let mut scripts = lock(&self.scripts);
            let old: Vec<_> = scripts
                .iter()
                .filter(|(_, kept)| kept.used.elapsed() > KEEP && Arc::strong_count(&kept.interpreter) == 1)
                .map(|(sha, _)| *sha)
                .collect();
            old.iter().filter_map(|sha| scripts.remove(sha)).collect()
        };
        drop(idle);
    }

    /// Every interpreter, the main one first.
    pub fn dump(&self) -> Vec<InterpreterInfo> {
        let kept: Vec<u64> = lock(&self.scripts).values().map(|kept| kept.interpreter.core().id).collect();
        let all = lock(&self.all);
        all.values()
            .map(|listed| {
                let mine = usize::from(kept.contains(&listed.core.id))
                    + usize::from(matches!(listed.core.state(), State::Warm))
                    + usize::from(listed.core.isolation == Isolation::Shared);
                let mut info = listed.core.info(listed.owners.strong_count().saturating_sub(mine));
                if info.state == State::InUse && info.owners == 0 && mine > 0 {
                    info.state = State::Idle;
                }
                info
            })
            .collect()
    }

    /// Totals.
    pub fn stats(&self) -> RegistryStats {
        let mut stats = RegistryStats {
            created: self.created.load(Ordering::Relaxed),
            ended: super::reaper::ended(),
            ..RegistryStats::default()
        };
        for info in self.dump() {
            stats.memory += info.memory;
            if info.isolation == Isolation::Shared {
                continue;
            }
            match info.state {
                State::Warm => stats.warm += 1,
                State::InUse => stats.in_use += 1,
                State::Idle => stats.idle += 1,
                State::Ending => stats.ending += 1,
                State::Stuck => stats.stuck += 1,
            }
        }
        stats
    }

    /// Gives up all interpreters that nobody owns and lets nobody have a new one; waits at most `limit` for them
    /// to end. CPython itself is never finalised: it aborts the process when an interpreter is left.
    /// Returns whether all have ended.
    pub fn shutdown(&self, limit: Duration) -> bool {
        let start = Instant::now();
        self.closed.store(true, Ordering::Release);
        let warm: Vec<_> = lock(&self.warm).drain(..).collect();
        let kept: Vec<_> = lock(&self.scripts).drain().collect();
        drop((warm, kept));
        while lock(&self.all).len() > 1 {
            if start.elapsed() >= limit {
                return false;
            }
            thread::sleep(Duration::from_millis(2));
        }
        true
    }
}
