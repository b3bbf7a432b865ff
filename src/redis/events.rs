//! What does the server tell the module? All server events, subscribed in one place (the server keeps
//! one subscriber to each event and module).

use std::os::raw::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::OnceCell;
use redis_module::raw;

use super::entry::guarded;
use super::{api, blocked, brief, contend, dispatch, errand, lock, log, Held, Level};

/// What the module does when the server shuts down, after its jobs were stopped. Runs on the main thread.
pub type Shutdown = fn();

/// What happened to the server or its data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerEvent {
    /// The connection of this number has ended.
    ClientGone(u64),
    /// A database (`None`: all) was emptied.
    Flushed(Option<i32>),
    /// Two databases changed places.
    Swapped(i32, i32),
    /// The data set was loaded.
    Loaded,
    /// Loading it has failed: what came so far is not the data set.
    NotLoaded,
    /// The server has become a primary.
    BecamePrimary,
    /// The server has become a replica.
    BecameReplica,
    /// A child that saves the data set has begun.
    Forked,
}

/// Whom to tell of events. They run under the lock inside the server's own work, so they must not
/// touch the keyspace: what they want to do there waits for an [`super::Alarm`].
type Observer = fn(&Held<'_>, ServerEvent);

static OBSERVERS: Mutex<Vec<Observer>> = Mutex::new(Vec::new());

/// Tells `observer` of every event from now on.
pub fn observe(observer: Observer) {
    OBSERVERS.lock().unwrap_or_else(PoisonError::into_inner).push(observer);
}

static SHUTDOWN: OnceCell<Shutdown> = OnceCell::new();

/// How long SHUTDOWN waits for jobs that were told to stop. A C loop in a script may not hear it.
const SHUTDOWN_LIMIT: Duration = Duration::from_millis(500);

/// How often the main thread's wait for the lock is sampled while workers take slices.
const PROBE_EVERY: Duration = Duration::from_millis(5);

/// Subscribes to everything, and starts the probe.
///
/// # Errors
/// The event that the server does not offer.
///
/// # Safety
/// `ctx` is the context of the load callback.
pub(super) unsafe fn subscribe(ctx: *mut raw::RedisModuleCtx, shutdown: Shutdown) -> Result<(), String> {
    let _ = SHUTDOWN.set(shutdown);
    let events: [(&str, u64, u64, raw::RedisModuleEventCallback); 8] = [
        ("event loop", raw::REDISMODULE_EVENT_EVENTLOOP, 1, Some(on_event_loop)),
        ("shutdown", raw::REDISMODULE_EVENT_SHUTDOWN, 1, Some(on_shutdown)),
        ("client", raw::REDISMODULE_EVENT_CLIENT_CHANGE, 1, Some(on_change)),
        ("flush", raw::REDISMODULE_EVENT_FLUSHDB, 1, Some(on_change)),
        ("swap", raw::REDISMODULE_EVENT_SWAPDB, 1, Some(on_change)),
        ("loading", raw::REDISMODULE_EVENT_LOADING, 1, Some(on_change)),
        ("fork", raw::REDISMODULE_EVENT_FORK_CHILD, 1, Some(on_change)),
        ("role", raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED, 1, Some(on_change)),
    ];
    for (name, id, version, callback) in events {
        let event = raw::RedisModuleEvent { id, dataver: version };
        // SAFETY: the caller's promise.
        if unsafe { api!(RedisModule_SubscribeToServerEvent(ctx, event, callback)) } != raw::REDISMODULE_OK as c_int {
            return Err(format!("the server has no {name} event: Redis 7.0 or Valkey 8 is needed"));
        }
    }
    std::thread::Builder::new()
        .name("il-probe".to_owned())
        .stack_size(128 << 10)
        .spawn(probe)
        .map_err(|error| format!("can't start a thread: {error}"))?;
    Ok(())
}

unsafe extern "C" fn on_event_loop(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    subevent: u64,
    _data: *mut c_void,
) {
    match subevent {
        raw::REDISMODULE_SUBEVENT_EVENTLOOP_AFTER_SLEEP => {
            errand::round_begins();
            lock::main_entered();
        }
        raw::REDISMODULE_SUBEVENT_EVENTLOOP_BEFORE_SLEEP => {
            brief::round_ends();
            guarded(errand::round_ends);
            guarded(blocked::deliver);
            contend::main_leaves();
        }
        _ => {}
    }
}

unsafe extern "C" fn on_shutdown(
    _ctx: *mut raw::RedisModuleCtx,
    _event: raw::RedisModuleEvent,
    _subevent: u64,
    _data: *mut c_void,
) {
    guarded(|| {
        dispatch::stop_everything();
        if let Some(shutdown) = SHUTDOWN.get() {
            shutdown();
        }
        // Jobs that wait for the lock will wait until the process ends: it can't be given up inside
        // a command, and SHUTDOWN is one.
        if !dispatch::drain(SHUTDOWN_LIMIT) {
            log(Level::Warning, "Interlock: a job did not stop in time, the server shuts down without it");
        }
    });
}

/// An event that observers may want.
unsafe extern "C" fn on_change(
    ctx: *mut raw::RedisModuleCtx,
    event: raw::RedisModuleEvent,
    subevent: u64,
    data: *mut c_void,
) {
    guarded(|| {
        // SAFETY: the server's own data for this event, valid during the callback.
        let Some(event) = (unsafe { read_event(event.id, subevent, data) }) else {
            return;
        };
        // SAFETY: the lock is held during the callback, and its context valid.
        let held = unsafe { Held::new(ctx) };
        let observers = OBSERVERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        observers.iter().for_each(|observer| observer(&held, event));
    });
}

/// # Safety
/// `data` is what the server gave with the event.
unsafe fn read_event(id: u64, subevent: u64, data: *const c_void) -> Option<ServerEvent> {
    // SAFETY: the server's structs for these events (their first version, which is asked for).
    unsafe {
        match (id, subevent) {
            (raw::REDISMODULE_EVENT_CLIENT_CHANGE, raw::REDISMODULE_SUBEVENT_CLIENT_CHANGE_DISCONNECTED) => {
                Some(ServerEvent::ClientGone((*data.cast::<raw::RedisModuleClientInfo>()).id))
            }
            (raw::REDISMODULE_EVENT_FLUSHDB, raw::REDISMODULE_SUBEVENT_FLUSHDB_END) => {
                let db = (*data.cast::<raw::RedisModuleFlushInfo>()).dbnum;
                Some(ServerEvent::Flushed((db >= 0).then_some(db)))
            }
            (raw::REDISMODULE_EVENT_SWAPDB, _) => {
                let swap = &*data.cast::<raw::RedisModuleSwapDbInfo>();
                Some(ServerEvent::Swapped(swap.dbnum_first, swap.dbnum_second))
            }
            (raw::REDISMODULE_EVENT_LOADING, raw::REDISMODULE_SUBEVENT_LOADING_ENDED) => Some(ServerEvent::Loaded),
            (raw::REDISMODULE_EVENT_LOADING, raw::REDISMODULE_SUBEVENT_LOADING_FAILED) => Some(ServerEvent::NotLoaded),
            (raw::REDISMODULE_EVENT_FORK_CHILD, raw::REDISMODULE_SUBEVENT_FORK_CHILD_BORN) => Some(ServerEvent::Forked),
            (raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED, role) => {
                let primary = role == raw::REDISMODULE_EVENT_REPLROLECHANGED_NOW_MASTER;
                Some(if primary { ServerEvent::BecamePrimary } else { ServerEvent::BecameReplica })
            }
            _ => None,
        }
    }
}

/// Makes the main thread begin a new round of its loop, if it sleeps. Any thread; never waits.
pub(super) fn wake_main_thread() {
    unsafe extern "C" fn nothing(_data: *mut c_void) {}
    // SAFETY: the server's list of one-shots has a lock of its own; there is no data.
    unsafe { api!(RedisModule_EventLoopAddOneShot(Some(nothing), std::ptr::null_mut())) };
}

/// Runs `work` on the main thread, under the lock, soon. Any thread; never waits.
pub fn on_main_thread(work: impl FnOnce() + Send + 'static) {
    type Work = Box<dyn FnOnce() + Send>;
    unsafe extern "C" fn run(data: *mut c_void) {
        // SAFETY: the box that was leaked below, once.
        let work = unsafe { Box::from_raw(data.cast::<Work>()) };
        guarded(*work);
    }
    let data = Box::into_raw(Box::new(Box::new(work) as Work));
    // SAFETY: the server's list of one-shots has a lock of its own; the box is taken back by `run`,
    // or here if the server refused it.
    unsafe {
        if api!(RedisModule_EventLoopAddOneShot(Some(run), data.cast())) != raw::REDISMODULE_OK as c_int {
            drop(Box::from_raw(data));
        }
    }
}

/// Samples how long an event waits until the main thread handles it, while workers take slices.
fn probe() {
    static PENDING: AtomicBool = AtomicBool::new(false);
    static SEEN: AtomicU64 = AtomicU64::new(0);
    loop {
        std::thread::sleep(PROBE_EVERY);
        let activity = lock::activity();
        if SEEN.swap(activity, Ordering::Relaxed) == activity || PENDING.swap(true, Ordering::AcqRel) {
            continue;
        }
        let asked = Instant::now();
        on_main_thread(move || {
            lock::record_main_wait(asked.elapsed());
            PENDING.store(false, Ordering::Release);
        });
    }
}

/// Logs panics with the place where they happened, before the unwinding reaches an entry point.
pub(super) fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| log(Level::Warning, &format!("Interlock: internal error (panic): {info}"))));
}
