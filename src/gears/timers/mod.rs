//! When is a script's timer due, and what makes it go on or end?
//!
//! `registerTE(seconds, callback)` makes a timer in memory, with a key one that is a key of the data set ([`key`]). What is
//! there is in a table ([`table`]), which follows the keys: a key is a timer, whatever name and database it gets. An alarm
//! rings when one is due; its call runs on a Python worker ([`call`]) and it is due again a period after that. Nothing is
//! due on a replica.
//!
//! What a key holds is the script. It is run again for its timers, once for all of them, where they are not those of a
//! session that is alive: after a restart, and when a replica becomes a primary.

mod call;
mod key;
mod life;
mod table;

pub use life::abort;
pub(super) use life::{begin, check, is_free, may_start, restored, start, wanted};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

use super::durable::{self, Page};
use super::{sessions, Session};
use crate::python::host::Options;
use crate::python::Plan;
use crate::redis::{self, Alarm, Expiry, Found, Held, KeyEvent, KeyType, KeyWatcher, Level, Loader, Name, ServerEvent};
use key::TimerKey;
use table::{Live, Place, Table, Timer};

/// What starts the executions of a timer, in the place of a reader's name.
const READER: &str = "TimeEvent";

/// How long to wait for a data set that is being loaded, or for scripts that are run again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The timers. They change under the server's lock only.
static TIMERS: Lazy<Mutex<Table>> = Lazy::new(Mutex::default);
/// Those of a file that is being loaded.
static LOADING: Lazy<Mutex<Table>> = Lazy::new(Mutex::default);
/// Whether there may be some in either: asked for every write.
static ANY: AtomicBool = AtomicBool::new(false);
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Rings when there is something to do.
static ALARM: Alarm = Alarm::new(tick);

fn timers() -> MutexGuard<'static, Table> {
    TIMERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The table that the server's commands change now. Nobody keeps it while calling the server, which may call back, nor
/// while dropping a timer.
fn current(held: &Held<'_>) -> MutexGuard<'static, Table> {
    if held.is_loading() {
        LOADING.lock().unwrap_or_else(PoisonError::into_inner)
    } else {
        timers()
    }
}

/// How many timers there are.
pub fn count() -> usize {
    timers().len()
}

/// Registers the type of keys, and listens to what happens to them.
pub(super) fn register(loader: &Loader) -> Result<(), String> {
    loader.data_type::<TimerKey>()?;
    loader.watch_keys(WATCHER)?;
    redis::observe(on_server_event);
    Ok(())
}

/// Whether a plan is what a timer calls.
pub(super) fn is_timer(plan: &Plan) -> bool {
    plan.info.reader == READER
}

/// The key that `registerTE()` was given.
pub(super) fn key_of(options: &Options) -> Option<Vec<u8>> {
    options.texts("key").and_then(|mut keys| keys.pop())
}

fn period_of(options: &Options) -> Duration {
    Duration::from_millis(options.number("millis").unsigned_abs().max(1))
}

/// Gives a timer its number, and has it looked at soon.
fn add(held: &Held<'_>, timer: Timer) -> u64 {
    let serial = NEXT.fetch_add(1, Ordering::Relaxed);
    current(held).add(serial, timer);
    ANY.store(true, Ordering::Relaxed);
    ALARM.set(held, Instant::now());
    serial
}

/// A timer's key has come into the data set: loaded, replicated or copied.
fn arrived(held: &Held<'_>, name: Name, value: &TimerKey) {
    let script = Some((Arc::clone(&value.page), value.ordinal));
    let timer = Timer::new(Place::Key(name), value.period, script, None);
    value.serial.set(add(held, timer));
}

/// A timer's key goes, or gets another name.
fn leaves(held: &Held<'_>, name: &Name, serial: u64) {
    if current(held).leaves(name, serial) {
        ALARM.set(held, Instant::now());
    }
}

/// Keys that get another name are told of in no other way.
const WATCHER: KeyWatcher = KeyWatcher { wanted: || ANY.load(Ordering::Relaxed), changed: on_key_event, misses: false };

fn on_key_event(held: &Held<'_>, event: &KeyEvent<'_>) {
    if matches!(event.name, b"rename_to" | b"move_to") {
        if let Found::Value(value) = redis::get::<TimerKey>(held, event.db, event.key) {
            current(held).renamed(value.serial.get(), Name { db: event.db, key: event.key.to_vec() });
        }
    }
}

/// A primary, or the AOF, has told of a timer's key.
///
/// # Errors
/// What is wrong with it.
pub fn learn(held: &Held<'_>, key: &[u8], bytes: &[u8], expiry: i64) -> Result<(), String> {
    let value = TimerKey::decode(bytes, TimerKey::VERSION);
    let value = value.ok_or("ERR this is not a timer as this version writes it")?;
    let db = held.db();
    value.arrived(held, db, key);
    if redis::put(held, db, key, value, Expiry::from_code(expiry), None) {
        Ok(())
    } else {
        Err("WRONGTYPE Operation against a key holding the wrong kind of value".to_owned())
    }
}

fn on_server_event(held: &Held<'_>, event: ServerEvent) {
    match event {
        ServerEvent::Flushed(db) => current(held).flush(db),
        ServerEvent::Swapped(a, b) => current(held).swap(a, b),
        ServerEvent::Loaded => {
            let loaded = std::mem::take(&mut *LOADING.lock().unwrap_or_else(PoisonError::into_inner));
            timers().replace(loaded);
        }
        ServerEvent::NotLoaded => {
            let loaded = std::mem::take(&mut *LOADING.lock().unwrap_or_else(PoisonError::into_inner));
            drop(loaded);
        }
        ServerEvent::BecamePrimary => promoted(),
        ServerEvent::BecameReplica | ServerEvent::ClientGone(_) | ServerEvent::Forked => return,
    }
    ALARM.set(held, Instant::now());
}

/// From now on timers are due here: all are looked at, and their periods begin.
fn promoted() {
    let mut table = timers();
    let all: Vec<(u64, Option<Duration>)> = table
        .iter()
        .map(|(serial, timer)| {
            timer.asked = false;
            (serial, timer.live.as_ref().filter(|_| timer.call.is_none()).map(|_| timer.period))
        })
        .collect();
    for (serial, period) in all {
        table.look_again(serial);
        if let Some(period) = period {
            table.arm(serial, Instant::now() + period);
        }
    }
}

/// Does what has come up.
fn tick(held: &Held<'_>) {
    if held.is_loading() {
        return ALARM.set(held, Instant::now() + LOOK_AGAIN);
    }
    drop(take_lost());
    if held.is_replica() {
        return;
    }
    find_scripts(held);
    let due = timers().take_due(Instant::now());
    for serial in due {
        if is_there(held, serial) {
            call::begin(serial);
        }
    }
    let next = timers().next_due();
    if let Some(at) = next {
        ALARM.set(held, at);
    }
}

/// Takes those out whose keys have gone for good.
fn take_lost() -> Vec<Timer> {
    let mut table = timers();
    let mut lost = Vec::new();
    for serial in table.take_fresh() {
        match table.get(serial).map(|timer| timer.place == Place::Lost) {
            Some(true) => lost.extend(table.remove(serial)),
            // Looked at where a primary looks for its script.
            Some(false) => table.look_again(serial),
            None => {}
        }
    }
    ANY.store(table.len() > 0, Ordering::Relaxed);
    lost
}

/// Whether a timer's key is there: its time may be over, of which nobody has told.
fn is_there(held: &Held<'_>, serial: u64) -> bool {
    let name = {
        let mut table = timers();
        let Some(timer) = table.get(serial) else { return false };
        match &timer.place {
            Place::Memory(_) => return true,
            Place::Key(name) => name.clone(),
            Place::Lost => return false,
        }
    };
    let found = redis::get::<TimerKey>(held, name.db, &name.key);
    let there = matches!(found, Found::Value(value) if value.serial.get() == serial);
    if !there {
        let gone = timers().remove(serial);
        drop(gone);
    }
    there
}

/// Finds the scripts of timers that have come: they are alive, or are run again.
fn find_scripts(held: &Held<'_>) {
    let fresh = timers().take_fresh();
    // What is being run again may be what they wait for.
    let underway = durable::underway().is_some_and(|underway| underway.goes_on());
    let mut asked: BTreeMap<String, Arc<Page>> = BTreeMap::new();
    let mut later = Vec::new();
    for serial in fresh {
        let script = timers().get(serial).filter(|timer| timer.live.is_none()).and_then(|timer| timer.script.clone());
        let Some((page, ordinal)) = script else { continue };
        let session = sessions().in_place(&page.session);
        let plan = session.as_ref().filter(|session| session.origin == page.origin).and_then(|one| one.timer(ordinal));
        match (session, plan) {
            (Some(session), Some(plan)) => attach(held, serial, Live { session, plan }),
            _ if underway => later.push(serial),
            (None, _) if first_time(serial) => drop(asked.insert(page.session.clone(), page)),
            (None, _) => {}
            (Some(_), None) => {
                let text = format!("Interlock: a timer is not called: session {} has another script", page.session);
                redis::log(Level::Warning, &text);
            }
        }
    }
    asked.into_values().for_each(|page| durable::remake(held, &page));
    if !later.is_empty() {
        let mut table = timers();
        later.into_iter().for_each(|serial| table.look_again(serial));
        drop(table);
        ALARM.set(held, Instant::now() + LOOK_AGAIN);
    }
}

/// Whether a timer's script is asked for the first time since the data set was loaded, or this became a primary.
fn first_time(serial: u64) -> bool {
    timers().get(serial).is_some_and(|timer| !std::mem::replace(&mut timer.asked, true))
}

/// A timer has its script: its period begins.
fn attach(held: &Held<'_>, serial: u64, live: Live) {
    let mut table = timers();
    let Some(timer) = table.get(serial) else { return };
    timer.live = Some(live);
    // Otherwise the end of the call that goes on, one of the same timer before, does it.
    if timer.call.is_none() {
        let at = Instant::now() + timer.period;
        table.arm(serial, at);
        drop(table);
        ALARM.set(held, at);
    }
}

/// What the script of a session calls, as a timer of it does.
fn live(session: &Arc<Session>, plan: Plan) -> Live {
    Live { session: Arc::clone(session), plan: Arc::new(plan) }
}
