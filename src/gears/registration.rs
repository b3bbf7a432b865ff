//! What is a registration? A script's plan, the events that start it, and what came of them so far.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::calls::Calls;
use super::queue::Queue;
use super::streams::Streams;
use super::{executions, Execution, Finished, Session, Status};
use crate::python::host::Options;
use crate::python::Plan;
use crate::settings;

/// Where an event's execution runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On every shard, in the background.
    Async,
    /// Here, in the background.
    AsyncLocal,
    /// Here and now, atomically with what caused it.
    Sync,
}

impl Mode {
    /// The name that scripts give it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Async => "async",
            Mode::AsyncLocal => "async_local",
            Mode::Sync => "sync",
        }
    }
}

/// What starts a registration's executions.
#[derive(Debug, Clone, PartialEq)]
pub enum Trigger {
    /// Events of keys.
    Keys(KeyTrigger),
    /// Entries of streams.
    Stream(StreamTrigger),
    /// A call of `RG.TRIGGER`.
    Command {
        /// Its name.
        name: Vec<u8>,
        /// Whether one call waits for the one before it.
        in_order: bool,
    },
    /// A command of the server, in whose place it stands.
    Hook {
        /// Its name in lower case.
        command: Vec<u8>,
        /// How one of its keys must begin; `None` if that does not matter.
        prefix: Option<Vec<u8>>,
        /// Whether one call waits for the one before it.
        in_order: bool,
    },
}

impl Trigger {
    /// Whether it is about the key of this name.
    pub(super) fn wants_key(&self, key: &[u8]) -> bool {
        match self {
            Trigger::Keys(trigger) => trigger.wants_key(key),
            Trigger::Stream(trigger) => has_prefix(&trigger.prefix, key),
            Trigger::Command { .. } | Trigger::Hook { .. } => false,
        }
    }
}

/// A prefix with `*` at its end, or exactly one key.
fn has_prefix(prefix: &[u8], key: &[u8]) -> bool {
    match prefix.strip_suffix(b"*") {
        Some(prefix) => key.starts_with(prefix),
        None => key == prefix,
    }
}

/// Which streams, and how they are read.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamTrigger {
    /// As the script gave it.
    pub prefix: Vec<u8>,
    /// Entries of one execution.
    pub batch: usize,
    /// How long the first entry of a batch waits for the others; `None` for ever.
    pub duration: Option<Duration>,
    /// What a failure means.
    pub on_failure: OnFailure,
    /// When it goes on after a failure.
    pub retry_after: Duration,
    /// Entries that nobody needs any more are deleted.
    pub trim: bool,
}

/// What the failure of an execution means for a stream's registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Its entries count as done.
    Continue,
    /// Nothing more is read.
    Abort,
    /// The same entries are read again.
    Retry,
}

impl OnFailure {
    /// The name that scripts give it.
    pub fn name(self) -> &'static str {
        match self {
            OnFailure::Continue => "continue",
            OnFailure::Abort => "abort",
            OnFailure::Retry => "retry",
        }
    }
}

/// Which events of which keys.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyTrigger {
    /// As the script gave it.
    pub prefix: Vec<u8>,
    /// The prefix is one literal key, whatever it ends with.
    pub literal: bool,
    /// Names of events in lower case; `None` for all.
    pub events: Option<Vec<Vec<u8>>>,
    /// Commands, in lower case, whose clients wait for the executions; `None` for events of any origin.
    pub commands: Option<Vec<Vec<u8>>>,
    /// Types that the key must have then; `None` for all.
    pub types: Option<Vec<Vec<u8>>>,
    /// Records carry type and value.
    pub read_value: bool,
}

impl KeyTrigger {
    /// Whether it is about the key of this name: a prefix with `*` at its end, or exactly one key.
    pub fn wants_key(&self, key: &[u8]) -> bool {
        if self.literal {
            key == self.prefix
        } else {
            has_prefix(&self.prefix, key)
        }
    }

    /// Whether it is about events of this name.
    pub fn wants_event(&self, event: &[u8]) -> bool {
        self.events.as_ref().is_none_or(|events| events.iter().any(|wanted| event.eq_ignore_ascii_case(wanted)))
    }
}

/// What came of a registration's events.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Events.
    pub triggered: u64,
    /// Executions without errors.
    pub success: u64,
    /// Executions with errors.
    pub failures: u64,
    /// Executions that were stopped before they began.
    pub aborted: u64,
    /// How long the last one took.
    pub last: Duration,
    /// How long all took.
    pub total: Duration,
    /// The first error of the last one, if it failed.
    pub last_error: Option<Vec<u8>>,
    /// How long after the first of its entries was known the last one had ended.
    pub last_lag: Duration,
    /// The same of all.
    pub total_lag: Duration,
}

impl Stats {
    /// Executions that have ended.
    pub fn ended(&self) -> u64 {
        self.success + self.failures + self.aborted
    }
}

/// One registration.
pub struct Registration {
    /// `<node id>-<number>`.
    pub id: String,
    /// Whose it is. It keeps the session, as the plan keeps the interpreter.
    pub session: Arc<Session>,
    /// Which `register()` of the script made it, counted from 0.
    pub ordinal: usize,
    /// Where its executions run.
    pub mode: Mode,
    /// What starts them.
    pub trigger: Trigger,
    pub(super) plan: Plan,
    pub(super) queue: Mutex<Queue>,
    /// Bytes of the events whose callbacks are to run at once, and wait for their moment.
    pub(super) deferred: AtomicUsize,
    /// Its consumer group, if it reads streams.
    pub(super) group: String,
    pub(super) streams: Mutex<Streams>,
    /// Whose group it has taken over.
    predecessor: Weak<Registration>,
    /// Another one has its group now.
    inherited: AtomicBool,
    pub(super) calls: Mutex<Calls>,
    stats: Mutex<Stats>,
    live: AtomicBool,
    /// Executions that have ended and are kept for `RG.DUMPEXECUTIONS`, oldest first.
    kept: Mutex<VecDeque<String>>,
}

impl Registration {
    /// What a script's `register()` asked for.
    pub(super) fn new(session: Arc<Session>, ordinal: usize, id: String, plan: Plan) -> Self {
        let options = plan.registration.clone().unwrap_or_default();
        let mode = match options.text("mode").as_slice() {
            b"sync" => Mode::Sync,
            b"async_local" => Mode::AsyncLocal,
            _ => Mode::Async,
        };
        Self {
            id,
            session,
            ordinal,
            mode,
            trigger: trigger(&plan.info.reader, &options),
            plan,
            queue: Mutex::default(),
            deferred: AtomicUsize::new(0),
            group: String::new(),
            streams: Mutex::default(),
            predecessor: Weak::new(),
            inherited: AtomicBool::new(false),
            calls: Mutex::default(),
            stats: Mutex::default(),
            live: AtomicBool::new(false),
            kept: Mutex::default(),
        }
    }

    /// The same with a consumer group of this name.
    pub(super) fn in_group(self, group: String) -> Self {
        Self { group, ..self }
    }

    /// The same, going on where another one was.
    pub(super) fn after(self, old: &Arc<Self>) -> Self {
        old.inherited.store(true, Ordering::Release);
        Self { group: old.group.clone(), predecessor: Arc::downgrade(old), ..self }
    }

    /// Whose group it has taken over, while that one is not gone.
    pub(super) fn predecessor(&self) -> Option<Arc<Self>> {
        self.predecessor.upgrade()
    }

    /// Whether another one has its group now.
    pub(super) fn inherited(&self) -> bool {
        self.inherited.load(Ordering::Acquire)
    }

    /// The reader's name.
    pub fn reader(&self) -> &str {
        &self.plan.info.reader
    }

    /// The builder's description.
    pub fn description(&self) -> Option<&str> {
        self.plan.info.description.as_deref()
    }

    /// Whether it was given this function (`onRegistered`, `onUnregistered`).
    pub(super) fn has_callback(&self, name: &str) -> bool {
        let callbacks = self.plan.registration.as_ref().and_then(|options| options.texts("callbacks"));
        callbacks.is_some_and(|callbacks| callbacks.iter().any(|known| known == name.as_bytes()))
    }

    /// What came of its events so far.
    pub fn stats(&self) -> Stats {
        self.counted().clone()
    }

    fn counted(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what ended; executions under way stay counted.
    pub fn clear_stats(&self) {
        let mut stats = self.counted();
        let under_way = stats.triggered.saturating_sub(stats.ended());
        *stats = Stats { triggered: under_way, ..Stats::default() };
    }

    /// An event has come.
    pub(super) fn count_event(&self) {
        self.counted().triggered += 1;
    }

    /// A batch of entries was worked off, so long after the first of them was known.
    pub(super) fn count_batch(&self, lag: Duration) {
        let mut stats = self.counted();
        stats.triggered += 1;
        stats.last_lag = lag;
        stats.total_lag += lag;
    }

    /// Whether it is in force.
    pub fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    pub(super) fn set_live(&self, live: bool) {
        self.live.store(live, Ordering::Release);
    }

    /// Events were given up before their executions began; `why` is remembered as an error if there is one.
    pub(super) fn count_aborted(&self, count: usize, why: Option<&str>) {
        let mut stats = self.counted();
        stats.aborted += count as u64;
        if let Some(why) = why {
            stats.last_error = Some(why.as_bytes().to_vec());
        }
    }

    /// An execution has ended.
    pub(super) fn count_end(&self, status: Status, finished: &Finished) {
        let mut stats = self.counted();
        match finished.errors.first() {
            Some(error) => {
                stats.failures += 1;
                stats.last_error = Some(error.clone());
            }
            None if status == Status::Aborted => stats.aborted += 1,
            None => {
                stats.success += 1;
                stats.last_error = None;
            }
        }
        stats.last = finished.total;
        stats.total += finished.total;
    }

    /// Keeps an execution that has ended, and drops the oldest ones beyond `MaxExecutionsPerRegistration`; all once it is
    /// not in force any more.
    pub(super) fn keep(&self, execution: &Execution) {
        let limit = settings::MAX_EXECUTIONS_PER_REGISTRATION.count();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let most = if self.is_live() { limit } else { 0 };
        kept.push_back(execution.id.clone());
        let surplus = kept.len().saturating_sub(most);
        let dropped: Vec<String> = kept.drain(..surplus).collect();
        drop(kept);
        for id in dropped {
            executions().remove(&id);
        }
    }

    /// Drops all executions that are kept.
    pub(super) fn drop_kept(&self) {
        let kept = std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner));
        for id in kept {
            executions().remove(&id);
        }
    }
}

/// The trigger that the options describe.
fn trigger(reader: &str, options: &Options) -> Trigger {
    match reader {
        "StreamReader" => Trigger::Stream(StreamTrigger {
            prefix: options.text("prefix"),
            batch: usize::try_from(options.number("batch")).unwrap_or(1).max(1),
            duration: millis(options, "duration").filter(|duration| !duration.is_zero()),
            on_failure: match options.text("onFailedPolicy").as_slice() {
                b"abort" => OnFailure::Abort,
                b"retry" => OnFailure::Retry,
                _ => OnFailure::Continue,
            },
            retry_after: millis(options, "retryMillis").unwrap_or_default(),
            trim: options.flag("trimStream"),
        }),
        "CommandReader" if options.texts("hook").is_some() => Trigger::Hook {
            command: options.texts("hook").and_then(|mut names| names.pop()).unwrap_or_default(),
            prefix: options.texts("keyprefix").and_then(|mut prefixes| prefixes.pop()),
            in_order: options.flag("inorder"),
        },
        "CommandReader" => Trigger::Command { name: options.text("trigger"), in_order: options.flag("inorder") },
        _ => Trigger::Keys(KeyTrigger {
            prefix: options.text("prefix"),
            literal: options.flag("noScan"),
            events: options.texts("eventTypes"),
            commands: options.texts("commands"),
            types: options.texts("keyTypes"),
            read_value: options.flag("readValue"),
        }),
    }
}

fn millis(options: &Options, name: &str) -> Option<Duration> {
    u64::try_from(options.number(name)).ok().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(prefix: &str, literal: bool) -> KeyTrigger {
        KeyTrigger { prefix: prefix.into(), literal, events: None, commands: None, types: None, read_value: true }
    }

    #[test]
    fn a_prefix_ends_with_a_star_and_everything_else_is_one_key() {
        assert!(keys("user:*", false).wants_key(b"user:1"));
        assert!(!keys("user:*", false).wants_key(b"use"));
        assert!(keys("*", false).wants_key(b""));
        assert!(keys("user", false).wants_key(b"user"));
        assert!(!keys("user", false).wants_key(b"user:1"));
        assert!(!keys("*user*", false).wants_key(b"a user"));
        assert!(keys("a*", true).wants_key(b"a*") && !keys("a*", true).wants_key(b"ab"));
    }

    #[test]
    fn names_of_events_have_no_case() {
        let trigger = KeyTrigger { events: Some(vec![b"set".to_vec()]), ..keys("*", false) };
        assert!(trigger.wants_event(b"SET") && !trigger.wants_event(b"del"));
        assert!(keys("*", false).wants_event(b"anything"));
    }
}
