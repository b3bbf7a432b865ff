//! Which registrations are in force? The table of them, and quick ways into it for events.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use once_cell::sync::Lazy;

use super::{hooks, Registration, Session, Trigger};
use crate::redis::{node_id, Held};

/// The registrations of this server. They come and go under the server's lock; the mutex makes the table a static.
#[derive(Default)]
pub struct Registrations {
    tables: Mutex<Tables>,
    next: AtomicU64,
    /// How many are about keys, and about streams: asked for every write.
    keys: AtomicUsize,
    streams: AtomicUsize,
}

#[derive(Default)]
struct Tables {
    /// In the order in which they came.
    all: Vec<Arc<Registration>>,
    keys: Arc<Vec<Arc<Registration>>>,
    streams: Arc<Vec<Arc<Registration>>>,
    triggers: HashMap<Vec<u8>, Arc<Registration>>,
}

static REGISTRATIONS: Lazy<Registrations> = Lazy::new(Registrations::default);

/// The registrations of this server.
pub fn registrations() -> &'static Registrations {
    &REGISTRATIONS
}

impl Registrations {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new id.
    pub(super) fn next_id(&self) -> String {
        // From 1 on, as the first one of RedisGears is.
        format!("{}-{}", node_id(), self.next.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// An id that is in use: new ones come after it.
    pub(super) fn known_id(&self, id: &str) {
        if let Some(number) = id.rsplit('-').next().and_then(|number| number.parse().ok()) {
            self.next.fetch_max(number, Ordering::Relaxed);
        }
    }

    /// All of them, in the order in which they came.
    pub fn all(&self) -> Vec<Arc<Registration>> {
        self.tables().all.clone()
    }

    /// The one of this id.
    pub fn get(&self, id: &str) -> Option<Arc<Registration>> {
        self.tables().all.iter().find(|registration| registration.id == id).cloned()
    }

    /// Those of a session.
    pub fn of_session(&self, session: &Session) -> Vec<Arc<Registration>> {
        let mine = |registration: &&Arc<Registration>| registration.session.is(session);
        self.tables().all.iter().filter(mine).cloned().collect()
    }

    /// The one that `RG.TRIGGER name` calls.
    pub fn trigger(&self, name: &[u8]) -> Option<Arc<Registration>> {
        self.tables().triggers.get(name).cloned()
    }

    /// Whether there are registrations about keys.
    pub(super) fn any_keys(&self) -> bool {
        self.keys.load(Ordering::Acquire) > 0
    }

    /// Those about keys.
    pub(super) fn keys(&self) -> Arc<Vec<Arc<Registration>>> {
        Arc::clone(&self.tables().keys)
    }

    /// Whether there are registrations about streams.
    pub(super) fn any_streams(&self) -> bool {
        self.streams.load(Ordering::Acquire) > 0
    }

    /// Those about streams.
    pub(super) fn streams(&self) -> Arc<Vec<Arc<Registration>>> {
        Arc::clone(&self.tables().streams)
    }

    /// Puts registrations in force and others out of it, in one step.
    pub(super) fn change(&self, held: &Held<'_>, gone: &[Arc<Registration>], new: &[Arc<Registration>]) {
        let before = {
            let mut tables = self.tables();
            let before = std::mem::take(&mut tables.all);
            let stays = |registration: &&Arc<Registration>| !gone.iter().any(|gone| Arc::ptr_eq(gone, registration));
            tables.all = before.iter().filter(stays).chain(new).cloned().collect();
            let about = |wanted: fn(&Trigger) -> bool| -> Vec<Arc<Registration>> {
                tables.all.iter().filter(|one| wanted(&one.trigger)).cloned().collect()
            };
            let keys = about(|trigger| matches!(trigger, Trigger::Keys(_)));
            let streams = about(|trigger| matches!(trigger, Trigger::Stream(_)));
            self.keys.store(keys.len(), Ordering::Release);
            self.streams.store(streams.len(), Ordering::Release);
            (tables.keys, tables.streams) = (Arc::new(keys), Arc::new(streams));
            tables.triggers = tables
                .all
                .iter()
                .filter_map(|one| match &one.trigger {
                    Trigger::Command { name, .. } => Some((name.clone(), Arc::clone(one))),
                    _ => None,
                })
                .collect();
            before
        };
        hooks::follow(held, &self.all());
        gone.iter().for_each(|one| one.set_live(false));
        new.iter().for_each(|one| one.set_live(true));
        // The last owner of one may be here: outside the lock.
        drop(before);
    }
}
