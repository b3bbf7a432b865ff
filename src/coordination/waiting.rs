//! Who is waiting, and when is it their turn? The lines of blocked clients, and serving them.
//!
//! Everything here is reached under the server's lock. What may not touch the keyspace where it is heard
//! of (a key goes, a client has gone) is noted, and an alarm brings it up between two commands. A long
//! line is served in slices.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use once_cell::sync::Lazy;

use super::line::{Lines, Ticket};
use super::lock::{Lock, LockRequest, Session};
use super::once::OnceRequest;
use super::rule::{Met, Moment, Request};
use super::tokens::TOKENS;
use crate::redis::{self, Alarm, BlockedReply, Expiry, Found, Held, Name, ServerEvent};
use crate::reply::Reply;
use crate::settings;

/// What callers get where the key holds something else.
pub(super) const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
/// What those who wait get when the key's slot goes to another node.
const MOVED_AWAY: &str = "TRYAGAIN the key's slot is leaving this node, ask again";

/// How often a lease that somebody waits for is looked at, whatever the clock said before: the clock may be set.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long to wait for a data set that is being loaded.
const WHILE_LOADING: Duration = Duration::from_millis(100);

/// A client in a line.
pub(super) struct Waiter<R> {
    pub(super) request: R,
    pub(super) since: Instant,
    reply: BlockedReply,
}

/// What the service remembers besides the keys.
pub(super) struct State {
    locks: Lines<Waiter<LockRequest>>,
    onces: Lines<Waiter<OnceRequest>>,
    /// Names that are waited for and whose key may have changed.
    changed: BTreeSet<Name>,
    /// When names that are waited for are to be looked at.
    looks: BTreeSet<(Instant, Name)>,
    look_at: HashMap<Name, Instant>,
    /// Locks by the number of the connection whose end frees them.
    sessions: HashMap<u64, HashSet<Name>>,
    /// Locks that a session may have left behind.
    left_behind: BTreeSet<Name>,
    /// Locks of sessions with other server processes: over, once this server is a primary.
    strangers: HashSet<Name>,
}

static STATE: Lazy<Mutex<State>> = Lazy::new(|| {
    Mutex::new(State {
        locks: Lines::new(),
        onces: Lines::new(),
        changed: BTreeSet::new(),
        looks: BTreeSet::new(),
        look_at: HashMap::new(),
        sessions: HashMap::new(),
        left_behind: BTreeSet::new(),
        strangers: HashSet::new(),
    })
});

/// The state; nobody keeps it while calling the server, which may call back.
pub(super) fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

static ALARM: Alarm = Alarm::new(tick);

/// The number of this server process, never 0.
static PROCESS: Lazy<u64> = Lazy::new(|| std::hash::RandomState::new().build_hasher().finish().max(1));

/// The session of a connection with this process.
pub(super) fn session_of(client: u64) -> Session {
    Session { process: *PROCESS, client }
}

/// A request that can wait in a line of the state.
pub(super) trait Waits: Request {
    fn lines(state: &mut State) -> &mut Lines<Waiter<Self>>;

    /// Notes what a stored value needs besides its key.
    fn stored(_name: &Name, _value: &Self::Value) {}
}

impl Waits for LockRequest {
    fn lines(state: &mut State) -> &mut Lines<Waiter<Self>> {
        &mut state.locks
    }

    fn stored(name: &Name, lock: &Lock) {
        if let Some(session) = lock.session.filter(|session| session.process == *PROCESS) {
            state().sessions.entry(session.client).or_default().insert(name.clone());
        }
    }
}

impl Waits for OnceRequest {
    fn lines(state: &mut State) -> &mut Lines<Waiter<Self>> {
        &mut state.onces
    }
}

impl State {
    fn is_waited_for(&self, name: &Name) -> bool {
        self.locks.line(name).is_some() || self.onces.line(name).is_some()
    }

    fn all_changed(&mut self, in_db: impl Fn(i32) -> bool) {
        let names: Vec<Name> =
            self.locks.names().chain(self.onces.names()).filter(|name| in_db(name.db)).map(|n| (**n).clone()).collect();
        self.changed.extend(names);
    }

    /// Looks at a name at a time, and no more at the time that was set before.
    fn look(&mut self, name: &Name, at: Option<Instant>) {
        if let Some(before) = self.look_at.remove(name) {
            self.looks.remove(&(before, name.clone()));
        }
        if let Some(at) = at {
            self.look_at.insert(name.clone(), at);
            self.looks.insert((at, name.clone()));
        }
    }

    /// When there is something to do next.
    fn next_time(&self) -> Option<Instant> {
        let look = self.looks.first().map(|(at, _)| *at);
        [look, self.locks.next_deadline(), self.onces.next_deadline()].into_iter().flatten().min()
    }
}

/// Makes a moment for `work`: now, on this server.
pub(super) fn at_this_moment<T>(held: &Held<'_>, work: impl FnOnce(&Moment<'_>) -> T) -> T {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let replica = held.is_replica();
    // A replica can't know: its primary says when a session is over.
    let alive = |session: &Session| {
        replica || (session.process == *PROCESS && redis::client_info(held, session.client).is_some())
    };
    work(&Moment { now_micros: now.as_micros() as u64, tokens: &TOKENS, alive: &alive })
}

/// A key of one of our types goes; a lock with its session.
pub(super) fn key_leaves(held: &Held<'_>, db: i32, key: &[u8], session: Option<Session>) {
    let name = Name { db, key: key.to_vec() };
    let mut state = state();
    match session {
        Some(session) if session.process == *PROCESS => {
            if let Some(names) = state.sessions.get_mut(&session.client) {
                names.remove(&name);
                if names.is_empty() {
                    state.sessions.remove(&session.client);
                }
            }
        }
        Some(_) => drop(state.strangers.remove(&name)),
        None => {}
    }
    if state.is_waited_for(&name) {
        state.changed.insert(name);
        drop(state);
        ALARM.set(held, Instant::now());
    }
}

/// A lock of a session was loaded, replicated or copied.
pub(super) fn session_arrived(_held: &Held<'_>, db: i32, key: &[u8], session: Session) {
    let name = Name { db, key: key.to_vec() };
    let mut state = state();
    if session.process == *PROCESS {
        state.sessions.entry(session.client).or_default().insert(name);
    } else {
        state.strangers.insert(name);
    }
}

/// Something happened to the server.
pub(super) fn on_event(held: &Held<'_>, event: ServerEvent) {
    let mut state = state();
    match event {
        ServerEvent::ClientGone(id) => {
            let Some(names) = state.sessions.remove(&id) else { return };
            state.left_behind.extend(names);
        }
        ServerEvent::Flushed(db) => {
            let flushed = |of: i32| db.is_none_or(|db| db == of);
            state.all_changed(flushed);
            state.strangers.retain(|name| !flushed(name.db));
            state.sessions.values_mut().for_each(|names| names.retain(|name| !flushed(name.db)));
            state.sessions.retain(|_, names| !names.is_empty());
        }
        ServerEvent::Swapped(a, b) => {
            state.all_changed(|of| of == a || of == b);
            let swapped = |name: Name| name.swapped(a, b);
            for names in state.sessions.values_mut() {
                *names = std::mem::take(names).into_iter().map(swapped).collect();
            }
            state.strangers = std::mem::take(&mut state.strangers).into_iter().map(swapped).collect();
            state.left_behind = std::mem::take(&mut state.left_behind).into_iter().map(swapped).collect();
        }
        ServerEvent::Loaded | ServerEvent::BecamePrimary => state.all_changed(|_| true),
        ServerEvent::BecameReplica | ServerEvent::Forked | ServerEvent::NotLoaded => return,
    }
    drop(state);
    ALARM.set(held, Instant::now());
}

/// The alarm rings: does what has come up, for one slice.
fn tick(held: &Held<'_>) {
    let end = Instant::now() + Duration::from_micros(settings::SLICE_US.get().unsigned_abs());
    let done = if held.is_loading() {
        ALARM.set(held, Instant::now() + WHILE_LOADING);
        return;
    } else {
        work_until(held, end)
    };
    if !done {
        ALARM.set(held, Instant::now());
    } else if let Some(at) = { state().next_time() } {
        ALARM.set(held, at);
    }
}

/// Whether everything was done before the time was over.
fn work_until(held: &Held<'_>, end: Instant) -> bool {
    let replica = held.is_replica();
    loop {
        let now = Instant::now();
        let progress = time_out::<LockRequest>(now)
            || time_out::<OnceRequest>(now)
            || free_left_behind(held, replica)
            || serve_changed(held, now, end);
        if !progress {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
    }
}

/// Answers somebody whose wait is over.
fn time_out<R: Waits>(now: Instant) -> bool {
    let mut state = state();
    let lines = R::lines(&mut state);
    let waiter = lines.overdue(now).and_then(|ticket| lines.leave(ticket));
    drop(state);
    waiter.map(|waiter| waiter.reply.finish_surely(Reply::Null)).is_some()
}

/// Frees a lock whose session is over. The key may be another lock by now: it is judged as it is.
fn free_left_behind(held: &Held<'_>, replica: bool) -> bool {
    let mut state = state();
    let name = match state.left_behind.pop_first() {
        Some(name) => name,
        None if replica => return false,
        None => {
            let Some(name) = state.strangers.iter().next().cloned() else { return false };
            state.strangers.remove(&name);
            name
        }
    };
    drop(state);
    if let Found::Value(lock) = redis::get::<Lock>(held, name.db, &name.key) {
        if at_this_moment(held, |moment| LockRequest::standing(lock, moment)).is_none() {
            redis::delete(held, name.db, &name.key);
        }
    }
    true
}

/// Judges those anew who wait for a name that may have changed.
fn serve_changed(held: &Held<'_>, now: Instant, end: Instant) -> bool {
    let mut state = state();
    while let Some((_, name)) = state.looks.first().filter(|(at, _)| *at <= now).cloned() {
        state.look(&name, None);
        state.changed.insert(name);
    }
    let Some(name) = state.changed.pop_first() else { return false };
    drop(state);
    let serves = redis::serves(held, name.db, &name.key);
    let done = if serves {
        serve::<LockRequest>(held, &name, end) & serve::<OnceRequest>(held, &name, end)
    } else {
        refuse::<LockRequest>(&name, MOVED_AWAY, end) & refuse::<OnceRequest>(&name, MOVED_AWAY, end)
    };
    if !done {
        self::state().changed.insert(name);
    }
    true
}

/// Serves those of a line who can be served. Returns whether that was all of them.
pub(super) fn serve<R: Waits>(held: &Held<'_>, name: &Name, end: Instant) -> bool {
    if R::lines(&mut state()).line(name).is_none() {
        return true;
    }
    let found = redis::get::<R::Value>(held, name.db, &name.key);
    let mut value = match found {
        Found::Other => return refuse::<R>(name, WRONG_TYPE, end),
        Found::Missing => None,
        Found::Value(value) => at_this_moment(held, |moment| R::standing(value, moment)),
    };
    loop {
        let next = {
            let mut state = state();
            let lines = R::lines(&mut state);
            let next = lines.line(name).and_then(|line| R::next(value.as_ref(), line));
            next.and_then(|ticket| Some((ticket, lines.get(ticket)?.request.clone())))
        };
        let Some((ticket, request)) = next else { break };
        let answer = match at_this_moment(held, |moment| request.meet(value.as_ref(), moment)) {
            // It can be served, says the rule.
            Met::Waits => break,
            Met::Answered(answer) => answer,
            Met::Changed(answer, changed, expiry) => {
                store::<R>(held, name, changed.clone(), expiry);
                value = Some(changed);
                answer
            }
        };
        let waiter = R::lines(&mut state()).leave(ticket);
        if let Some(waiter) = waiter {
            waiter.reply.finish_surely(R::reply(answer));
        }
        if Instant::now() >= end {
            return false;
        }
    }
    if R::lines(&mut state()).line(name).is_some() {
        look_later::<R>(held, name, value.as_ref());
    }
    true
}

/// Answers all of a line with an error. Returns whether that was all of them.
fn refuse<R: Waits>(name: &Name, error: &str, end: Instant) -> bool {
    loop {
        let mut state = state();
        let lines = R::lines(&mut state);
        let first = lines.line(name).and_then(|line| line.first());
        let Some(waiter) = first.and_then(|ticket| lines.leave(ticket)) else { return true };
        drop(state);
        waiter.reply.finish_surely(Reply::error(error));
        if Instant::now() >= end {
            return false;
        }
    }
}

/// Makes sure that those who wait are looked at again when what is in the key ends.
fn look_later<R: Waits>(held: &Held<'_>, name: &Name, value: Option<&R::Value>) {
    // A key goes when the clock has passed its expiry.
    let expiry = redis::expiry(held, name.db, &name.key).map(|at| at.saturating_add(1));
    let ends = [expiry, value.and_then(R::ends)].into_iter().flatten().min();
    let at = ends.map(|at| {
        let left = at_this_moment(held, |moment| at.saturating_sub(moment.now()));
        Instant::now() + Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(LOOK_AGAIN)
    });
    state().look(name, at);
    if let Some(at) = at {
        ALARM.set(held, at);
    }
}

/// Stores a value, and replicates it.
pub(super) fn store<R: Waits>(held: &Held<'_>, name: &Name, value: R::Value, expiry: Expiry) -> bool {
    R::stored(name, &value);
    redis::put(held, name.db, &name.key, value, expiry, Some(R::EVENT))
}

/// What is in a key now, after those who waited before were served.
///
/// # Errors
/// The key holds a value of another type.
pub(super) fn current<R: Waits>(held: &Held<'_>, name: &Name) -> Result<Option<R::Value>, &'static str> {
    let read = || match redis::get::<R::Value>(held, name.db, &name.key) {
        Found::Other => Err(WRONG_TYPE),
        Found::Missing => Ok(None),
        Found::Value(value) => Ok(at_this_moment(held, |moment| R::standing(value, moment))),
    };
    let found = read()?;
    let served = {
        let mut state = state();
        let line = R::lines(&mut state).line(name);
        line.is_none_or(|line| R::next(found.as_ref(), line).is_none())
    };
    if served {
        return Ok(found);
    }
    // Whoever waited comes first; the rest of a long line, which is only told a result, comes later.
    let end = Instant::now() + Duration::from_micros(settings::SLICE_US.get().unsigned_abs());
    if !serve::<R>(held, name, end) {
        state().changed.insert(name.clone());
        ALARM.set(held, Instant::now());
    }
    read()
}

/// The key has changed by a command: serves those who wait for it.
pub(super) fn after_change<R: Waits>(held: &Held<'_>, name: &Name) {
    let end = Instant::now() + Duration::from_micros(settings::SLICE_US.get().unsigned_abs());
    if serve::<R>(held, name, end) {
        // Deleting the key has noted it; it has just been seen to.
        state().changed.remove(name);
    } else {
        state().changed.insert(name.clone());
        ALARM.set(held, Instant::now());
    }
}

/// Puts a blocked client at the end of a line.
pub(super) fn join<R: Waits>(name: Name, request: R, deadline: Option<Instant>, reply: BlockedReply) {
    let mut state = state();
    let lines = R::lines(&mut state);
    let ticket: Ticket = lines.next_ticket();
    reply.when_gone(move |_| {
        let waiter = R::lines(&mut self::state()).leave(ticket);
        if let Some(waiter) = waiter {
            waiter.reply.release();
        }
        Reply::Null
    });
    let kin = request.kin().to_vec();
    lines.join(name, &kin, deadline, Waiter { request, since: Instant::now(), reply });
}

/// Somebody is about to wait for a name: wakes up when it is over.
pub(super) fn expect<R: Waits>(held: &Held<'_>, name: &Name, value: Option<&R::Value>, deadline: Option<Instant>) {
    if let Some(at) = deadline {
        ALARM.set(held, at);
    }
    look_later::<R>(held, name, value);
}

/// The line of a name: how many wait, and the first of them as they are shown.
pub(super) fn shown<R: Waits, T>(name: &Name, limit: usize, show: impl Fn(&Waiter<R>) -> T) -> (usize, Vec<T>) {
    let mut state = state();
    let line = R::lines(&mut state).line(name);
    line.map_or((0, Vec::new()), |line| (line.len(), line.iter().take(limit).map(show).collect()))
}
