//! How is a stream read? In turns: some entries, their executions, then they are acknowledged.
//!
//! What was read and not acknowledged is pending in the group, and is read again before anything new: after a failure, a
//! restart, a failover. So every entry is worked off at least once, and never again after it was acknowledged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::durable;
use super::super::queue::{self, Came, Suspended, BATCH, BATCH_TIME};
use super::super::registration::{Mode, OnFailure, Registration, StreamTrigger};
use super::super::{Finished, Trigger};
use super::group::{self, Entry, From, Refused};
use super::{scan, streams, Name, Stream, StreamStatus, Wake, DUE, LONGEST_HOLD};
use crate::redis::{self, at_once, Held, Lane, Level, Pools};
use crate::reply::Reply;
use crate::sync::{CancelToken, Stop};

/// Entries that are read, or acknowledged, in one slice.
const PIECE: usize = 100;

/// How long a registration waits for the one whose place it has taken, at a time.
const PREDECESSOR: Duration = Duration::from_millis(5);

/// When a turn that has used up its time on the server's thread is followed by another one.
const BREATH: Duration = Duration::from_millis(1);

/// The right to read a registration's streams: there is one at a time.
pub(super) struct Turn {
    registration: Arc<Registration>,
    /// The streams say already who comes next.
    over: bool,
}

/// What a turn is about.
struct Task {
    name: Name,
    settled: bool,
    /// How many entries to read.
    count: usize,
    since: Instant,
}

/// Entries that were read, and whether the stream was forgotten.
struct Read {
    entries: Vec<Entry>,
    gone: bool,
}

/// What is to be done when an execution that waits for coroutines has ended.
struct Left {
    task: Task,
    /// Its entries.
    ids: Vec<Vec<u8>>,
    suspended: Suspended,
}

/// What came of entries that were read.
struct Outcome {
    verdict: Verdict,
    /// Nothing is pending now.
    all: bool,
    /// The execution that waits for coroutines, with its entries.
    waiting: Option<(Suspended, Vec<Vec<u8>>)>,
}

/// What a failure means for the registration.
#[derive(Clone, Copy)]
enum Verdict {
    GoOn,
    Stop(StreamStatus),
    /// The server shuts down: what failed, failed for that.
    Leave,
}

impl Turn {
    pub(super) fn new(registration: &Arc<Registration>) -> Self {
        Self { registration: Arc::clone(registration), over: false }
    }

    pub(super) fn submit(self, db: i32) {
        // A refusal drops the turn, which leaves the streams to the next event.
        let _ = redis::background(Pools::Python, db, CancelToken::new(), move |lane| match self.step(lane) {
            None => self.pass_on(lane),
            Some(left) => self.after(left),
        });
    }

    /// Reads under the lock that the caller holds, for a short while; the rest follows soon.
    pub(super) fn at_once(self, held: &Held<'_>) {
        let until = Instant::now() + BATCH_TIME;
        loop {
            let Some((db, _)) = streams(&self.registration).ready.front().cloned() else { break };
            let cancel = CancelToken::new();
            cancel.set_limit(self.registration.inline_limit());
            let ran = held.in_db(db, || at_once(held, cancel, |lane| self.step(lane)));
            let ran = match ran {
                Ok(Some(left)) => return self.after(left),
                ran => ran,
            };
            if ran.is_err() || Instant::now() >= until || !streams(&self.registration).may_read() {
                break;
            }
        }
        let registration = Arc::clone(&self.registration);
        match self.give_back() {
            Wake::Start(_) => {
                streams(&registration).reading = false;
                DUE.set(held, Instant::now() + BREATH);
            }
            Wake::At(at) => DUE.set(held, at),
            Wake::Nothing => {}
        }
    }

    /// Gives the turn to whoever comes next.
    fn pass_on(self, lane: &mut Lane) {
        let registration = Arc::clone(&self.registration);
        match self.give_back() {
            Wake::Start(_) if registration.mode == Mode::Sync => {
                streams(&registration).reading = false;
                set_alarm(lane, Instant::now());
            }
            Wake::Start(db) => Self::new(&registration).submit(db),
            Wake::At(at) => set_alarm(lane, at),
            Wake::Nothing => {}
        }
    }

    /// Goes on when an execution that waits for coroutines has ended.
    fn after(self, left: Left) {
        let Left { task, ids, suspended } = left;
        let registration = Arc::clone(&self.registration);
        suspended.then(&registration, true, move |_, finished, _| {
            let db = task.name.0;
            let Trigger::Stream(trigger) = &self.registration.trigger else { return };
            self.registration.count_batch(task.since.elapsed());
            let verdict = judge(trigger, finished, None);
            // Acknowledging takes the server's lock, which is not for this thread to wait for.
            let _ = redis::background(Pools::Python, db, CancelToken::new(), move |lane| {
                if let Trigger::Stream(trigger) = &self.registration.trigger {
                    if matches!(verdict, Verdict::GoOn) {
                        self.acknowledge(trigger, &task.name.1, &ids, lane);
                    }
                    // What was read with it is pending.
                    self.conclude(trigger, task, verdict, false, lane);
                }
                self.pass_on(lane);
            });
        });
    }

    /// Ends the turn, and says what follows.
    fn give_back(mut self) -> Wake {
        self.over = true;
        let registration = &self.registration;
        let Trigger::Stream(trigger) = &registration.trigger else { return Wake::Nothing };
        let mut streams = streams(registration);
        streams.reading = false;
        if registration.is_live() {
            return streams.look_again(trigger, Instant::now());
        }
        drop(streams);
        scan::leave_groups(registration);
        Wake::Nothing
    }

    /// Reads one stream once, and works off what it brought. Returns what is left to do when an execution that waits for
    /// coroutines has ended.
    fn step(&self, lane: &mut Lane) -> Option<Left> {
        let registration = &self.registration;
        let Trigger::Stream(trigger) = &registration.trigger else { return None };
        if registration.predecessor().is_some_and(|old| streams(&old).reading) {
            let until = Instant::now() + PREDECESSOR;
            let mut streams = streams(registration);
            (streams.hold, streams.all) = (Some(until), true);
            return None;
        }
        let task = self.take(trigger, lane.db())?;
        let Some(read) = self.read(&task, lane) else {
            // A replica now, or the server shuts down: what is to be done is found out when the role changes.
            streams(registration).forget(None);
            return None;
        };
        if read.gone {
            return None;
        }
        let Outcome { verdict, all, waiting } = self.work_off(trigger, &task, read.entries, lane);
        if let Some((suspended, ids)) = waiting {
            return Some(Left { task, ids, suspended });
        }
        self.conclude(trigger, task, verdict, all, lane);
        None
    }

    /// Notes what came of a task. `all` says that nothing is pending.
    fn conclude(&self, trigger: &StreamTrigger, task: Task, verdict: Verdict, all: bool, lane: &mut Lane) {
        let now = Instant::now();
        let wake = {
            let mut streams = streams(&self.registration);
            if let Verdict::Stop(status) = verdict {
                streams.status = status;
                // What is pending is read again, with all else, when it goes on.
                if status == StreamStatus::WaitingForRetry {
                    let after = trigger.retry_after.min(LONGEST_HOLD);
                    streams.hold = now.checked_add(after);
                }
            }
            if let Some(stream) = streams.known.get_mut(&task.name) {
                stream.settled &= all;
                stream.since = (!stream.settled || stream.waiting > 0).then_some(now);
            }
            match (verdict, streams.hold) {
                (Verdict::Leave, _) => Wake::Nothing,
                (Verdict::Stop(_), Some(at)) => Wake::At(at),
                // This turn goes on with it: there is no other.
                _ => streams.call(task.name, trigger),
            }
        };
        if let Wake::At(at) = wake {
            set_alarm(lane, at);
        }
        if matches!(verdict, Verdict::Stop(StreamStatus::Aborted | StreamStatus::Paused)) {
            // Where even this is stopped, the server shuts down.
            let _ = lane.afterwards(|lane| lane.errand(|slice| durable::turned(slice.held(), &self.registration)));
        }
    }

    /// The next stream to read in this database.
    fn take(&self, trigger: &StreamTrigger, db: i32) -> Option<Task> {
        let registration = &self.registration;
        let mut streams = streams(registration);
        if !registration.is_live() || !streams.may_read() {
            return None;
        }
        streams.ready.front().filter(|name| name.0 == db)?;
        let name = streams.ready.pop_front()?;
        let grain = streams.grain.clamp(1, self.most(trigger));
        let stream = streams.known.get_mut(&name)?;
        stream.queued = false;
        // It may have been found settled since it was called.
        if stream.ready_at(trigger).is_none_or(|at| at > Instant::now()) {
            streams.call(name, trigger);
            return None;
        }
        let whole = usize::try_from(stream.waiting).unwrap_or(usize::MAX) / trigger.batch;
        let count = match whole {
            _ if !stream.settled => trigger.batch * grain,
            0 => usize::try_from(stream.waiting).unwrap_or(usize::MAX),
            whole => trigger.batch * whole.min(grain),
        };
        Some(Task { name, settled: stream.settled, count, since: stream.since.unwrap_or_else(Instant::now) })
    }

    /// Executions that one turn may have at most.
    fn most(&self, trigger: &StreamTrigger) -> usize {
        let origin = &self.registration.session.origin;
        // A limit holds for each of them.
        let limited = origin.limit.is_some() || origin.max_memory.is_some();
        if limited {
            1
        } else {
            (BATCH / trigger.batch).max(1)
        }
    }

    /// Reads entries: what is pending if the stream is new to us, else what is new. `None` if nothing may be read here.
    fn read(&self, task: &Task, lane: &mut Lane) -> Option<Read> {
        let (registration, key) = (&self.registration, task.name.1.as_slice());
        let group = registration.group.as_bytes();
        if !task.settled {
            let waiting = lane.errand(|slice| {
                let held = slice.held();
                let here = !held.is_replica() && !held.is_loading();
                // Set under the server's lock: from here on events count.
                here.then(|| {
                    let waiting = group::join(held, key, group);
                    match waiting {
                        Some(waiting) => self.of(task, |stream| stream.waiting = waiting),
                        None => self.forget(task),
                    }
                    waiting
                })
            });
            if waiting.ok()??.is_none() {
                return Some(Read { entries: Vec::new(), gone: true });
            }
        }
        let mut entries: Vec<Entry> = Vec::new();
        while entries.len() < task.count {
            let asked = (task.count - entries.len()).min(PIECE);
            let after = entries.last().map_or(b"0".to_vec(), |entry| entry.id.clone());
            let from = if task.settled { From::New } else { From::Pending(&after) };
            let piece = lane.errand(|slice| {
                let held = slice.held();
                if held.is_replica() || held.is_loading() {
                    return None;
                }
                let piece = group::read(held, key, group, &from, asked);
                if task.settled {
                    let got = piece.as_ref().map_or(0, Vec::len);
                    let left = |waiting: u64| if got < asked { 0 } else { waiting.saturating_sub(got as u64) };
                    self.of(task, |stream| stream.waiting = left(stream.waiting));
                }
                if matches!(piece, Err(Refused::Because(_))) {
                    self.forget(task);
                }
                Some(piece)
            });
            match piece.ok()?? {
                Ok(piece) => {
                    let last = piece.len() < asked;
                    entries.extend(piece);
                    if last {
                        break;
                    }
                }
                Err(refused) => {
                    if let Refused::Because(text) = refused {
                        let (key, text) = (String::from_utf8_lossy(key), String::from_utf8_lossy(&text));
                        redis::log(Level::Warning, &format!("Interlock: the stream {key} can't be read: {text}"));
                        return Some(Read { entries, gone: true });
                    }
                    // Deleted, and perhaps made again: the next turn sees.
                    self.of(task, |stream| stream.settled = false);
                    break;
                }
            }
        }
        if !task.settled && entries.is_empty() {
            self.of(task, |stream| stream.settled = true);
        }
        Some(Read { entries, gone: false })
    }

    /// Changes what is known of the task's stream.
    fn of(&self, task: &Task, change: impl FnOnce(&mut Stream)) {
        if let Some(stream) = streams(&self.registration).known.get_mut(&task.name) {
            change(stream);
        }
    }

    /// The task's stream is none, or can't be read. To be called under the server's lock, with which that was seen: an
    /// entry that arrives later makes it known again.
    fn forget(&self, task: &Task) {
        streams(&self.registration).known.remove(&task.name);
    }

    /// Runs an execution for each batch of entries, and acknowledges those that are done.
    fn work_off(&self, trigger: &StreamTrigger, task: &Task, entries: Vec<Entry>, lane: &mut Lane) -> Outcome {
        let registration = &self.registration;
        let all = entries.len();
        let key = task.name.1.as_slice();
        let mut done: Vec<Vec<u8>> =
            entries.iter().filter(|entry| entry.fields.is_none()).map(|entry| entry.id.clone()).collect();
        let (mut batches, mut events) = (Vec::new(), Vec::new());
        let mut left = entries.into_iter().filter_map(|entry| Some((entry.id, entry.fields?))).peekable();
        while left.peek().is_some() {
            let (ids, fields): (Vec<Vec<u8>>, Vec<Reply>) = left.by_ref().take(trigger.batch).unzip();
            let record = |(id, fields): (&Vec<u8>, Reply)| {
                Reply::map([("key", Reply::bulk(key)), ("id", Reply::bulk(id.as_slice())), ("value", fields)])
            };
            events.push(Reply::Array(ids.iter().zip(fields).map(record).collect()));
            batches.push(ids);
        }
        let begun = Instant::now();
        let (mut verdict, mut ended) = (Verdict::GoOn, 0_usize);
        let cancel = lane.cancel().clone();
        let mut waiting = None;
        if !events.is_empty() {
            let all = events.iter().map(|one| (one, None));
            queue::run_events(registration, lane, all, true, None, |came| match came {
                Came::Ended(finished, _) => {
                    registration.count_batch(task.since.elapsed());
                    ended += 1;
                    verdict = judge(trigger, finished, cancel.stopped());
                    matches!(verdict, Verdict::GoOn)
                }
                Came::Waits(suspended) => {
                    waiting = Some(suspended);
                    false
                }
            });
        }
        let ran = if matches!(verdict, Verdict::GoOn) { ended } else { ended.saturating_sub(1) };
        let mut batches = batches.into_iter();
        done.extend(batches.by_ref().take(ran).flatten());
        let waiting = waiting.and_then(|suspended| Some((suspended, batches.next()?)));
        self.adapt(trigger, ended, events.len(), begun.elapsed());
        // Also what was told to stop has ended.
        let acknowledged = lane.afterwards(|lane| self.acknowledge(trigger, key, &done, lane));
        let complete = acknowledged && done.len() == all;
        // Pending entries may be more than were read.
        Outcome { verdict, all: complete && task.settled || all == 0, waiting }
    }

    /// Chooses how many executions the next turn has.
    fn adapt(&self, trigger: &StreamTrigger, ended: usize, of: usize, took: Duration) {
        let mut streams = streams(&self.registration);
        if ended < of {
            streams.grain = ended.max(1);
        } else if took < BATCH_TIME / 2 {
            streams.grain = (of * 2).clamp(1, self.most(trigger));
        }
    }

    /// Returns whether they are acknowledged now.
    fn acknowledge(&self, trigger: &StreamTrigger, key: &[u8], ids: &[Vec<u8>], lane: &mut Lane) -> bool {
        let group = self.registration.group.as_bytes();
        for ids in ids.chunks(PIECE) {
            let done = lane.errand(|slice| {
                let here = !slice.held().is_replica();
                if here {
                    group::acknowledge(slice.held(), key, group, ids);
                }
                here
            });
            if !matches!(done, Ok(true)) {
                return false;
            }
        }
        let mut more = trigger.trim && !ids.is_empty();
        while more {
            let trimmed = lane.errand(|slice| !slice.held().is_replica() && group::trim(slice.held(), key));
            more = matches!(trimmed, Ok(true));
        }
        true
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over {
            streams(&self.registration).reading = false;
            if !self.registration.is_live() {
                scan::leave_groups(&self.registration);
            }
        }
    }
}

fn set_alarm(lane: &mut Lane, at: Instant) {
    // Where even this is stopped, the server shuts down.
    let _ = lane.afterwards(|lane| lane.errand(|slice| DUE.set(slice.held(), at)));
}

/// What comes of an execution that has ended.
fn judge(trigger: &StreamTrigger, finished: &Finished, stopped: Option<Stop>) -> Verdict {
    let Some(error) = finished.errors.first() else { return Verdict::GoOn };
    if stopped == Some(Stop::Shutdown) {
        return Verdict::Leave;
    }
    if error.starts_with(b"PAUSE") {
        return Verdict::Stop(StreamStatus::Paused);
    }
    match trigger.on_failure {
        OnFailure::Continue => Verdict::GoOn,
        OnFailure::Abort => Verdict::Stop(StreamStatus::Aborted),
        OnFailure::Retry => Verdict::Stop(StreamStatus::WaitingForRetry),
    }
}
