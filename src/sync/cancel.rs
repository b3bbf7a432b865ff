//! Should this work go on?
//!
//! One [`CancelToken`] is shared by everybody who has a say in a piece of work: the client's time limit,
//! its disconnection, an abort command, the shutdown. The first reason stays. Every loop that
//! can be long asks [`CancelToken::check`].

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

/// Why work was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stop {
    /// A command asked for it (`RG.ABORTEXECUTION`).
    Aborted = 1,
    /// The time limit was reached.
    TimedOut = 2,
    /// The client that asked for the work is gone, or was unblocked by another client.
    Disconnected = 3,
    /// The server is shutting down.
    Shutdown = 4,
}

impl Stop {
    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Stop::Aborted),
            2 => Some(Stop::TimedOut),
            3 => Some(Stop::Disconnected),
            4 => Some(Stop::Shutdown),
            _ => None,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::Aborted => "aborted",
            Stop::TimedOut => "time limit reached",
            Stop::Disconnected => "client is gone",
            Stop::Shutdown => "server is shutting down",
        })
    }
}

/// A shared switch that goes from "go on" to one [`Stop`], once, by hand or by a deadline.
#[derive(Debug, Clone)]
pub struct CancelToken(Arc<State>);

#[derive(Debug)]
struct State {
    stop: AtomicU8,
    /// Nanoseconds after `EPOCH`; `u64::MAX` for none.
    deadline: AtomicU64,
    /// Whether there is one that it follows.
    follows: AtomicBool,
    followed: Mutex<Option<CancelToken>>,
}

static EPOCH: Lazy<Instant> = Lazy::new(Instant::now);

fn nanos(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(*EPOCH).as_nanos()).unwrap_or(u64::MAX - 1)
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

impl CancelToken {
    /// A token without a deadline.
    pub fn new() -> Self {
        Lazy::force(&EPOCH);
        Self(Arc::new(State {
            stop: AtomicU8::new(0),
            deadline: AtomicU64::new(u64::MAX),
            follows: AtomicBool::new(false),
            followed: Mutex::new(None),
        }))
    }

    /// A token that stops with [`Stop::TimedOut`] after `limit`.
    pub fn with_limit(limit: Duration) -> Self {
        let token = Self::new();
        token.set_limit(Some(limit));
        token
    }

    /// Sets the time limit, counted from now; `None` takes it away.
    pub fn set_limit(&self, limit: Option<Duration>) {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit)).map_or(u64::MAX, nanos);
        self.0.deadline.store(deadline, Ordering::Relaxed);
    }

    /// Stops the work when `other` is stopped, until another one is followed: for work that serves many one after the
    /// other.
    pub fn follow(&self, other: Option<&CancelToken>) {
        self.0.follows.store(other.is_some(), Ordering::Release);
        *self.0.followed.lock().unwrap_or_else(PoisonError::into_inner) = other.cloned();
    }

    /// Stops the work. Returns whether this call was the first to do so.
    pub fn cancel(&self, reason: Stop) -> bool {
        self.0.stop.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Why the work must stop, if it must.
    pub fn stopped(&self) -> Option<Stop> {
        if let Some(stop) = Stop::from_code(self.0.stop.load(Ordering::Acquire)) {
            return Some(stop);
        }
        if self.0.follows.load(Ordering::Acquire) {
            let followed = self.0.followed.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(stop) = followed.and_then(|other| other.stopped()) {
                self.cancel(stop);
                return Some(stop);
            }
        }
        let deadline = self.0.deadline.load(Ordering::Relaxed);
        if deadline != u64::MAX && nanos(Instant::now()) >= deadline {
            self.cancel(Stop::TimedOut);
            return Stop::from_code(self.0.stop.load(Ordering::Acquire));
        }
        None
    }

    /// `Err` with the reason once the work must stop.
    ///
    /// # Errors
    /// The first reason given.
    pub fn check(&self) -> Result<(), Stop> {
        self.stopped().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let token = CancelToken::new();
        assert_eq!(token.stopped(), None);
        assert!(token.clone().cancel(Stop::Aborted));
        assert!(!token.cancel(Stop::Shutdown));
        assert_eq!(token.check(), Err(Stop::Aborted));
    }

    #[test]
    fn one_token_follows_others_in_turn() {
        let (token, first, second) = (CancelToken::new(), CancelToken::new(), CancelToken::new());
        token.follow(Some(&first));
        token.follow(Some(&second));
        first.cancel(Stop::Aborted);
        assert_eq!(token.stopped(), None);
        second.cancel(Stop::Disconnected);
        assert_eq!(token.stopped(), Some(Stop::Disconnected));
        token.follow(None);
        assert_eq!(token.stopped(), Some(Stop::Disconnected), "a stop is final");
    }

    #[test]
    fn a_deadline_stops_once_and_can_be_taken_away() {
        let token = CancelToken::with_limit(Duration::ZERO);
        let other = CancelToken::with_limit(Duration::from_secs(3600));
        assert_eq!(token.stopped(), Some(Stop::TimedOut));
        token.set_limit(None);
        assert_eq!(token.stopped(), Some(Stop::TimedOut), "a stop is final");
        assert_eq!(other.stopped(), None);
    }
}
