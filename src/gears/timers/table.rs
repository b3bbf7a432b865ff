//! Which timers are there, where are their keys, and when is each due?
//!
//! Plain data: what it says of keys is what the server has told. A timer whose key has gone stays until it is looked at:
//! the key may only have got another name.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::gears::durable::Page;
use crate::gears::Session;
use crate::python::Plan;
use crate::redis::Name;
use crate::sync::CancelToken;

/// Where a timer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In memory alone, calling in this database.
    Memory(i32),
    /// In a key, calling in its database.
    Key(Name),
    /// In a key that has gone.
    Lost,
}

/// What is called.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) session: Arc<Session>,
    pub(super) plan: Arc<Plan>,
}

/// One timer.
pub(super) struct Timer {
    pub(super) place: Place,
    pub(super) period: Duration,
    /// The script that a key holds, and which of its timers this is.
    pub(super) script: Option<(Arc<Page>, u64)>,
    /// Set once the script has run.
    pub(super) live: Option<Live>,
    /// Its script was to be run again for it.
    pub(super) asked: bool,
    at: Option<Instant>,
    /// Stops the call that goes on or waits for a thread.
    pub(super) call: Option<CancelToken>,
}

impl Timer {
    pub(super) fn new(place: Place, period: Duration, script: Option<(Arc<Page>, u64)>, live: Option<Live>) -> Self {
        Self { place, period, script, live, asked: false, at: None, call: None }
    }

    /// Its key, if it has one.
    pub(super) fn key(&self) -> Option<&Name> {
        match &self.place {
            Place::Key(name) => Some(name),
            Place::Memory(_) | Place::Lost => None,
        }
    }

    /// Whether it waits for this script.
    pub(super) fn awaits(&self, page: &Page) -> bool {
        self.live.is_none() && self.script.as_ref().is_some_and(|(mine, _)| mine.same_script(page))
    }

    /// Whether this session calls it.
    pub(super) fn is_of(&self, session: &Session) -> bool {
        self.live.as_ref().is_some_and(|live| live.session.is(session))
    }
}

/// The timers of this server, or those of a file that is being loaded.
#[derive(Default)]
pub(super) struct Table {
    timers: HashMap<u64, Timer>,
    names: HashMap<Name, u64>,
    due: BTreeSet<(Instant, u64)>,
    /// Those that have come or gone and were not looked at yet.
    fresh: Vec<u64>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.timers.len()
    }

    pub(super) fn get(&mut self, serial: u64) -> Option<&mut Timer> {
        self.timers.get_mut(&serial)
    }

    /// All of them.
    pub(super) fn iter(&mut self) -> impl Iterator<Item = (u64, &mut Timer)> {
        self.timers.iter_mut().map(|(serial, timer)| (*serial, timer))
    }

    /// Adds a timer, which is to be looked at; one that had its key before has lost it.
    pub(super) fn add(&mut self, serial: u64, timer: Timer) {
        if let Some(before) = timer.key().and_then(|name| self.names.insert(name.clone(), serial)) {
            self.lose(before);
        }
        self.timers.insert(serial, timer);
        self.fresh.push(serial);
    }

    /// A key goes. Whether it was that of a timer.
    pub(super) fn leaves(&mut self, name: &Name, serial: u64) -> bool {
        let known = self.names.get(name) == Some(&serial);
        if known {
            self.names.remove(name);
            self.lose(serial);
        }
        known
    }

    fn lose(&mut self, serial: u64) {
        if let Some(timer) = self.timers.get_mut(&serial) {
            timer.place = Place::Lost;
            self.fresh.push(serial);
        }
    }

    /// A timer's key has another name.
    pub(super) fn renamed(&mut self, serial: u64, name: Name) {
        let Some(timer) = self.timers.get_mut(&serial) else { return };
        if let Place::Key(before) = std::mem::replace(&mut timer.place, Place::Key(name.clone())) {
            self.names.remove(&before);
        }
        if let Some(before) = self.names.insert(name, serial).filter(|before| *before != serial) {
            self.lose(before);
        }
    }

    /// The keys of a database, or all of them, have gone.
    pub(super) fn flush(&mut self, db: Option<i32>) {
        let gone: Vec<u64> = self
            .names
            .iter()
            .filter(|(name, _)| db.is_none_or(|db| db == name.db))
            .map(|(_, serial)| *serial)
            .collect();
        self.names.retain(|name, _| db.is_some_and(|db| db != name.db));
        gone.into_iter().for_each(|serial| self.lose(serial));
    }

    /// Two databases have changed places.
    pub(super) fn swap(&mut self, a: i32, b: i32) {
        self.names = self.names.drain().map(|(name, serial)| (name.swapped(a, b), serial)).collect();
        for (name, serial) in &self.names {
            if let Some(timer) = self.timers.get_mut(serial) {
                timer.place = Place::Key(name.clone());
            }
        }
    }

    /// Takes in the timers of a file, in the place of those with keys.
    pub(super) fn replace(&mut self, loaded: Table) {
        self.flush(None);
        self.names = loaded.names;
        self.fresh.extend(loaded.fresh);
        self.timers.extend(loaded.timers);
    }

    /// What is to be looked at.
    pub(super) fn take_fresh(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.fresh)
    }

    /// Has a timer looked at once more.
    pub(super) fn look_again(&mut self, serial: u64) {
        self.fresh.push(serial);
    }

    /// Sets when a timer is due.
    pub(super) fn arm(&mut self, serial: u64, at: Instant) {
        let Some(timer) = self.timers.get_mut(&serial) else { return };
        if let Some(before) = timer.at.replace(at) {
            self.due.remove(&(before, serial));
        }
        self.due.insert((at, serial));
    }

    /// Takes the timers that are due by now, the longest overdue first.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<u64> {
        let later = self.due.split_off(&(now, u64::MAX));
        let due: Vec<u64> = std::mem::replace(&mut self.due, later).into_iter().map(|(_, serial)| serial).collect();
        for serial in &due {
            if let Some(timer) = self.timers.get_mut(serial) {
                timer.at = None;
            }
        }
        due
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Removes a timer.
    #[must_use = "its end may be that of a session, which is not to come under a lock"]
    pub(super) fn remove(&mut self, serial: u64) -> Option<Timer> {
        let timer = self.timers.remove(&serial)?;
        if let Some(at) = timer.at {
            self.due.remove(&(at, serial));
        }
        if let Some(name) = timer.key().filter(|name| self.names.get(name) == Some(&serial)) {
            self.names.remove(name);
        }
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(db: i32, key: &str) -> Name {
        Name { db, key: key.into() }
    }

    fn table(names: &[(i32, &str)]) -> Table {
        let mut table = Table::default();
        for (serial, (db, key)) in (1..).zip(names) {
            table.add(serial, Timer::new(Place::Key(name(*db, key)), Duration::from_secs(1), None, None));
        }
        table.take_fresh();
        table
    }

    fn place(table: &mut Table, serial: u64) -> Place {
        table.get(serial).expect("a timer").place.clone()
    }

    #[test]
    fn a_timer_follows_its_key_and_is_lost_with_it() {
        let mut table = table(&[(0, "a"), (0, "b")]);
        // As RENAME a b tells it: both names go, and one comes back.
        assert!(table.leaves(&name(0, "b"), 2) && table.leaves(&name(0, "a"), 1));
        table.renamed(1, name(0, "b"));
        assert_eq!(place(&mut table, 1), Place::Key(name(0, "b")));
        assert_eq!(place(&mut table, 2), Place::Lost);
        assert!(!table.leaves(&name(0, "a"), 1), "it is not there any more");
        assert!(!table.leaves(&name(0, "b"), 2), "it is another's");
        assert!(table.leaves(&name(0, "b"), 1));
        assert_eq!(place(&mut table, 1), Place::Lost);
        table.take_fresh().into_iter().for_each(|serial| drop(table.remove(serial)));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn databases_are_emptied_and_change_places() {
        let mut table = table(&[(0, "a"), (1, "a"), (2, "a")]);
        table.swap(0, 2);
        assert_eq!(place(&mut table, 1), Place::Key(name(2, "a")));
        table.flush(Some(0));
        assert_eq!(place(&mut table, 3), Place::Lost);
        assert_eq!(place(&mut table, 2), Place::Key(name(1, "a")));
        table.flush(None);
        assert_eq!(place(&mut table, 1), Place::Lost);
    }

    #[test]
    fn what_comes_to_a_name_takes_it_over() {
        let mut table = table(&[(0, "a")]);
        table.add(7, Timer::new(Place::Key(name(0, "a")), Duration::from_secs(1), None, None));
        assert_eq!(place(&mut table, 1), Place::Lost);
        drop(table.remove(1));
        assert!(table.leaves(&name(0, "a"), 7));
    }

    #[test]
    fn each_is_due_once_at_the_time_that_was_set_last() {
        let mut table = table(&[(0, "a"), (0, "b")]);
        let now = Instant::now();
        table.arm(1, now);
        table.arm(1, now + Duration::from_secs(1));
        table.arm(2, now);
        assert_eq!((table.take_due(now), table.take_due(now)), (vec![2], vec![]));
        assert_eq!(table.next_due(), Some(now + Duration::from_secs(1)));
        drop(table.remove(1));
        assert_eq!(table.next_due(), None);
    }
}
