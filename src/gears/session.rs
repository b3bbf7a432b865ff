//! Which scripts are alive? Sessions: one to each script, for as long as anything of it lives.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use once_cell::sync::Lazy;

use crate::sync::CancelToken;

/// One script's session. Its owners are the script while it runs, and its executions until they end.
#[derive(Debug)]
pub struct Session {
    /// Its id: the client's, or 40 random hex digits.
    pub id: String,
    /// The client's description.
    pub description: Option<String>,
    /// What stops the script itself.
    pub cancel: CancelToken,
    serial: u64,
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut live = SESSIONS.live();
        if live.get(&self.id).is_some_and(|entry| entry.serial == self.serial) {
            live.remove(&self.id);
        }
        SESSIONS.replaced().retain(|entry| entry.serial != self.serial);
    }
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    session: std::sync::Weak<Session>,
}

/// The sessions that are alive.
#[derive(Debug, Default)]
pub struct Sessions {
    live: Mutex<BTreeMap<String, Entry>>,
    /// Sessions whose id went to an upgrade while something of them still runs.
    replaced: Mutex<Vec<Entry>>,
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

    fn replaced(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session. `upgrade` lets it take over its id; `replace` names another session that must be there.
    ///
    /// # Errors
    /// The text for the client.
    pub fn open(
        &self,
        id: Option<String>,
        description: Option<String>,
        upgrade: bool,
        replace: Option<&str>,
        cancel: CancelToken,
    ) -> Result<Arc<Session>, String> {
        let id = id.unwrap_or_else(random_id);
        let mut live = self.live();
        if let Some(old) = replace {
            if live.contains_key(&id) {
                return Err(format!("Can not replace an existing session {id} with {old}"));
            }
            let Some(entry) = live.remove(old) else {
                return Err(format!("Can not replace with {old}, session does not exists."));
            };
            self.replaced().push(entry);
        } else if live.get(&id).is_some_and(|entry| entry.session.strong_count() > 0) {
            if !upgrade {
                return Err(format!("Session {id} already exists"));
            }
            self.replaced().extend(live.remove(&id));
        }
        let serial = self.next.fetch_add(1, Ordering::Relaxed);
        let session = Arc::new(Session { id: id.clone(), description, cancel, serial });
        live.insert(id, Entry { serial, session: Arc::downgrade(&session) });
        Ok(session)
    }

    /// The session of this id.
    pub fn get(&self, id: &str) -> Option<Arc<Session>> {
        let found = self.live().get(id).and_then(|entry| entry.session.upgrade());
        found
    }

    /// All live sessions by id; with `replaced` those that lost their id to an upgrade instead.
    pub fn all(&self, replaced: bool) -> Vec<Arc<Session>> {
        // Collected first: dropping the last owner here would take these locks again.
        let found: Vec<Arc<Session>> = if replaced {
            self.replaced().iter().filter_map(|entry| entry.session.upgrade()).collect()
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

fn random_id() -> String {
    // A random key for the process, and a count: no call of the system on the server's thread.
    static KEY: Lazy<RandomState> = Lazy::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut id: String = (0..3).map(|part| format!("{:016x}", KEY.hash_one((count, part)))).collect();
    id.truncate(40);
    id
}
