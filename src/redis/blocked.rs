//! Who answers a client that waits? Exactly one reply for every blocked client.
//!
//! A [`BlockedReply`] is the duty to answer. It is answered once: by the job, by its drop (with an
//! internal error), by the time limit, or by `CLIENT UNBLOCK`; a client that has gone needs none. In
//! the last three cases the job's [`CancelToken`] is stopped.
//!
//! The server is told that a client is unblocked ([`deliver`]) right before it looks at those who are, between two
//! rounds of its loop. A time limit or a `CLIENT UNBLOCK` that it meets in between would otherwise find the client
//! neither waiting nor answered: Redis 7.0 then unblocks it without any reply, and the client waits for ever
//! (Valkey 9.1 does not).

use std::collections::HashMap;
use std::os::raw::c_int;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;
use redis_module::raw;

use super::entry::guarded;
use super::{api, events, lock, write, Held};
use crate::reply::Reply;
use crate::sync::{CancelToken, Stop};

/// The duty to answer one blocked client.
pub struct BlockedReply {
    client: *mut raw::RedisModuleBlockedClient,
    ctx: *mut raw::RedisModuleCtx,
    answered: bool,
}

// SAFETY: the server allows replies on a blocked client's thread-safe context, and unblocking, from
// any one thread at a time without the lock; the type is neither Clone nor Sync.
unsafe impl Send for BlockedReply {}

struct Waiting {
    cancel: CancelToken,
    deadline: Option<Instant>,
    gone: Option<Gone>,
    /// The answer of [`BlockedReply::finish_surely`], until it is on its way.
    reply: Option<Reply>,
}

/// Told why the client waits no longer; what it returns answers a client that is still there.
type Gone = Box<dyn FnOnce(Stop) -> Reply + Send>;

/// The waiting clients, by handle: how the server's callbacks find the job. A leaf lock.
static WAITING: Lazy<Mutex<HashMap<usize, Waiting>>> = Lazy::new(Mutex::default);

/// A client whose duty was done, and the context of its answer.
struct Answered {
    client: *mut raw::RedisModuleBlockedClient,
    ctx: *mut raw::RedisModuleCtx,
}

// SAFETY: handed from the thread that answered to the main thread, for good.
unsafe impl Send for Answered {}

/// The clients to unblock at the end of this round of the event loop. A leaf lock.
static ANSWERED: Mutex<Vec<Answered>> = Mutex::new(Vec::new());

fn with_answered<R>(work: impl FnOnce(&mut Vec<Answered>) -> R) -> R {
    work(&mut ANSWERED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Unblocks the clients that were answered. On the main thread, when nothing else comes before the server looks at
/// them.
pub(super) fn deliver() {
    for Answered { client, ctx } in with_answered(std::mem::take) {
        let reply = with_waiting(|waiting| waiting.remove(&(client as usize))).and_then(|waiting| waiting.reply);
        // SAFETY: the only unblocking of this client; the context is freed first and not used again.
        unsafe {
            if let Some(reply) = reply {
                write::write(ctx, &reply);
            }
            api!(RedisModule_FreeThreadSafeContext(ctx));
            api!(RedisModule_UnblockClient(client, std::ptr::null_mut()));
        }
    }
}

fn with_waiting<R>(work: impl FnOnce(&mut HashMap<usize, Waiting>) -> R) -> R {
    work(&mut WAITING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// How many clients wait for a reply.
pub(super) fn waiting() -> usize {
    with_waiting(|waiting| waiting.len())
}

/// Stops the work of every waiting client.
pub(super) fn cancel_all(reason: Stop) {
    with_waiting(|waiting| {
        for client in waiting.values() {
            client.cancel.cancel(reason);
        }
    });
}

impl BlockedReply {
    /// Blocks the client whose command is being handled, for at most `limit`.
    /// The caller has made sure that blocking is allowed.
    pub(super) fn block(held: &Held<'_>, cancel: CancelToken, limit: Option<Duration>) -> Self {
        let millis = limit.map_or(0, |limit| i64::try_from(limit.as_millis()).unwrap_or(i64::MAX).max(1));
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        // SAFETY: the lock is held and the context is a command's. The thread-safe context is
        // made here, on the main thread, because making it reads the client.
        unsafe {
            let client = api!(RedisModule_BlockClient(held.ctx(), None, Some(on_timeout), None, millis));
            with_waiting(|waiting| {
                waiting.insert(client as usize, Waiting { cancel, deadline, gone: None, reply: None })
            });
            api!(RedisModule_SetDisconnectCallback(client, Some(on_disconnect)));
            api!(RedisModule_BlockedClientMeasureTimeStart(client));
            let ctx = api!(RedisModule_GetThreadSafeContext(client));
            Self { client, ctx, answered: false }
        }
    }

    /// Calls `gone` on the main thread, under the lock, when the client stops waiting by itself: the time
    /// limit, `CLIENT UNBLOCK`, or it went away. The reply that it returns goes to a client that is still
    /// there, in place of an error. It must take this duty back and [`BlockedReply::release`] it.
    pub fn when_gone(&self, gone: impl FnOnce(Stop) -> Reply + Send + 'static) {
        with_waiting(|waiting| {
            if let Some(client) = waiting.get_mut(&(self.client as usize)) {
                client.gone = Some(Box::new(gone));
            }
        });
    }

    /// Ends the duty without a reply: the client was answered by the server, or has gone.
    pub fn release(mut self) {
        self.answered = true;
    }

    /// Answers the client with what it must not miss: also a `CLIENT UNBLOCK` that comes before the reply is on its way
    /// gives this reply, and no other. The reply is put together on the main thread.
    pub fn finish_surely(mut self, reply: Reply) {
        self.answered = true;
        with_waiting(|waiting| {
            if let Some(client) = waiting.get_mut(&(self.client as usize)) {
                client.reply = Some(reply);
            }
        });
    }

    /// Answers the client. Where it was answered already (time limit) or has gone, the reply is thrown away.
    pub fn finish(mut self, reply: &Reply) {
        self.answered = true;
        // SAFETY: not unblocked before the drop, see `Send`. Big replies are put together here,
        // off the main thread, which only links them to the client.
        unsafe { write::write(self.ctx, reply) };
    }
}

impl Drop for BlockedReply {
    fn drop(&mut self) {
        // SAFETY: the client is unblocked after this, by `deliver` alone.
        unsafe {
            if !self.answered {
                write::write(self.ctx, &Reply::internal_error());
            }
            api!(RedisModule_BlockedClientMeasureTimeEnd(self.client));
        }
        let first = with_answered(|answered| {
            answered.push(Answered { client: self.client, ctx: self.ctx });
            answered.len() == 1
        });
        // The main thread comes to the end of its round anyway; for others it must be woken from its sleep, once.
        if first && !lock::on_main_thread() {
            events::wake_main_thread();
        }
    }
}

/// The time limit, or `CLIENT UNBLOCK id TIMEOUT`: the reply is given here.
unsafe extern "C" fn on_timeout(
    ctx: *mut raw::RedisModuleCtx,
    _argv: *mut *mut raw::RedisModuleString,
    _argc: c_int,
) -> c_int {
    guarded(|| {
        // SAFETY: a context of a blocked client's callback, on the main thread.
        let client = unsafe { api!(RedisModule_GetBlockedClientHandle(ctx)) };
        let (reason, text) = with_waiting(|waiting| match waiting.get(&(client as usize)) {
            Some(Waiting { deadline: Some(deadline), .. })
                if Instant::now() + Duration::from_millis(5) >= *deadline =>
            {
                (Stop::TimedOut, "ERR time limit reached, the work was told to stop")
            }
            _ => (Stop::Disconnected, "ERR unblocked by CLIENT UNBLOCK, the work was told to stop"),
        });
        let done = with_waiting(|waiting| waiting.get_mut(&(client as usize))?.reply.take());
        let reply = done.unwrap_or_else(|| match stop(client, reason) {
            Some(gone) => gone(reason),
            None => Reply::error(text),
        });
        // SAFETY: as above; this is the reply of the client that timed out.
        unsafe { write::write(ctx, &reply) };
    });
    raw::REDISMODULE_OK as c_int
}

/// The client has gone (or was unblocked with an error): no reply, but the work must stop.
unsafe extern "C" fn on_disconnect(_ctx: *mut raw::RedisModuleCtx, client: *mut raw::RedisModuleBlockedClient) {
    guarded(|| {
        if let Some(gone) = stop(client, Stop::Disconnected) {
            gone(Stop::Disconnected);
        }
    });
}

/// Stops the client's work, and returns whom to tell: outside the lock of the table.
fn stop(client: *mut raw::RedisModuleBlockedClient, reason: Stop) -> Option<Gone> {
    with_waiting(|waiting| {
        let client = waiting.get_mut(&(client as usize))?;
        client.cancel.cancel(reason);
        client.gone.take()
    })
}
