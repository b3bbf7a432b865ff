//! What is a lock? Its owner, how often the owner has entered, and the token of this ownership.
//!
//! A key that is missing is a free lock. The lease is the key's expiry.

use super::line::{Line, Ticket};
use super::rule::{Met, Moment, Request};
use super::tokens::TOKENS;
use super::waiting;
use crate::persistence::bytes::{Reader, Writer};
use crate::redis::{Expiry, Held, KeyType, KeyTypeHandle};
use crate::reply::Reply;

/// A connection whose end frees a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    /// The server process that it is connected to: its random number, so that after a restart or a
    /// failover the sessions of the former process are known to be over.
    pub(crate) process: u64,
    /// The connection's number in that process.
    pub(crate) client: u64,
}

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lock {
    /// Who holds it: any bytes that the clients agree on.
    pub(crate) owner: Vec<u8>,
    /// How many times the owner has entered without leaving.
    pub(crate) depth: u64,
    /// The fencing token of this ownership.
    pub(crate) token: u64,
    /// Since when the owner holds it: Unix milliseconds.
    pub(crate) since: i64,
    /// The connection whose end frees it.
    pub(crate) session: Option<Session>,
}

impl Lock {
    /// The owner leaves once. `None`: it was the last time.
    pub(crate) fn left(mut self) -> Option<Self> {
        self.depth = self.depth.saturating_sub(1);
        (self.depth > 0).then_some(self)
    }
}

/// Somebody wants a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LockRequest {
    pub(crate) owner: Vec<u8>,
    /// How long the lock may be held, in milliseconds; counted from when it is got.
    pub(crate) lease: Option<i64>,
    pub(crate) session: Option<Session>,
}

/// What one who got a lock is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entered {
    pub(crate) token: u64,
    pub(crate) depth: u64,
}

impl Request for LockRequest {
    type Value = Lock;
    type Answer = Entered;
    const EVENT: &'static std::ffi::CStr = c"il.lock";

    fn kin(&self) -> &[u8] {
        &self.owner
    }

    fn standing(lock: Lock, moment: &Moment<'_>) -> Option<Lock> {
        let over = lock.session.is_some_and(|session| !(moment.alive)(&session));
        (!over).then_some(lock)
    }

    fn meet(&self, lock: Option<&Lock>, moment: &Moment<'_>) -> Met<Lock, Entered> {
        let lease = self.lease.map(|lease| Expiry::At(moment.now().saturating_add(lease)));
        let (lock, expiry) = match lock {
            None => {
                let (owner, session) = (self.owner.clone(), self.session);
                let lock = Lock { owner, depth: 1, token: moment.token(), since: moment.now(), session };
                (lock, lease.unwrap_or(Expiry::Never))
            }
            Some(lock) if lock.owner == self.owner => {
                let mut lock = lock.clone();
                lock.depth = lock.depth.saturating_add(1);
                lock.session = self.session.or(lock.session);
                (lock, lease.unwrap_or(Expiry::Keep))
            }
            Some(_) => return Met::Waits,
        };
        Met::Changed(Entered { token: lock.token, depth: lock.depth }, lock, expiry)
    }

    fn next<W>(lock: Option<&Lock>, line: &Line<W>) -> Option<Ticket> {
        match lock {
            None => line.first(),
            // The owner may enter again, whoever is before it.
            Some(lock) => line.first_of(&lock.owner),
        }
    }

    fn reply(entered: Entered) -> Reply {
        Reply::Array(vec![Reply::count(entered.token), Reply::count(entered.depth)])
    }
}

static HANDLE: KeyTypeHandle = KeyTypeHandle::new();

impl KeyType for Lock {
    const NAME: &'static std::ffi::CStr = c"InterLock";
    const VERSION: i32 = 1;
    const RESTORE: &'static std::ffi::CStr = c"IL._LOCK";

    fn handle() -> &'static KeyTypeHandle {
        &HANDLE
    }

    fn encode(&self) -> Vec<u8> {
        // Process 0 is no process.
        let session = self.session.unwrap_or(Session { process: 0, client: 0 });
        Writer::default()
            .number(self.token)
            .number(self.depth)
            .number(self.since as u64)
            .number(session.process)
            .number(session.client)
            .string(&self.owner)
            .finish()
    }

    fn decode(bytes: &[u8], _version: i32) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (token, depth, since) = (reader.number()?, reader.number()?, reader.signed()?);
        let session = Session { process: reader.number()?, client: reader.number()? };
        let owner = reader.string()?;
        let session = (session.process != 0).then_some(session);
        (reader.at_end() && depth > 0).then_some(Self { owner, depth, token, since, session })
    }

    fn size(&self) -> usize {
        std::mem::size_of::<Self>() + self.owner.capacity()
    }

    fn arrived(&self, held: &Held<'_>, db: i32, key: &[u8]) {
        TOKENS.seen(self.token);
        if let Some(session) = self.session {
            waiting::session_arrived(held, db, key, session);
        }
    }

    fn leaving(&self, held: &Held<'_>, db: i32, key: &[u8]) {
        waiting::key_leaves(held, db, key, self.session);
    }

    fn save_aside() -> Vec<u8> {
        match TOKENS.last() {
            0 => Vec::new(),
            last => last.to_le_bytes().to_vec(),
        }
    }

    fn load_aside(bytes: &[u8]) -> bool {
        let token = <[u8; 8]>::try_from(bytes).map(u64::from_le_bytes);
        token.inspect(|&token| TOKENS.seen(token)).is_ok()
    }
}
