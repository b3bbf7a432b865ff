//! Which streams does a StreamReader's registration follow, and when does it read them?
//!
//! Entries wait where they are, in the stream: what is kept here is only which streams have some. A registration reads
//! one stream at a time, in turns ([`turn`]): one that is new to it, one with a whole batch, one whose batch has waited
//! long enough. Everything that can be wrong here after a restart, a failover, a deletion is found out by looking.

mod group;
mod scan;
mod turn;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::durable;
use super::registration::{Mode, Registration, StreamTrigger};
use super::registrations::registrations;
use super::{moment, Trigger};
use crate::redis::{type_of, Alarm, Held, KeyEvent, KeyWatcher, ServerEvent};
use turn::Turn;

/// Whether a registration reads streams now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StreamStatus {
    /// It does.
    #[default]
    Ok,
    /// After a failure; it goes on by itself.
    WaitingForRetry,
    /// After a failure.
    Aborted,
    /// It was told to pause.
    Paused,
}

impl StreamStatus {
    /// The name in replies.
    pub fn name(self) -> &'static str {
        match self {
            StreamStatus::Ok => "OK",
            StreamStatus::WaitingForRetry => "WAITING_FOR_RETRY_ON_FAILURE",
            StreamStatus::Aborted => "ABORTED",
            StreamStatus::Paused => "PAUSED",
        }
    }
}

/// A database and a key of it.
type Name = (i32, Vec<u8>);

/// What a registration knows of its streams. A leaf lock guards it.
#[derive(Default)]
pub(super) struct Streams {
    known: HashMap<Name, Stream>,
    /// Those to be read, in this order.
    ready: VecDeque<Name>,
    /// When the batches that are not full yet are read all the same.
    timed: BTreeSet<(Instant, Name)>,
    /// Somebody reads.
    reading: bool,
    status: StreamStatus,
    /// Nothing is read until then.
    hold: Option<Instant>,
    /// All streams are to be looked at.
    all: bool,
    /// How many executions one turn may have; found out by how long they take.
    grain: usize,
}

#[derive(Default)]
struct Stream {
    /// The group is there and has nothing pending, and `waiting` is right.
    settled: bool,
    /// Entries that the group has not read yet.
    waiting: u64,
    /// Since when there are some.
    since: Option<Instant>,
    queued: bool,
}

/// What follows from a change.
enum Wake {
    /// The turn to read has been given to the caller, who starts it in this database.
    Start(i32),
    /// Somebody must look again then.
    At(Instant),
    Nothing,
}

fn streams(registration: &Registration) -> MutexGuard<'_, Streams> {
    registration.streams.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rings when a batch has waited long enough, and when a registration may go on.
static DUE: Alarm = Alarm::new(ring);

/// Events that may bring a whole stream to a key.
const BROUGHT: [&[u8]; 4] = [b"rename_to", b"restore", b"copy_to", b"move_to"];

/// What the server is to tell us, by itself: it does not tell a subscription of what happens inside its own callback, and
/// an entry may be added by the callback of a registration of keys.
pub(super) const WATCHER: KeyWatcher =
    KeyWatcher { wanted: || registrations().any_streams(), changed: on_event, misses: false };

fn on_event(held: &Held<'_>, event: &KeyEvent<'_>) {
    for registration in registrations().streams().iter() {
        match &registration.trigger {
            Trigger::Stream(trigger) if registration.trigger.wants_key(event.key) => {
                // The primary's registrations do it.
                if held.is_replica() || held.is_loading() {
                    return;
                }
                changed(held, registration, trigger, event);
            }
            _ => {}
        }
    }
}

/// Something happened to a key that the registration is about.
fn changed(held: &Held<'_>, registration: &Arc<Registration>, trigger: &StreamTrigger, event: &KeyEvent<'_>) {
    let name = (event.db, event.key.to_vec());
    let arrived = event.name == b"xadd";
    let is_known = || streams(registration).known.contains_key(&name);
    // Other changes of a stream by name (xtrim, ...) bring nothing; any other event may be the end of one.
    let look = || {
        !event.name.starts_with(b"x")
            && (is_known() || (BROUGHT.contains(&event.name) && type_of(held, event.key) == b"stream"))
    };
    if arrived || look() {
        let wake = streams(registration).note(name, arrived, trigger);
        act(held, registration, wake, true);
    }
}

/// Looks at a stream that a scan has found.
fn found(held: &Held<'_>, registration: &Arc<Registration>, trigger: &StreamTrigger, name: Name) {
    let wake = streams(registration).note(name, false, trigger);
    act(held, registration, wake, false);
}

fn act(held: &Held<'_>, registration: &Arc<Registration>, wake: Wake, in_notification: bool) {
    match wake {
        Wake::Nothing => {}
        Wake::At(at) => DUE.set(held, at),
        Wake::Start(db) => {
            let turn = Turn::new(registration);
            if registration.mode != Mode::Sync {
                turn.submit(db);
            } else if in_notification {
                moment::after_event(held, move |held| turn.at_once(held));
            } else {
                turn.at_once(held);
            }
        }
    }
}

fn ring(held: &Held<'_>) {
    for registration in registrations().streams().iter() {
        if let Trigger::Stream(trigger) = &registration.trigger {
            let wake = streams(registration).look_again(trigger, Instant::now());
            act(held, registration, wake, false);
        }
    }
}

/// Registrations have come into force: they begin with what is there.
pub(super) fn begin(held: &Held<'_>, new: &[Arc<Registration>]) {
    if !held.is_replica() && !held.is_loading() {
        scan::look_for(new);
    }
}

/// Follows what happens to the whole data set.
pub(super) fn on_server_event(held: &Held<'_>, event: ServerEvent) {
    let everything = match event {
        ServerEvent::Loaded | ServerEvent::BecamePrimary | ServerEvent::Swapped(..) => true,
        ServerEvent::Flushed(_) => false,
        _ => return,
    };
    let all = registrations().streams();
    for registration in all.iter() {
        streams(registration).forget(if let ServerEvent::Flushed(db) = event { db } else { None });
    }
    if everything {
        begin(held, &all);
    }
}

/// A registration has gone out of force, for good: what it leaves in the streams is removed, unless another one has
/// taken it over.
pub(super) fn retired(registration: &Arc<Registration>) {
    let idle = !streams(registration).reading;
    if idle {
        scan::leave_groups(registration);
    }
}

/// Pauses a registration of streams, or lets it go on.
pub fn pause(held: &Held<'_>, registration: &Arc<Registration>, paused: bool) {
    let Trigger::Stream(trigger) = &registration.trigger else { return };
    let wake = {
        let mut streams = streams(registration);
        streams.hold = None;
        if paused {
            streams.status = StreamStatus::Paused;
            Wake::Nothing
        } else {
            streams.go_on();
            streams.look_again(trigger, Instant::now())
        }
    };
    durable::turned(held, registration);
    act(held, registration, wake, false);
}

/// Gives a registration the state that the data set says: what is halted stays so, anything else goes on.
pub(super) fn resume_as(registration: &Registration, halted: Option<StreamStatus>) {
    let mut streams = streams(registration);
    match halted {
        Some(status) => (streams.status, streams.hold) = (status, None),
        None if matches!(streams.status, StreamStatus::Paused | StreamStatus::Aborted) => streams.go_on(),
        None => {}
    }
}

impl Registration {
    /// Whether it reads streams now.
    pub fn stream_status(&self) -> StreamStatus {
        streams(self).status
    }
}

impl Streams {
    fn may_read(&self) -> bool {
        self.status == StreamStatus::Ok && self.hold.is_none_or(|until| until <= Instant::now())
    }

    /// After a pause, whatever it was for.
    fn go_on(&mut self) {
        self.status = StreamStatus::Ok;
        self.hold = None;
        self.all = true;
    }

    /// An entry has arrived, or the stream must be looked at.
    fn note(&mut self, name: Name, arrived: bool, trigger: &StreamTrigger) -> Wake {
        let stream = self.known.entry(name.clone()).or_default();
        stream.since.get_or_insert_with(Instant::now);
        if arrived {
            stream.waiting = stream.waiting.saturating_add(1);
        } else {
            stream.settled = false;
        }
        self.call(name, trigger)
    }

    /// Puts a stream among the ready ones if it is.
    fn call(&mut self, name: Name, trigger: &StreamTrigger) -> Wake {
        let may_read = self.may_read();
        let Some(stream) = self.known.get_mut(&name).filter(|stream| may_read && !stream.queued) else {
            return Wake::Nothing;
        };
        match stream.ready_at(trigger) {
            Some(at) if at <= Instant::now() => {
                stream.queued = true;
                self.ready.push_back(name);
                self.start()
            }
            Some(at) => {
                self.timed.insert((at, name));
                Wake::At(at)
            }
            None => Wake::Nothing,
        }
    }

    /// Gives the turn to read to the caller, if nobody has it and there is something to read.
    fn start(&mut self) -> Wake {
        match self.ready.front() {
            Some((db, _)) if !self.reading && self.may_read() => {
                self.reading = true;
                Wake::Start(*db)
            }
            _ => Wake::Nothing,
        }
    }

    /// Time has passed.
    fn look_again(&mut self, trigger: &StreamTrigger, now: Instant) -> Wake {
        if let Some(until) = self.hold.filter(|until| *until > now) {
            return Wake::At(until);
        }
        if self.hold.take().is_some() && self.status == StreamStatus::WaitingForRetry {
            self.go_on();
        }
        if std::mem::take(&mut self.all) {
            self.call_all();
        }
        while self.timed.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, name)) = self.timed.pop_first() {
                if let Wake::Start(db) = self.call(name, trigger) {
                    return Wake::Start(db);
                }
            }
        }
        match self.start() {
            Wake::Nothing => self.timed.first().map_or(Wake::Nothing, |(at, _)| Wake::At(*at)),
            wake => wake,
        }
    }

    fn call_all(&mut self) {
        for (name, stream) in &mut self.known {
            stream.settled = false;
            if !std::mem::replace(&mut stream.queued, true) {
                self.ready.push_back(name.clone());
            }
        }
    }

    /// The streams of a database, or all of them, are not what they were.
    fn forget(&mut self, db: Option<i32>) {
        let gone = |name: &Name| db.is_none_or(|db| db == name.0);
        self.known.retain(|name, _| !gone(name));
        self.ready.retain(|name| !gone(name));
        self.timed.retain(|(_, name)| !gone(name));
    }
}

impl Stream {
    /// When it is to be read, as far as is known now.
    fn ready_at(&self, trigger: &StreamTrigger) -> Option<Instant> {
        if !self.settled || self.waiting >= trigger.batch as u64 {
            return Some(self.since.unwrap_or_else(Instant::now));
        }
        let wait = trigger.duration.filter(|_| self.waiting > 0)?;
        self.since?.checked_add(wait)
    }
}

/// How long after a failure, at the latest, if the script gave a number beyond all clocks.
const LONGEST_HOLD: Duration = Duration::from_secs(365 * 24 * 3600);
