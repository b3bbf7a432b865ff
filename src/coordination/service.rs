//! What can be done with locks and values that are computed once? Each call is one atomic step.

use std::time::{Duration, Instant};

use super::lock::{Lock, LockRequest, Session};
use super::once::{Ended, Once, OnceRequest, Phase};
use super::rule::Met;
use super::waiting::{self, after_change, at_this_moment, current, expect, store, Waits};
use crate::redis::{self, Expiry, Found, Held, Invocation, KeyType, Name, Outcome, Wait};
use crate::reply::Reply;
use crate::sync::CancelToken;

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The key holds a value of another type.
    WrongType,
    /// The lock is free.
    NotLocked,
    /// Somebody else holds the lock.
    NotOwner,
    /// The token is not that of the computation that goes on.
    Stale,
    /// The computation was reset while it went on.
    Reset,
}

impl Refusal {
    /// The error of the command.
    pub(crate) fn reply(self) -> Reply {
        Reply::error(match self {
            Refusal::WrongType => waiting::WRONG_TYPE,
            Refusal::NotLocked => "NOTLOCKED nobody holds this lock",
            Refusal::NotOwner => "NOTOWNER somebody else holds this lock",
            Refusal::Stale => "STALE this is not the token of a computation that goes on",
            Refusal::Reset => "STALE the value was reset while it was computed",
        })
    }
}

impl From<&'static str> for Refusal {
    fn from(_wrong_type: &'static str) -> Self {
        Refusal::WrongType
    }
}

/// How long a caller is ready to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// Not at all.
    No,
    /// So long.
    For(Duration),
    /// Until it is served.
    Forever,
}

fn name_of(held: &Held<'_>, key: &[u8]) -> Name {
    Name { db: held.db(), key: key.to_vec() }
}

/// The session of a connection with this server.
pub(crate) fn session_of(client: u64) -> Session {
    waiting::session_of(client)
}

/// Asks for what is in a key: answered at once, or when it is the caller's turn; null when the wait is over.
#[allow(private_bounds)] // Which requests can wait is decided in this folder.
pub(crate) fn meet<R: Waits>(invocation: &Invocation<'_>, key: &[u8], request: R, wait: Waiting) -> Outcome {
    let held = &invocation.held;
    let name = name_of(held, key);
    let value = match current::<R>(held, &name) {
        Ok(value) => value,
        Err(wrong_type) => return Outcome::Reply(Reply::error(wrong_type)),
    };
    match at_this_moment(held, |moment| request.meet(value.as_ref(), moment)) {
        Met::Answered(answer) => Outcome::Reply(R::reply(answer)),
        Met::Changed(answer, value, expiry) => {
            store::<R>(held, &name, value, expiry);
            after_change::<R>(held, &name);
            Outcome::Reply(R::reply(answer))
        }
        Met::Waits if wait == Waiting::No || !invocation.may_block() => Outcome::Reply(Reply::Null),
        Met::Waits => {
            if value.is_none() {
                if let Some(placeholder) = at_this_moment(held, |moment| R::placeholder(moment)) {
                    store::<R>(held, &name, placeholder, Expiry::Never);
                }
            }
            let deadline = match wait {
                Waiting::For(limit) => Instant::now().checked_add(limit),
                Waiting::No | Waiting::Forever => None,
            };
            expect::<R>(held, &name, value.as_ref(), deadline);
            Outcome::Wait(Wait {
                // The alarm keeps the time, so that a turn that has come can't be lost to a time limit
                // between its reply and the server's delivery of it.
                limit: None,
                cancel: CancelToken::new(),
                register: Box::new(move |_, reply| waiting::join(name, request, deadline, reply)),
                otherwise: Reply::Null,
            })
        }
    }
}

/// The owner leaves a lock once. Returns how many times it still has to.
///
/// # Errors
/// Why not.
pub(crate) fn leave(held: &Held<'_>, key: &[u8], owner: &[u8]) -> Result<u64, Refusal> {
    let name = name_of(held, key);
    let lock = owned(held, &name, owner)?;
    let depth = match lock.left() {
        Some(lock) => {
            let depth = lock.depth;
            store::<LockRequest>(held, &name, lock, Expiry::Keep);
            depth
        }
        None => {
            redis::delete(held, name.db, &name.key);
            0
        }
    };
    after_change::<LockRequest>(held, &name);
    Ok(depth)
}

fn owned(held: &Held<'_>, name: &Name, owner: &[u8]) -> Result<Lock, Refusal> {
    let lock = current::<LockRequest>(held, name)?.ok_or(Refusal::NotLocked)?;
    if lock.owner == owner {
        Ok(lock)
    } else {
        Err(Refusal::NotOwner)
    }
}

/// A new lease for a lock, from now on. Returns the token and the depth.
///
/// # Errors
/// Why not.
pub(crate) fn renew_lock(held: &Held<'_>, key: &[u8], owner: &[u8], lease: i64) -> Result<(u64, u64), Refusal> {
    let name = name_of(held, key);
    let lock = owned(held, &name, owner)?;
    let answer = (lock.token, lock.depth);
    let until = at_this_moment(held, |moment| moment.now().saturating_add(lease));
    store::<LockRequest>(held, &name, lock, Expiry::At(until));
    after_change::<LockRequest>(held, &name);
    Ok(answer)
}

/// Whether a key holds a value that is computed once.
pub(crate) fn is_once(held: &Held<'_>, key: &[u8]) -> bool {
    matches!(redis::get::<Once>(held, held.db(), key), Found::Value(_))
}

/// A new lease for a computation, from now on.
///
/// # Errors
/// Why not.
pub(crate) fn renew_once(held: &Held<'_>, key: &[u8], token: u64, lease: i64) -> Result<(), Refusal> {
    let name = name_of(held, key);
    let once = current::<OnceRequest>(held, &name)?.ok_or(Refusal::Stale)?;
    let until = at_this_moment(held, |moment| moment.now().saturating_add(lease));
    let renewed = once.renewed(token, until).ok_or(Refusal::Stale)?;
    store::<OnceRequest>(held, &name, renewed, Expiry::Keep);
    after_change::<OnceRequest>(held, &name);
    Ok(())
}

/// A computation brings its result, which is kept for `ttl` milliseconds.
///
/// # Errors
/// Why it was refused.
pub(crate) fn publish(
    held: &Held<'_>,
    key: &[u8],
    token: u64,
    value: Vec<u8>,
    ttl: Option<i64>,
) -> Result<(), Refusal> {
    end(held, key, token, Ended::Value(value), ttl)
}

/// A computation fails; with `retry` the next caller tries again.
///
/// # Errors
/// Why it was refused.
pub(crate) fn fail(held: &Held<'_>, key: &[u8], token: u64, how: Ended) -> Result<(), Refusal> {
    end(held, key, token, how, None)
}

fn end(held: &Held<'_>, key: &[u8], token: u64, how: Ended, ttl: Option<i64>) -> Result<(), Refusal> {
    let name = name_of(held, key);
    let once = current::<OnceRequest>(held, &name)?.ok_or(Refusal::Stale)?;
    let now = at_this_moment(held, |moment| moment.now());
    let (once, taken) = once.ended(token, how, now).ok_or(Refusal::Stale)?;
    let expiry = match ttl {
        Some(ttl) if taken => Expiry::At(now.saturating_add(ttl)),
        _ => Expiry::Never,
    };
    store::<OnceRequest>(held, &name, once, expiry);
    after_change::<OnceRequest>(held, &name);
    if taken {
        Ok(())
    } else {
        Err(Refusal::Reset)
    }
}

/// Gives up a value that is not there yet. Returns whether it was so.
///
/// # Errors
/// The key holds something else.
pub(crate) fn cancel(held: &Held<'_>, key: &[u8]) -> Result<bool, Refusal> {
    change(held, key, Once::cancelled)
}

/// Forgets a value, or what came in its place. Returns whether the key is there.
///
/// # Errors
/// The key holds something else.
pub(crate) fn reset(held: &Held<'_>, key: &[u8]) -> Result<bool, Refusal> {
    change(held, key, |once, now| Some(once.reset(now)))
}

fn change(held: &Held<'_>, key: &[u8], change: impl FnOnce(Once, i64) -> Option<Once>) -> Result<bool, Refusal> {
    let name = name_of(held, key);
    let Some(once) = current::<OnceRequest>(held, &name)? else {
        return Ok(false);
    };
    let now = at_this_moment(held, |moment| moment.now());
    let Some(changed) = change(once, now) else {
        return Ok(false);
    };
    store::<OnceRequest>(held, &name, changed, Expiry::Never);
    after_change::<OnceRequest>(held, &name);
    Ok(true)
}

/// Stores what a primary or the AOF says, over whatever was there.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn restore<T: KeyType>(held: &Held<'_>, key: &[u8], bytes: &[u8], expiry: i64) -> Result<(), &'static str> {
    let value = T::decode(bytes, T::VERSION).ok_or("ERR bad state of the key")?;
    let db = held.db();
    value.arrived(held, db, key);
    if redis::put(held, db, key, value, Expiry::from_code(expiry), None) {
        Ok(())
    } else {
        Err(waiting::WRONG_TYPE)
    }
}

/// A key and who waits for it, as they are shown.
pub(crate) struct Info<V> {
    /// What is in the key.
    pub(crate) value: Option<V>,
    /// When the key goes by itself: Unix milliseconds.
    pub(crate) expiry: Option<i64>,
    /// Now: Unix milliseconds.
    pub(crate) now: i64,
    /// How many wait.
    pub(crate) waiting: usize,
    /// Who waits first, and since how many milliseconds.
    pub(crate) first: Vec<(Vec<u8>, i64)>,
}

/// Looks at a key without changing it.
///
/// # Errors
/// The key holds something else.
fn look<R: Waits>(held: &Held<'_>, key: &[u8], limit: usize) -> Result<Info<R::Value>, Refusal> {
    let name = name_of(held, key);
    let (value, now) = at_this_moment(held, |moment| {
        let value = match redis::get::<R::Value>(held, name.db, key) {
            Found::Other => Err(Refusal::WrongType),
            Found::Missing => Ok(None),
            Found::Value(value) => Ok(R::standing(value, moment)),
        };
        (value, moment.now())
    });
    let value = value?;
    let expiry = value.as_ref().and_then(|_| redis::expiry(held, name.db, key));
    let show = |waiter: &waiting::Waiter<R>| {
        let waited = i64::try_from(waiter.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        (waiter.request.kin().to_vec(), waited)
    };
    let (waiting, first) = waiting::shown::<R, _>(&name, limit, show);
    Ok(Info { value, expiry, now, waiting, first })
}

/// A lock and its line, of which at most `limit` are listed.
///
/// # Errors
/// The key holds something else.
pub(crate) fn lock_info(held: &Held<'_>, key: &[u8], limit: usize) -> Result<Info<Lock>, Refusal> {
    look::<LockRequest>(held, key, limit)
}

/// A value that is computed once, and its line.
///
/// # Errors
/// The key holds something else.
pub(crate) fn once_info(held: &Held<'_>, key: &[u8]) -> Result<Info<Once>, Refusal> {
    look::<OnceRequest>(held, key, 0)
}

/// The word for the phase that a value is in.
pub(crate) fn state_word(info: &Info<Once>) -> Option<&'static str> {
    Some(match &info.value.as_ref()?.phase {
        Phase::Known if info.waiting > 0 => "queued",
        Phase::Known => "known",
        Phase::Executing(_) => "executing",
        Phase::Resetting(_) => "resetting",
        Phase::Completed(_) => "completed",
        Phase::Errored(_) => "errored",
        Phase::Cancelled => "cancelled",
    })
}
