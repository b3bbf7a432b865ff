//! May the query go on? Asked inside every loop that can be long.
//!
//! Whoever runs a query brings a closure that looks at its deadline and its cancel token; looking
//! costs tens of nanoseconds, so it is done once in a few thousand postings. Once it has said stop,
//! every cursor is at its end, so that loops end by themselves, and what was found is partial.

use std::cell::Cell;

/// Why a query ended before it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Its time is over.
    Deadline,
    /// Nobody waits for it any more.
    Cancelled,
}

/// Units of work between questions. A unit is about one posting; a few thousand take some
/// microseconds.
const ASK_EVERY: u32 = 8_192;

/// A query's permission to work.
pub struct Budget<'a> {
    left: Cell<u32>,
    stopped: Cell<Option<Stop>>,
    ask: &'a dyn Fn() -> Option<Stop>,
}

impl std::fmt::Debug for Budget<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("stopped", &self.stopped.get()).finish_non_exhaustive()
    }
}

impl<'a> Budget<'a> {
    /// A budget that asks `ask`, at once and then now and then.
    pub fn new(ask: &'a dyn Fn() -> Option<Stop>) -> Self {
        Self { left: Cell::new(0), stopped: Cell::new(None), ask }
    }

    /// A budget without end.
    pub fn unlimited() -> Budget<'static> {
        Budget::new(&|| None)
    }

    /// Uses some units, and says whether the work must stop.
    #[inline]
    pub fn spend(&self, units: u32) -> bool {
        let left = self.left.get();
        if left > units {
            self.left.set(left - units);
            return false;
        }
        self.refill()
    }

    #[cold]
    fn refill(&self) -> bool {
        if self.stopped.get().is_none() {
            self.stopped.set((self.ask)());
        }
        let stopped = self.stopped.get().is_some();
        // Once stopped, every further question is answered here.
        self.left.set(if stopped { 0 } else { ASK_EVERY });
        stopped
    }

    /// Why it stopped, if it did.
    pub fn stopped(&self) -> Option<Stop> {
        self.stopped.get()
    }
}
