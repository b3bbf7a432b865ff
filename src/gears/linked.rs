//! What binds a command to the executions that its events start (`register(commands=...)`)?
//!
//! While the command runs, events of its keys are told of it. Its client gets the reply when all these executions have
//! ended, and one of them may have put another one in its place.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::hooks::Cause;
use super::moment::{self, Work};
use super::queue::{self, Event};
use super::registration::{Mode, Registration};
use crate::redis::{at_once, BlockedReply, Held};
use crate::reply::Reply;
use crate::sync::CancelToken;

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// The command that runs on this thread.
struct Current {
    name: Vec<u8>,
    share: Arc<Share>,
    /// Whether its client can wait for what runs elsewhere.
    may_wait: bool,
    /// What is to run at once when it has ended.
    after: Vec<Work>,
}

/// A part in the reply of a command. When the last one is gone the client is answered.
pub(super) struct Share {
    argv: Vec<Vec<u8>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    reply: Option<Reply>,
    overridden: Option<Reply>,
    client: Option<BlockedReply>,
    /// The reply is given: nothing changes it any more.
    closed: bool,
}

impl Share {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The command, as long as its reply is not given.
    pub(super) fn command(&self) -> Option<Vec<Vec<u8>>> {
        (!self.state().closed).then(|| self.argv.clone())
    }

    /// Puts another reply in the place of the command's.
    pub(super) fn override_reply(&self, reply: Reply) -> Result<(), String> {
        let mut state = self.state();
        if state.closed {
            return Err("Can not get command ctx".to_owned());
        }
        if state.overridden.is_some() {
            return Err("Can only override reply once".to_owned());
        }
        state.overridden = Some(reply);
        Ok(())
    }

    /// Answers `client` when nobody else has a share any more.
    pub(super) fn wait(self: Arc<Self>, client: BlockedReply) {
        self.state().client = Some(client);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = state.client.take() {
            let reply = state.overridden.take().or_else(|| state.reply.take());
            client.finish(&reply.unwrap_or(Reply::Null));
        }
    }
}

/// Runs a command, with `call`, and what is to run at once after it. Returns its reply, and where the caller may wait for
/// other executions a share in it.
pub(super) fn run(
    held: &Held<'_>,
    name: Vec<u8>,
    argv: Vec<Vec<u8>>,
    may_wait: bool,
    call: impl FnOnce(&[Vec<u8>]) -> Reply,
) -> (Reply, Option<Arc<Share>>) {
    let share = Arc::new(Share { argv, state: Mutex::default() });
    let current = Current { name, share: Arc::clone(&share), may_wait, after: Vec::new() };
    let before = CURRENT.replace(Some(current));
    let reply = call(&share.argv);
    let ended = CURRENT.replace(before);
    ended.map(|current| current.after).unwrap_or_default().into_iter().for_each(|work| work(held));
    let mut state = share.state();
    // The events that wait have shares too.
    if may_wait && Arc::strong_count(&share) > 1 {
        state.reply = Some(reply.clone());
        drop(state);
        return (reply, Some(share));
    }
    state.closed = true;
    let reply = state.overridden.take().unwrap_or(reply);
    drop(state);
    (reply, None)
}

/// Runs an execution for an event here and now.
pub(super) fn run_sync(held: &Held<'_>, registration: &Arc<Registration>, event: Event) {
    let cancel = CancelToken::new();
    cancel.set_limit(registration.inline_limit());
    let ran = held.in_db(event.db, || {
        at_once(held, cancel, |lane| queue::run_one(registration, lane, event.records, true, event.cause));
    });
    if ran.is_err() {
        registration.count_aborted(1, None);
    }
}

/// Whether the command that runs on this thread is one of these.
pub(super) fn is_running(commands: &[Vec<u8>]) -> bool {
    CURRENT.with_borrow(|current| current.as_ref().is_some_and(|current| commands.contains(&current.name)))
}

/// Runs `work` when the command that runs on this thread has ended; gives it back if there is none.
pub(super) fn after_current(work: Work) -> Option<Work> {
    CURRENT.with_borrow_mut(|current| match current {
        Some(current) => {
            current.after.push(work);
            None
        }
        None => Some(work),
    })
}

/// An event of the command that runs on this thread.
pub(super) fn fire(held: &Held<'_>, registration: &Arc<Registration>, event: Event) {
    let event = CURRENT.with_borrow_mut(|current| {
        let Some(current) = current else { return Some(event) };
        let is_sync = registration.mode == Mode::Sync;
        let linked = is_sync || current.may_wait;
        let cause = linked.then(|| Cause::Command(Arc::clone(&current.share)));
        let event = Event { cause, ..event };
        if !is_sync {
            return Some(event);
        }
        if let Some(work) = moment::callback(registration, event) {
            current.after.push(Box::new(work));
        }
        None
    });
    if let Some(event) = event {
        queue::push(held, registration, event);
    }
}
