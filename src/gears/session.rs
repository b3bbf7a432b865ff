//! Which scripts are alive? Sessions: one to each script, for as long as anything of it lives.
//!
//! A session that upgrades or replaces another one takes its place only when its script has succeeded.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use once_cell::sync::Lazy;

use crate::python::{Isolation, Plan};
use crate::sync::CancelToken;

/// The script of a session, and how it is run: enough to run it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Origin {
    /// The source. Any bytes; Python says what it does not like.
    pub source: Vec<u8>,
    /// The packages that it needs, as pip understands them.
    pub requirements: Vec<String>,
    /// Where it runs.
    pub isolation: Isolation,
    /// Whether it shares an interpreter with other calls of the same source.
    pub by_script: bool,
    /// How much memory it may allocate.
    pub max_memory: Option<u64>,
    /// How long the script, and each execution in the background, may take.
    pub limit: Option<Duration>,
}

/// One script's session. Its owners are the script while it runs, its executions until they end, and its
/// registrations.
#[derive(Debug)]
pub struct Session {
    /// Its id: the client's, or 40 random hex digits.
    pub id: String,
    /// The client's description.
    pub description: Option<String>,
    /// What stops the script itself.
    pub cancel: CancelToken,
    /// Its script.
    pub origin: Origin,
    serial: u64,
    /// The session whose place it takes when its script has succeeded.
    replaces: Mutex<Option<Arc<Session>>>,
    /// What its timers with keys call, by their place in the script.
    timers: Mutex<BTreeMap<u64, Arc<Plan>>>,
}

impl Session {
    /// What its timer of this place in the script calls.
    pub(super) fn timer(&self, ordinal: u64) -> Option<Arc<Plan>> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner).get(&ordinal).cloned()
    }

    /// Keeps what one of its timers calls: a copy of the key may come at any time.
    pub(super) fn keep_timer(&self, ordinal: u64, plan: &Arc<Plan>) {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner).insert(ordinal, Arc::clone(plan));
    }

    /// The session whose place it takes when its script has succeeded.
    pub(super) fn replaces(&self) -> Option<Arc<Session>> {
        self.replaces.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether they are the same.
    pub(super) fn is(&self, other: &Session) -> bool {
        self.serial == other.serial
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut live = SESSIONS.live();
        if live.get(&self.id).is_some_and(|entry| entry.serial == self.serial) {
            live.remove(&self.id);
        }
        drop(live);
        SESSIONS.aside().retain(|entry| entry.serial != self.serial);
    }
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    /// Its script still runs: it waits for the place of another session.
    upcoming: bool,
    session: std::sync::Weak<Session>,
}

/// The sessions that are alive.
#[derive(Debug, Default)]
pub struct Sessions {
    live: Mutex<BTreeMap<String, Entry>>,
    /// Sessions without a place of their own: whose id went to another one while something of them still runs, and
    /// those whose script runs and may take over an id.
    aside: Mutex<Vec<Entry>>,
    next: AtomicU64,
}

static SESSIONS: Lazy<Sessions> = Lazy::new(Sessions::default);

/// The sessions of this server.
pub fn sessions() -> &'static Sessions {
    &SESSIONS
}

impl Sessions {
    fn live(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn aside(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session. `upgrade` lets it take over its id; `replace` names another session that must be there. Either
    /// happens with [`Sessions::settle`].
    ///
    /// # Errors
    /// The text for the client.
    pub fn open(
        &self,
        id: Option<String>,
        description: Option<String>,
        upgrade: bool,
        replace: Option<&str>,
        origin: Origin,
        cancel: CancelToken,
    ) -> Result<Arc<Session>, String> {
        let id = id.unwrap_or_else(random_id);
        let mut live = self.live();
        let known = |id: &str| live.get(id).and_then(|entry| entry.session.upgrade());
        let (same, old) = (known(&id), replace.map(known));
        let old = match (same, old) {
            // The owners that were found are dropped after the lock.
            (Some(_same), Some(_)) => {
                drop(live);
                return Err(format!("Can not replace an existing session {id} with {}", replace.unwrap_or_default()));
            }
            (None, Some(None)) => {
                let old = replace.unwrap_or_default();
                return Err(format!("Can not replace with {old}, session does not exists."));
            }
            (None, Some(old)) => old,
            (Some(_same), None) if !upgrade => {
                drop(live);
                return Err(format!("Session {id} already exists"));
            }
            (same, None) => same,
        };
        let serial = self.next.fetch_add(1, Ordering::Relaxed);
        let upcoming = old.as_ref().is_some_and(|old| old.id == id);
        let replaces = Mutex::new(old);
        let timers = Mutex::default();
        let session = Arc::new(Session { id: id.clone(), description, cancel, origin, serial, replaces, timers });
        let entry = Entry { serial, upcoming, session: Arc::downgrade(&session) };
        if upcoming {
            self.aside().push(entry);
        } else {
            live.insert(id, entry);
        }
        Ok(session)
    }

    /// A session's script has succeeded: the session has its place now. Returns the one that had it before.
    pub(super) fn settle(&self, session: &Session) -> Option<Arc<Session>> {
        let old = session.replaces.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let (mut live, mut aside) = (self.live(), self.aside());
        if live.get(&old.id).is_some_and(|entry| entry.serial == old.serial) {
            aside.extend(live.remove(&old.id));
        }
        if let Some(at) = aside.iter().position(|entry| entry.serial == session.serial) {
            let mine = Entry { upcoming: false, ..aside.swap_remove(at) };
            // Another upgrade of the same id may have been faster.
            aside.extend(live.insert(session.id.clone(), mine));
        }
        Some(old)
    }

    /// The session of this id; while an upgrade of it runs, the upgrade.
    pub fn get(&self, id: &str) -> Option<Arc<Session>> {
        let mut found: Vec<Arc<Session>> = {
            let aside = self.aside();
            aside.iter().filter(|entry| entry.upcoming).filter_map(|entry| entry.session.upgrade()).collect()
        };
        found.extend(self.live().get(id).and_then(|entry| entry.session.upgrade()));
        found.into_iter().find(|session| session.id == id)
    }

    /// The session that has this id, whoever is about to take it over.
    pub(super) fn in_place(&self, id: &str) -> Option<Arc<Session>> {
        self.live().get(id).and_then(|entry| entry.session.upgrade())
    }

    /// All live sessions by id; with `replaced` those that lost their id to an upgrade instead.
    pub fn all(&self, replaced: bool) -> Vec<Arc<Session>> {
        // Collected first: dropping the last owner here would take these locks again.
        let found: Vec<Arc<Session>> = if replaced {
            self.aside().iter().filter(|entry| !entry.upcoming).filter_map(|entry| entry.session.upgrade()).collect()
        } else {
            self.live().values().filter_map(|entry| entry.session.upgrade()).collect()
        };
        found
    }
}

/// Whether a client may choose this id.
pub(crate) fn is_valid_id(id: &str) -> bool {
    id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

pub(super) fn random_id() -> String {
    // A random key for the process, and a count: no call of the system on the server's thread.
    static KEY: Lazy<RandomState> = Lazy::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut id: String = (0..3).map(|part| format!("{:016x}", KEY.hash_one((count, part)))).collect();
    id.truncate(40);
    id
}
