//! What is computed once? A value with a life: known, executing, completed, errored, cancelled, resetting.
//!
//! `queued`, the seventh word, is what is known and waited for while nobody computes it.

use super::line::{Line, Ticket};
use super::rule::{Met, Moment, Request};
use super::tokens::TOKENS;
use super::waiting;
use crate::persistence::bytes::{Reader, Writer};
use crate::redis::{Expiry, Held, KeyType, KeyTypeHandle};
use crate::reply::Reply;

/// A computation that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// The token with which its result must come.
    pub(crate) token: u64,
    /// When its lease ends: Unix milliseconds.
    pub(crate) lease_until: Option<i64>,
}

/// Where in its life a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody computes it; the next who asks will.
    Known,
    /// Somebody computes it.
    Executing(Run),
    /// It was reset while somebody computes it, whose result will be refused; nobody else begins until then.
    Resetting(Run),
    /// The value is there.
    Completed(Vec<u8>),
    /// Computing it failed.
    Errored(Vec<u8>),
    /// It was cancelled.
    Cancelled,
}

/// A value that is computed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Once {
    pub(crate) phase: Phase,
    /// Since when: Unix milliseconds.
    pub(crate) since: i64,
    /// Who computes or computed it.
    pub(crate) by: Vec<u8>,
    /// The token of the last computation; 0 for none.
    pub(crate) token: u64,
    /// How many computations have begun.
    pub(crate) runs: u64,
}

/// How a computation ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With the value.
    Value(Vec<u8>),
    /// With an error, for everybody who asks.
    Error(Vec<u8>),
    /// With an error; the next who asks tries again.
    Retry,
}

impl Once {
    /// The state before anything happened.
    pub(crate) fn new(now: i64) -> Self {
        Self { phase: Phase::Known, since: now, by: Vec::new(), token: 0, runs: 0 }
    }

    fn in_phase(mut self, phase: Phase, now: i64) -> Self {
        self.phase = phase;
        self.since = now;
        self
    }

    /// The computation that goes on.
    pub(crate) fn run(&self) -> Option<&Run> {
        match &self.phase {
            Phase::Executing(run) | Phase::Resetting(run) => Some(run),
            _ => None,
        }
    }

    /// A computation ends. The state after it, and whether what it brought was taken; `None` if this is
    /// not the token of the computation that goes on.
    pub(crate) fn ended(self, token: u64, how: Ended, now: i64) -> Option<(Self, bool)> {
        match &self.phase {
            Phase::Executing(run) if run.token == token => {
                let phase = match how {
                    Ended::Value(value) => Phase::Completed(value),
                    Ended::Error(message) => Phase::Errored(message),
                    Ended::Retry => Phase::Known,
                };
                Some((self.in_phase(phase, now), true))
            }
            Phase::Resetting(run) if run.token == token => Some((self.in_phase(Phase::Known, now), false)),
            _ => None,
        }
    }

    /// Gives up what is not done yet. `None`: it is done, nothing changes.
    pub(crate) fn cancelled(self, now: i64) -> Option<Self> {
        match &self.phase {
            Phase::Known | Phase::Executing(_) | Phase::Resetting(_) => Some(self.in_phase(Phase::Cancelled, now)),
            Phase::Completed(_) | Phase::Errored(_) | Phase::Cancelled => None,
        }
    }

    /// Forgets the outcome. A computation that goes on is let run out first; a second reset does not wait for it.
    pub(crate) fn reset(self, now: i64) -> Self {
        let phase = match &self.phase {
            Phase::Executing(run) => Phase::Resetting(run.clone()),
            _ => Phase::Known,
        };
        self.in_phase(phase, now)
    }

    /// A new lease for the computation that goes on, unless it was reset. `None` if this is not its token.
    pub(crate) fn renewed(mut self, token: u64, lease_until: i64) -> Option<Self> {
        match &mut self.phase {
            Phase::Executing(run) if run.token == token => run.lease_until = Some(lease_until),
            _ => return None,
        }
        Some(self)
    }
}

/// Somebody wants the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnceRequest {
    /// Who asks.
    pub(crate) by: Vec<u8>,
    /// How long a computation may take, in milliseconds.
    pub(crate) lease: Option<i64>,
    /// Whether the caller can compute it itself.
    pub(crate) computes: bool,
}

/// What one who asked is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// To compute it, and to bring the result with this token.
    Compute(u64),
    /// The value.
    Ready(Vec<u8>),
    /// Why there is none.
    Failed(Vec<u8>),
}

/// What those are told who asked for something that was cancelled.
const CANCELLED: &[u8] = b"cancelled";

const ABLE: &[u8] = b"computes";
const ONLY_WAITS: &[u8] = b"only waits";

impl Request for OnceRequest {
    type Value = Once;
    type Answer = Outcome;
    const EVENT: &'static std::ffi::CStr = c"il.once";

    fn kin(&self) -> &[u8] {
        if self.computes {
            ABLE
        } else {
            ONLY_WAITS
        }
    }

    fn standing(once: Once, moment: &Moment<'_>) -> Option<Once> {
        match once.run().and_then(|run| run.lease_until) {
            Some(until) if until <= moment.now() => Some(once.in_phase(Phase::Known, until)),
            _ => Some(once),
        }
    }

    fn meet(&self, once: Option<&Once>, moment: &Moment<'_>) -> Met<Once, Outcome> {
        let phase = once.map_or(&Phase::Known, |once| &once.phase);
        match phase {
            Phase::Completed(value) => Met::Answered(Outcome::Ready(value.clone())),
            Phase::Errored(message) => Met::Answered(Outcome::Failed(message.clone())),
            Phase::Cancelled => Met::Answered(Outcome::Failed(CANCELLED.to_vec())),
            Phase::Known if self.computes => {
                let mut next = once.cloned().unwrap_or_else(|| Once::new(moment.now()));
                next.token = moment.token();
                next.runs += 1;
                next.by.clone_from(&self.by);
                let lease_until = self.lease.map(|lease| moment.now().saturating_add(lease));
                let run = Run { token: next.token, lease_until };
                Met::Changed(
                    Outcome::Compute(run.token),
                    next.in_phase(Phase::Executing(run), moment.now()),
                    Expiry::Never,
                )
            }
            Phase::Known | Phase::Executing(_) | Phase::Resetting(_) => Met::Waits,
        }
    }

    fn next<W>(once: Option<&Once>, line: &Line<W>) -> Option<Ticket> {
        match once.map_or(&Phase::Known, |once| &once.phase) {
            Phase::Known => line.first_of(ABLE),
            Phase::Executing(_) | Phase::Resetting(_) => None,
            Phase::Completed(_) | Phase::Errored(_) | Phase::Cancelled => line.first(),
        }
    }

    fn placeholder(moment: &Moment<'_>) -> Option<Once> {
        Some(Once::new(moment.now()))
    }

    fn reply(outcome: Outcome) -> Reply {
        let (word, content) = match outcome {
            Outcome::Compute(token) => ("compute", Reply::count(token)),
            Outcome::Ready(value) => ("ready", Reply::Bulk(value)),
            Outcome::Failed(message) => ("failed", Reply::Bulk(message)),
        };
        Reply::Array(vec![Reply::bulk(word), content])
    }

    fn ends(once: &Once) -> Option<i64> {
        once.run().and_then(|run| run.lease_until)
    }
}

static HANDLE: KeyTypeHandle = KeyTypeHandle::new();

impl KeyType for Once {
    const NAME: &'static std::ffi::CStr = c"InterOnce";
    const VERSION: i32 = 1;
    const RESTORE: &'static std::ffi::CStr = c"IL._ONCE";

    fn handle() -> &'static KeyTypeHandle {
        &HANDLE
    }

    fn encode(&self) -> Vec<u8> {
        let writer = Writer::default().number(self.token).number(self.runs).number(self.since as u64).string(&self.by);
        // -1 is no lease: a time before 1970 is none that matters.
        let run = |writer: Writer, run: &Run| {
            writer.number(run.token).number(run.lease_until.map_or(-1, |until| until.max(0)) as u64)
        };
        match &self.phase {
            Phase::Known => writer.number(0),
            Phase::Executing(running) => run(writer.number(1), running),
            Phase::Resetting(running) => run(writer.number(2), running),
            Phase::Completed(value) => writer.number(3).string(value),
            Phase::Errored(message) => writer.number(4).string(message),
            Phase::Cancelled => writer.number(5),
        }
        .finish()
    }

    fn decode(bytes: &[u8], _version: i32) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (token, runs, since, by) = (reader.number()?, reader.number()?, reader.signed()?, reader.string()?);
        let run = |reader: &mut Reader<'_>| {
            let (token, lease) = (reader.number()?, reader.signed()?);
            Some(Run { token, lease_until: (lease >= 0).then_some(lease) })
        };
        let phase = match reader.number()? {
            0 => Phase::Known,
            1 => Phase::Executing(run(&mut reader)?),
            2 => Phase::Resetting(run(&mut reader)?),
            3 => Phase::Completed(reader.string()?),
            4 => Phase::Errored(reader.string()?),
            5 => Phase::Cancelled,
            _ => return None,
        };
        reader.at_end().then_some(Self { phase, since, by, token, runs })
    }

    fn size(&self) -> usize {
        let content = match &self.phase {
            Phase::Completed(bytes) | Phase::Errored(bytes) => bytes.capacity(),
            Phase::Known | Phase::Executing(_) | Phase::Resetting(_) | Phase::Cancelled => 0,
        };
        std::mem::size_of::<Self>() + self.by.capacity() + content
    }

    fn arrived(&self, _held: &Held<'_>, _db: i32, _key: &[u8]) {
        TOKENS.seen(self.token);
    }

    fn leaving(&self, held: &Held<'_>, db: i32, key: &[u8]) {
        waiting::key_leaves(held, db, key, None);
    }
}
