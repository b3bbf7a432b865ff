//! How many searches took which way?

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Sets it back to zero.
    pub fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Numbers of searches.
#[derive(Debug)]
pub struct Counters {
    /// All.
    pub searches: Counter,
    /// Those that were so small that they ran at once.
    pub at_once: Counter,
    /// Those that were long.
    pub long: Counter,
    /// Those that got the answer of an identical one.
    pub shared: Counter,
    /// Those whose time ran out.
    pub timed_out: Counter,
    /// Documents that were looked at again because they had changed.
    pub rechecked: Counter,
}

/// The counters.
pub static COUNTERS: Counters = Counters {
    searches: Counter::new(),
    at_once: Counter::new(),
    long: Counter::new(),
    shared: Counter::new(),
    timed_out: Counter::new(),
    rechecked: Counter::new(),
};

impl Counters {
    /// All of them, with their names in `INFO` and `IL.STATS`.
    pub fn all(&self) -> [(&'static str, &Counter); 6] {
        [
            ("searches", &self.searches),
            ("searches_at_once", &self.at_once),
            ("searches_long", &self.long),
            ("searches_shared", &self.shared),
            ("searches_timed_out", &self.timed_out),
            ("searches_rechecked", &self.rechecked),
        ]
    }
}
