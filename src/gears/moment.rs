//! When does a callback run that is to run at once (`mode='sync'`)?
//!
//! Not while the server tells of the event: the command that caused it still works on the key, and a callback that deletes
//! it would end the server. From Redis 7.2 on the server has a moment for it, right after the command and atomic with it.
//! An older one has not: there the commands that write to such keys run inside one of ours ([`super::hooks`]), which runs the
//! callbacks after them. What happens to a key outside such a command (it expires, it is evicted) is called back soon.
//!
//! A callback is not called back for what itself, or another one that it is the cause of, does: that would never end.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::{Lazy, OnceCell};

use super::linked;
use super::queue::{self, Event, BATCH_TIME};
use super::registration::{Mode, Registration};
use super::Trigger;
use crate::redis::{after_notification, call_as_it_is, has_after_notification, Alarm, Held, Protocol};
use crate::reply::Reply;

thread_local! {
    /// The registration whose callback runs at once on this thread, after those that are the cause of it.
    static CAUSES: RefCell<Vec<Arc<Registration>>> = const { RefCell::new(Vec::new()) };
}

/// Whether what happens now was caused by a callback of this registration.
pub(super) fn is_caused_by(registration: &Arc<Registration>) -> bool {
    CAUSES.with_borrow(|causes| causes.iter().any(|cause| Arc::ptr_eq(cause, registration)))
}

/// What an event takes of the memory that its registration may have for events, until its callback is done.
struct Room {
    registration: Arc<Registration>,
    bytes: usize,
}

impl Room {
    /// Room for an event; `None` if too many wait already. A single one always has some.
    fn take(registration: &Arc<Registration>, event: &Event) -> Option<Self> {
        let (taken, bytes) = (&registration.deferred, event.bytes());
        if taken.load(Ordering::Relaxed) > queue::hard_bound() {
            return None;
        }
        taken.fetch_add(bytes, Ordering::Relaxed);
        Some(Self { registration: Arc::clone(registration), bytes })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.registration.deferred.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Counts an event that happens now and calls its registration back for it, when what it returns is run. Where too many
/// wait for that (a transaction of a million writes, misses that come faster than they are worked off) the event is given up.
pub(super) fn callback(
    registration: &Arc<Registration>,
    event: Event,
) -> Option<impl FnOnce(&Held<'_>) + Send + 'static> {
    /// Puts back what was there before.
    struct Before(Vec<Arc<Registration>>);
    impl Drop for Before {
        fn drop(&mut self) {
            let causes = CAUSES.replace(std::mem::take(&mut self.0));
            // The last owner of one may be here.
            drop(causes);
        }
    }
    registration.count_event();
    let Some(room) = Room::take(registration, &event) else {
        registration.count_aborted(1, Some(queue::GIVEN_UP));
        return None;
    };
    let mut causes = CAUSES.with_borrow(Clone::clone);
    Some(move |held: &Held<'_>| {
        let registration = &room.registration;
        causes.push(Arc::clone(registration));
        let _before = Before(CAUSES.replace(causes));
        linked::run_sync(held, registration, event);
    })
}

/// What is to be done under the lock.
pub(super) type Work = Box<dyn FnOnce(&Held<'_>) + Send>;

/// What found no command to run after.
static LATER: Mutex<VecDeque<Work>> = Mutex::new(VecDeque::new());

static SOON: Alarm = Alarm::new(ring);

/// When the rest is done, after what has taken its time.
const BREATH: Duration = Duration::from_millis(1);

/// The registrations whose callbacks need a command of ours around those of the clients.
static NEEDY: Lazy<Mutex<Arc<Vec<Arc<Registration>>>>> = Lazy::new(Mutex::default);

/// The commands that can be inside another one and write.
static WRITES: OnceCell<HashSet<Vec<u8>>> = OnceCell::new();

/// Runs `work` at the end of what causes the event that is being told of, atomically with it where that is a command.
pub(super) fn after_event(held: &Held<'_>, work: impl FnOnce(&Held<'_>) + Send + 'static) {
    if has_after_notification() {
        return after_notification(held, work);
    }
    if let Some(work) = linked::after_current(Box::new(work)) {
        LATER.lock().unwrap_or_else(PoisonError::into_inner).push_back(work);
        SOON.set(held, Instant::now());
    }
}

fn ring(held: &Held<'_>) {
    let until = Instant::now() + BATCH_TIME;
    loop {
        let next = LATER.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some(work) = next else { return };
        if !held.is_replica() && !held.is_loading() {
            work(held);
        }
        if Instant::now() >= until {
            return SOON.set(held, Instant::now() + BREATH);
        }
    }
}

/// The registrations in force have changed. Returns whether some of them need a look at the commands that pass.
pub(super) fn follow(held: &Held<'_>, all: &[Arc<Registration>]) -> bool {
    let needy = |one: &&Arc<Registration>| {
        let of_events = match &one.trigger {
            Trigger::Keys(keys) => keys.commands.is_none(),
            Trigger::Stream(_) => true,
            Trigger::Command { .. } | Trigger::Hook { .. } => false,
        };
        of_events && one.mode == Mode::Sync
    };
    let found: Vec<_> = if has_after_notification() { Vec::new() } else { all.iter().filter(needy).cloned().collect() };
    let any = !found.is_empty();
    if any {
        WRITES.get_or_init(|| writes(held));
    }
    *NEEDY.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(found);
    any
}

/// Whether a command with these keys must run inside one of ours. `keys` is asked last.
pub(super) fn is_concerned<'k>(name: &[u8], keys: impl FnOnce() -> Vec<&'k [u8]>) -> bool {
    let needy = Arc::clone(&NEEDY.lock().unwrap_or_else(PoisonError::into_inner));
    if needy.is_empty() || !WRITES.get().is_some_and(|writes| writes.contains(name)) {
        return false;
    }
    keys().iter().any(|key| needy.iter().any(|one| one.trigger.wants_key(key)))
}

/// Commands that block can't run inside another one; those of modules do what they do by commands of the server.
fn writes(held: &Held<'_>) -> HashSet<Vec<u8>> {
    let of = |category: &[u8]| -> HashSet<Vec<u8>> {
        let words: [&[u8]; 5] = [b"COMMAND", b"LIST", b"FILTERBY", b"ACLCAT", category];
        let Reply::Array(names) = call_as_it_is(held, &words.map(<[u8]>::to_vec), Protocol::Two) else {
            return HashSet::new();
        };
        let name = |reply: Reply| match reply {
            // Those with subcommands are known by what stands before the bar.
            Reply::Bulk(name) | Reply::Status(name) => name.split(|&byte| byte == b'|').next().map(<[u8]>::to_vec),
            _ => None,
        };
        names.into_iter().filter_map(name).collect()
    };
    let blocking = of(b"blocking");
    of(b"write").into_iter().filter(|name| !name.contains(&b'.') && !blocking.contains(name)).collect()
}
