//! Which fencing token comes next? Larger than every one before, also across restarts and failovers.
//!
//! A token is the time in microseconds, or one more than the largest token known, whichever is larger.
//! The largest is known from every key that was loaded or replicated, and is saved beside the keys; so
//! a token can repeat only if the last ones were lost with the data *and* the clock went back.

use std::sync::atomic::{AtomicU64, Ordering};

/// A source of tokens.
#[derive(Debug)]
pub(crate) struct Tokens(AtomicU64);

/// The server's tokens: one sequence for all keys, so that a key can come and go without losing its place.
pub(crate) static TOKENS: Tokens = Tokens::new();

impl Tokens {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The next token at this Unix time in microseconds.
    pub(crate) fn next(&self, now_micros: u64) -> u64 {
        let next = |last: u64| now_micros.max(last + 1);
        let last = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |last| Some(next(last)));
        next(last.unwrap_or_else(|last| last))
    }

    /// A token was seen that may be another server's.
    pub(crate) fn seen(&self, token: u64) {
        // One that leaves no room for later ones is nobody's.
        if token < i64::MAX as u64 {
            self.0.fetch_max(token, Ordering::AcqRel);
        }
    }

    /// The largest so far.
    pub(crate) fn last(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_increase_when_the_clock_stands_or_goes_back() {
        let tokens = Tokens::new();
        assert_eq!(tokens.next(100), 100);
        assert_eq!(tokens.next(100), 101);
        assert_eq!(tokens.next(7), 102);
        assert_eq!(tokens.next(500), 500);
    }

    #[test]
    fn tokens_follow_those_of_other_servers() {
        let tokens = Tokens::new();
        tokens.seen(1000);
        tokens.seen(10);
        assert_eq!(tokens.next(5), 1001);
        tokens.seen(u64::MAX);
        assert_eq!(tokens.next(5), 1002);
    }
}
