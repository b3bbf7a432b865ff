//! In which order do a registration's events run, and how many may wait?
//!
//! Events wait in a queue of their registration and run one after the other, a batch at a time on a Python worker. The
//! queue is bounded: past `event-queue-bytes` writing clients are made to pause for a moment, past twice as much (a
//! transaction of a million writes, a script that feeds itself) events are given up, and counted.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::hooks::Cause;
use super::host::{Chosen, RunHost};
use super::registration::Registration;
use super::registrations::registrations;
use super::run::{count, end_execution, new_run, run_nested, text_of, Owner};
use super::{executions, Execution, Finished, Status, Trigger};
use crate::python::{Ran, ScriptError, Waiting};
use crate::redis::{self, Alarm, BlockedReply, Held, Lane, Level, Pools};
use crate::reply::Reply;
use crate::settings;
use crate::sync::CancelToken;

/// Events that run without giving the interpreter up, and how long they may take together.
pub(super) const BATCH: usize = 64;
pub(super) const BATCH_TIME: Duration = Duration::from_millis(10);

/// How long writers pause at a time while queues are too full, ...
const PAUSE_MS: &[u8] = b"50";
/// ... and when it is looked at again whether they still are.
const LOOK_AGAIN: Duration = Duration::from_millis(40);

/// What an event that was given up leaves as error.
pub(super) const GIVEN_UP: &str =
    "ERR an event was given up: too many wait for this registration (see search.event-queue-bytes)";

/// One event of a registration.
pub(super) struct Event {
    pub(super) db: i32,
    /// The records that it brings, an array.
    pub(super) records: Reply,
    /// Who waits for what comes of it.
    pub(super) client: Option<BlockedReply>,
    /// The command that it is about.
    pub(super) cause: Option<Cause>,
}

impl Event {
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + bytes_of(&self.records)
    }
}

/// About how much memory a reply takes.
fn bytes_of(reply: &Reply) -> usize {
    let inside = match reply {
        Reply::Status(text) | Reply::Bulk(text) | Reply::Error(text) | Reply::BigNumber(text) => text.capacity(),
        Reply::Array(items) | Reply::Set(items) => items.iter().map(bytes_of).sum(),
        Reply::Map(pairs) => pairs.iter().map(|(key, value)| bytes_of(key) + bytes_of(value)).sum(),
        Reply::Int(_) | Reply::Double(_) | Reply::Bool(_) | Reply::Null => 0,
    };
    size_of::<Reply>() + inside
}

/// The events of one registration that did not begin yet.
#[derive(Default)]
pub(super) struct Queue {
    events: VecDeque<Event>,
    bytes: usize,
    /// Somebody runs them.
    draining: bool,
}

fn queue(registration: &Registration) -> MutexGuard<'_, Queue> {
    registration.queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes of a registration's waiting events past which another one is given up.
pub(super) fn hard_bound() -> usize {
    settings::EVENT_QUEUE_BYTES.count().saturating_mul(2)
}

/// Queues an event, and sees that somebody runs it. Under the server's lock; never waits.
pub(super) fn push(held: &Held<'_>, registration: &Arc<Registration>, event: Event) {
    registration.count_event();
    let most = settings::EVENT_QUEUE_BYTES.count();
    let (start, full, refused) = {
        let mut queue = queue(registration);
        let db = event.db;
        let refused = if queue.bytes > hard_bound() {
            Some(event)
        } else {
            queue.bytes += event.bytes();
            queue.events.push_back(event);
            None
        };
        let start = !queue.draining;
        queue.draining = true;
        (start.then_some(db), queue.bytes > most, refused)
    };
    if let Some(event) = refused {
        registration.count_aborted(1, Some(GIVEN_UP));
        if let Some(client) = event.client {
            client.finish(&Reply::error(GIVEN_UP));
        }
    }
    if full {
        PRESSURE.set(held, Instant::now());
    }
    if let Some(db) = start {
        submit(registration, db);
    }
}

/// Rings when a queue is too full.
static PRESSURE: Alarm = Alarm::new(relieve);

/// Lets clients that write wait until the queues are worked off somewhat. Others are served as always.
fn relieve(held: &Held<'_>) {
    let enough = settings::EVENT_QUEUE_BYTES.count() / 4 * 3;
    if registrations().all().iter().all(|registration| queue(registration).bytes <= enough) {
        return;
    }
    PRESSURE.set(held, Instant::now() + LOOK_AGAIN);
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        redis::log(
            Level::Warning,
            "Interlock: events come faster than registrations work them off; clients that write pause now and then",
        );
    }
    let pause = [b"CLIENT".to_vec(), b"PAUSE".to_vec(), PAUSE_MS.to_vec(), b"WRITE".to_vec()];
    // Where the server refuses it (it does nowhere that we know) the second bound holds.
    let _: Reply = redis::call(held, &pause);
}

/// Gives up all events that did not begin; returns how many there were.
pub(super) fn abandon(registration: &Registration) -> usize {
    let events = {
        let mut queue = queue(registration);
        queue.bytes = 0;
        take(&mut queue.events)
    };
    let count = events.len();
    registration.count_aborted(count, None);
    for client in events.into_iter().filter_map(|event| event.client) {
        client.finish(&Reply::error("ERR the registration was removed before this could run"));
    }
    count
}

fn submit(registration: &Arc<Registration>, db: i32) {
    let turn = Turn { registration: Arc::clone(registration), over: false };
    // A refusal drops the turn, which leaves the events to the next one that comes.
    let _ = redis::background(Pools::Python, db, CancelToken::new(), move |lane| turn.run(lane));
}

/// The right to run a registration's events: there is one at a time, which keeps them in order.
struct Turn {
    registration: Arc<Registration>,
    /// The queue says already who comes next.
    over: bool,
}

impl Turn {
    fn run(mut self, lane: &mut Lane) {
        let events = self.next_batch(lane.db());
        let (rest, suspended) = run_batch(&self.registration, lane, events);
        {
            let mut queue = queue(&self.registration);
            for event in rest.into_iter().rev() {
                queue.bytes += event.bytes();
                queue.events.push_front(event);
            }
        }
        self.over = true;
        match suspended {
            // The next event has its turn when this one has ended.
            Some((suspended, event)) => {
                suspended.then(&self.registration, true, move |registration, finished, chosen| {
                    let Event { client, cause, .. } = event;
                    // A command's client may wait for it too.
                    drop(cause);
                    if let Some(client) = client {
                        client.finish(&reply_of(registration, finished, chosen));
                    }
                    next_turn(registration);
                })
            }
            None => next_turn(&self.registration),
        }
    }

    fn next_batch(&self, db: i32) -> Vec<Event> {
        let origin = &self.registration.session.origin;
        // A limit holds for each event.
        let most = if origin.limit.is_some() || origin.max_memory.is_some() { 1 } else { BATCH };
        let mut queue = queue(&self.registration);
        let mut events: Vec<Event> = Vec::new();
        // A run knows of one command.
        let fits = |events: &[Event], next: &Event| {
            next.db == db && (events.is_empty() || events.iter().chain([next]).all(|event| event.cause.is_none()))
        };
        while events.len() < most && queue.events.front().is_some_and(|next| fits(&events, next)) {
            events.extend(queue.events.pop_front());
        }
        queue.bytes = queue.bytes.saturating_sub(events.iter().map(Event::bytes).sum());
        events
    }
}

/// Sees that somebody runs the next events, if there are any.
fn next_turn(registration: &Arc<Registration>) {
    let next = {
        let mut queue = queue(registration);
        queue.draining = !queue.events.is_empty();
        queue.events.front().map(|event| event.db)
    };
    if let Some(db) = next {
        submit(registration, db);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over {
            queue(&self.registration).draining = false;
        }
    }
}

/// Runs events one after the other, each as an execution of its own; returns those that did not begin, and the one that
/// waits for coroutines.
fn run_batch(
    registration: &Arc<Registration>,
    lane: &mut Lane,
    events: Vec<Event>,
) -> (Vec<Event>, Option<(Suspended, Event)>) {
    let mut events: VecDeque<Event> = events.into();
    let records: Vec<Reply> =
        events.iter_mut().map(|event| std::mem::replace(&mut event.records, Reply::Null)).collect();
    let mut begun = 0;
    let mut suspended = None;
    let cause = events.front().and_then(|event| event.cause.clone());
    let all = records.iter().map(|one| (one, None));
    run_events(registration, lane, all, true, cause.as_ref(), |came| {
        begun += 1;
        let event = events.pop_front();
        match came {
            Came::Ended(finished, chosen) => {
                if let Some(client) = event.and_then(|event| event.client) {
                    client.finish(&reply_of(registration, finished, chosen));
                }
            }
            Came::Waits(waits) => suspended = event.map(|event| (waits, event)),
        }
        suspended.is_none()
    });
    for (event, records) in events.iter_mut().zip(records.into_iter().skip(begun)) {
        event.records = records;
    }
    (events.into(), suspended)
}

/// Runs a call of `RG.TRIGGER` or of a hooked command, or an event at once.
pub(super) fn run_one(
    registration: &Arc<Registration>,
    lane: &mut Lane,
    records: Reply,
    keep: bool,
    cause: Option<Cause>,
) -> Reply {
    let Some(_depth) = Depth::enter() else { return Reply::error(TOO_DEEP) };
    let (mut reply, mut waits) = (None, None);
    run_events(registration, lane, std::iter::once((records, None)), keep, cause.as_ref(), |came| {
        match came {
            Came::Ended(finished, chosen) => reply = Some(reply_of(registration, finished, chosen)),
            Came::Waits(suspended) => waits = Some(suspended),
        }
        false
    });
    if let Some(suspended) = waits {
        let client = lane.postpone();
        suspended.then(registration, keep, move |registration, finished, chosen| {
            client.answer(&reply_of(registration, finished, chosen));
            drop(cause);
        });
        return Reply::Null;
    }
    reply.unwrap_or_else(|| Reply::error("ERR the execution was stopped before it began"))
}

/// How many executions may be inside each other on one thread: each takes some of its stack, whose end is the server's.
const DEEPEST: usize = 16;

const TOO_DEEP: &str = "ERR executions start each other: more than 16 are inside one another \
                        (a hook of a command that it executes itself?)";

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// One more execution inside others, until it is dropped.
struct Depth;

impl Depth {
    fn enter() -> Option<Self> {
        let depth = DEPTH.get();
        (depth < DEEPEST).then(|| {
            DEPTH.set(depth + 1);
            Self
        })
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// The reply that the script has chosen; all results, or the first error. What stands in the place of a command has one
/// result, which is the reply.
pub(super) fn reply_of(registration: &Registration, finished: &Finished, chosen: Option<&Chosen>) -> Reply {
    if let Some(chosen) = chosen.and_then(Chosen::take) {
        return chosen;
    }
    match (finished.errors.first(), &registration.trigger, finished.results.as_slice()) {
        (Some(error), ..) => Reply::Error(error.clone()),
        (None, Trigger::Hook { .. }, [result]) => result.clone(),
        (None, Trigger::Hook { .. }, _) => Reply::error("Command hook must return exactly one result"),
        (None, _, results) => Reply::Array(results.to_vec()),
    }
}

/// How far an event's execution came.
pub(super) enum Came<'e> {
    /// To its end, with the reply that the script has chosen.
    Ended(&'e Finished, Option<&'e Chosen>),
    /// It waits.
    Waits(Suspended),
}

/// An event's execution that waits for coroutines.
pub(super) struct Suspended {
    execution: Arc<Execution>,
    chosen: Option<Chosen>,
    waiting: Waiting,
}

impl Suspended {
    /// Calls `then` with what came of it when it has ended. With `keep` the execution stays listed.
    pub(super) fn then(
        self,
        registration: &Arc<Registration>,
        keep: bool,
        then: impl FnOnce(&Arc<Registration>, &Finished, Option<&Chosen>) + Send + 'static,
    ) {
        let Self { execution, chosen, waiting } = self;
        let registration = Arc::clone(registration);
        waiting.then(move |result| {
            let finished = end_execution(&execution, result);
            ended(&registration, &execution, keep);
            then(&registration, &finished, chosen.as_ref());
        });
    }
}

/// The execution of an event has ended. With `keep` it stays listed.
fn ended(registration: &Registration, execution: &Execution, keep: bool) {
    let (status, finished) = execution.snapshot();
    registration.count_end(status, &finished);
    if keep {
        registration.keep(execution);
    } else {
        executions().remove(&execution.id);
    }
}

/// Runs the plan of a registration for each event in turn, until one is stopped, the batch has had its time, or `answer`
/// says that it is enough. With `keep` the executions stay listed. An event comes with what stops it, if that is not what
/// stops the run. `answer` never waits.
pub(super) fn run_events<E: Borrow<Reply>>(
    registration: &Arc<Registration>,
    lane: &mut Lane,
    mut events: impl Iterator<Item = (E, Option<CancelToken>)>,
    keep: bool,
    cause: Option<&Cause>,
    answer: impl FnMut(Came<'_>) -> bool,
) {
    let origin = &registration.session.origin;
    let cancel = lane.cancel().clone();
    if !lane.is_inline() {
        cancel.set_limit(origin.limit);
    }
    let owner = Owner::from(&registration.session);
    let host = RunHost::for_execution(lane, &owner).because_of(cause.map(Cause::known));
    let commands = matches!(registration.trigger, Trigger::Command { .. } | Trigger::Hook { .. });
    let host = Arc::new(if commands { host.answering() } else { host });
    let run = new_run(&host, cancel.clone(), lane, origin.max_memory);
    let until = Instant::now() + BATCH_TIME;
    let current: RefCell<Option<Arc<Execution>>> = RefCell::new(None);
    let begun = Cell::new(0_usize);
    let enough = Cell::new(false);
    let answer = RefCell::new(answer);
    // What stops the event that begins next, if it has something of its own.
    let own: RefCell<Option<CancelToken>> = RefCell::new(None);
    let events = std::iter::from_fn(|| {
        // Asked before the event is taken: one that is taken begins.
        if enough.get() || (begun.get() > 0 && Instant::now() >= until) {
            return None;
        }
        let (records, token) = events.next()?;
        if let Some(token) = &token {
            cancel.follow(Some(token));
            host.set_cancel(token);
        }
        host.next_reply();
        own.replace(token);
        Some(records)
    });
    let begin = || {
        let token = own.take().unwrap_or_else(|| cancel.clone());
        let execution = executions().create(Arc::clone(&registration.plan.info), token, true);
        if execution.start().is_err() {
            executions().remove(&execution.id);
            return false;
        }
        begun.set(begun.get() + 1);
        current.replace(Some(execution));
        true
    };
    let end = |finished: Finished| {
        let Some(execution) = current.take() else { return };
        execution.end(Status::Done, finished);
        ended(registration, &execution, keep);
        let finished = execution.snapshot().1;
        enough.set(!(answer.borrow_mut())(Came::Ended(&finished, host.chosen().as_ref())));
    };
    let done = registration.plan.script().run_events(run, &registration.plan, events, begin, |ran| match ran {
        Ran::Ended(outcome) => end(outcome.into()),
        Ran::Waits(waiting) => {
            let Some(execution) = current.take() else { return };
            let suspended = Suspended { execution, chosen: host.chosen(), waiting };
            enough.set(!(answer.borrow_mut())(Came::Waits(suspended)));
        }
    });
    cancel.follow(None);
    match done {
        Ok(nested) => run_nested(&registration.plan.script(), nested, lane, &owner),
        Err(error) => fail(registration, &current, &cancel, error, end),
    }
    if let Some(stop) = cancel.stopped() {
        count(stop);
    }
}

/// The run as a whole has ended with an error: it is that of the event under way, or of the next one.
fn fail(
    registration: &Registration,
    current: &RefCell<Option<Arc<Execution>>>,
    cancel: &CancelToken,
    error: ScriptError,
    mut end: impl FnMut(Finished),
) {
    if current.borrow().is_none() {
        current.replace(Some(executions().create(Arc::clone(&registration.plan.info), cancel.clone(), true)));
    }
    end(Finished { errors: vec![text_of(error)], ..Finished::default() });
}
