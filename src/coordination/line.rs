//! Who waits for what, in which order, and until when? Plain queues, that know no server.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use crate::redis::Name;

/// The place of one who waits. Later ones are larger.
pub(crate) type Ticket = u64;

/// Those who wait for one name, the first first.
#[derive(Debug)]
pub(crate) struct Line<W> {
    waiting: BTreeMap<Ticket, W>,
    /// The same by kin.
    kin: HashMap<Vec<u8>, BTreeSet<Ticket>>,
}

impl<W> Line<W> {
    fn new() -> Self {
        Self { waiting: BTreeMap::new(), kin: HashMap::new() }
    }

    /// The first of all.
    pub(crate) fn first(&self) -> Option<Ticket> {
        self.waiting.keys().next().copied()
    }

    /// The first of the same kin.
    pub(crate) fn first_of(&self, kin: &[u8]) -> Option<Ticket> {
        self.kin.get(kin)?.first().copied()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Those who wait, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &W> {
        self.waiting.values()
    }
}

struct Place {
    name: Arc<Name>,
    kin: Vec<u8>,
    deadline: Option<Instant>,
}

/// All lines of one sort of waiting.
pub(crate) struct Lines<W> {
    lines: BTreeMap<Arc<Name>, Line<W>>,
    places: HashMap<Ticket, Place>,
    deadlines: BTreeSet<(Instant, Ticket)>,
    last: Ticket,
}

impl<W> Lines<W> {
    pub(crate) fn new() -> Self {
        Self { lines: BTreeMap::new(), places: HashMap::new(), deadlines: BTreeSet::new(), last: 0 }
    }

    /// The ticket that the next one to join gets.
    pub(crate) fn next_ticket(&self) -> Ticket {
        self.last + 1
    }

    /// Joins the end of a line.
    pub(crate) fn join(&mut self, name: Name, kin: &[u8], deadline: Option<Instant>, waiting: W) -> Ticket {
        self.last += 1;
        let ticket = self.last;
        let name = match self.lines.get_key_value(&name) {
            Some((name, _)) => name.clone(),
            None => Arc::new(name),
        };
        let line = self.lines.entry(name.clone()).or_insert_with(Line::new);
        line.waiting.insert(ticket, waiting);
        line.kin.entry(kin.to_vec()).or_default().insert(ticket);
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, ticket));
        }
        self.places.insert(ticket, Place { name, kin: kin.to_vec(), deadline });
        ticket
    }

    /// Takes one out of its line, if it is still there.
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<W> {
        let Place { name, kin, deadline } = self.places.remove(&ticket)?;
        if let Some(deadline) = deadline {
            self.deadlines.remove(&(deadline, ticket));
        }
        let line = self.lines.get_mut(&name)?;
        let waiting = line.waiting.remove(&ticket);
        if let Some(tickets) = line.kin.get_mut(&kin) {
            tickets.remove(&ticket);
            if tickets.is_empty() {
                line.kin.remove(&kin);
            }
        }
        if line.waiting.is_empty() {
            self.lines.remove(&name);
        }
        waiting
    }

    /// The line of a name, if anybody is in it.
    pub(crate) fn line(&self, name: &Name) -> Option<&Line<W>> {
        self.lines.get(name)
    }

    /// Somebody in line, by its ticket.
    pub(crate) fn get(&self, ticket: Ticket) -> Option<&W> {
        self.lines.get(&self.places.get(&ticket)?.name)?.waiting.get(&ticket)
    }

    /// All names that somebody waits for.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<Name>> {
        self.lines.keys()
    }

    /// Somebody whose time is over.
    pub(crate) fn overdue(&self, now: Instant) -> Option<Ticket> {
        self.deadlines.first().filter(|(deadline, _)| *deadline <= now).map(|&(_, ticket)| ticket)
    }

    /// When the next one's time is over.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(key: &str) -> Name {
        Name { db: 0, key: key.into() }
    }

    #[test]
    fn a_line_keeps_its_order_and_its_kin() {
        let mut lines = Lines::new();
        let a = lines.join(name("x"), b"a", None, "a1");
        let b = lines.join(name("x"), b"b", None, "b");
        let a2 = lines.join(name("x"), b"a", None, "a2");
        let line = lines.line(&name("x")).unwrap();
        assert_eq!((line.len(), line.first(), line.first_of(b"b")), (3, Some(a), Some(b)));
        assert_eq!(lines.leave(a), Some("a1"));
        assert_eq!(lines.leave(a), None);
        let line = lines.line(&name("x")).unwrap();
        assert_eq!((line.first(), line.first_of(b"a")), (Some(b), Some(a2)));
        lines.leave(b);
        lines.leave(a2);
        assert!(lines.line(&name("x")).is_none());
        assert_eq!(lines.names().count(), 0);
    }

    #[test]
    fn deadlines_come_in_order_of_time() {
        let mut lines = Lines::new();
        let now = Instant::now();
        let late = lines.join(name("x"), b"", Some(now + Duration::from_secs(9)), ());
        let soon = lines.join(name("y"), b"", Some(now + Duration::from_secs(1)), ());
        lines.join(name("y"), b"", None, ());
        assert_eq!(lines.overdue(now), None);
        assert_eq!(lines.overdue(now + Duration::from_secs(10)), Some(soon));
        lines.leave(soon);
        assert_eq!(lines.next_deadline(), Some(now + Duration::from_secs(9)));
        lines.leave(late);
        assert_eq!(lines.next_deadline(), None);
    }
}
