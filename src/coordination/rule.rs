//! What is a rule? What a caller meets in a key: answered at once, or made to wait.
//!
//! The same rule judges a caller that has just come, and one that has waited: it is asked again whenever
//! the key may have changed.

use super::line::{Line, Ticket};
use super::tokens::Tokens;
use crate::redis::{Expiry, KeyType};
use crate::reply::Reply;

/// Whether a session still exists, as the server knows it now.
pub(crate) type Alive<'a> = &'a dyn Fn(&super::lock::Session) -> bool;

/// The moment of judgement.
pub(crate) struct Moment<'a> {
    /// Unix time in microseconds.
    pub(crate) now_micros: u64,
    /// Where tokens come from.
    pub(crate) tokens: &'a Tokens,
    /// Which sessions live.
    pub(crate) alive: Alive<'a>,
}

impl Moment<'_> {
    /// Unix time in milliseconds.
    pub(crate) fn now(&self) -> i64 {
        (self.now_micros / 1000) as i64
    }

    pub(crate) fn token(&self) -> u64 {
        self.tokens.next(self.now_micros)
    }
}

/// What a caller meets.
#[derive(Debug, PartialEq)]
pub(crate) enum Met<V, A> {
    /// It has to wait.
    Waits,
    /// It is answered, and the key stays as it is.
    Answered(A),
    /// It is answered, and this is in the key now.
    Changed(A, V, Expiry),
}

/// What a caller asks for, as one who may wait in a line.
pub(crate) trait Request: Send + Clone + 'static {
    /// What is in the key.
    type Value: KeyType;
    /// What the caller gets.
    type Answer;

    /// Who is served together: see [`Request::next`].
    fn kin(&self) -> &[u8];

    /// What counts as being in the key at this moment: leases and sessions that are over are none.
    fn standing(value: Self::Value, moment: &Moment<'_>) -> Option<Self::Value>;

    /// What this caller meets.
    fn meet(&self, value: Option<&Self::Value>, moment: &Moment<'_>) -> Met<Self::Value, Self::Answer>;

    /// Who of a line can be served: the answer of [`Request::meet`] is never [`Met::Waits`] then.
    fn next<W>(value: Option<&Self::Value>, line: &Line<W>) -> Option<Ticket>;

    /// What a caller puts into a missing key to wait at it, so that the key's end is heard of.
    fn placeholder(_moment: &Moment<'_>) -> Option<Self::Value> {
        None
    }

    /// The event that listeners to the keyspace are told when the key changes.
    const EVENT: &'static std::ffi::CStr;

    /// What a caller is told, on the wire.
    fn reply(answer: Self::Answer) -> Reply;

    /// When what is in the key ends by itself, other than by the key's expiry: Unix milliseconds.
    fn ends(_value: &Self::Value) -> Option<i64> {
        None
    }
}
