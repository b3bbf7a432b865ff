//! What do `INFO` and `IL.STATS` show? One list of figures for both.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::redis::{self, clients_waiting, Pools};
use crate::reply::Reply;
use crate::sync::{Pool, Summary};

/// All figures, in order. Durations are in microseconds.
pub(crate) fn figures() -> Vec<(String, Reply)> {
    let lock = redis::stats();
    let mut list = List::default();
    list.text("version", env!("CARGO_PKG_VERSION"));
    list.text("safemode", &crate::settings::SAFEMODE.text());
    list.count("slices", lock.hold.count);
    list.summary("slice_hold_us", &lock.hold);
    list.summary("slice_wait_us", &lock.worker_wait);
    list.count("main_wait_samples", lock.main_wait.count);
    list.summary("main_wait_us", &lock.main_wait);
    list.count("hand_overs", lock.yields);
    list.count("hand_overs_missed", lock.forced);
    for (name, pool) in [
        ("workers", Pools::Workers),
        ("long", Pools::Long),
        ("rows", Pools::Rows),
        ("python", Pools::Python),
        ("indexing", Pools::Indexing),
        ("scanning", Pools::Scanning),
        ("maintenance", Pools::Maintenance),
    ] {
        // Asking must not start the threads of a pool that nobody uses.
        let pool = pool.started();
        list.count(&format!("{name}_queued"), pool.map_or(0, Pool::queued) as u64);
        list.count(&format!("{name}_running"), pool.map_or(0, Pool::running) as u64);
    }
    let search = crate::search::registry::totals();
    for (name, count) in [
        ("indexes", search.indexes),
        ("index_documents", search.documents),
        ("index_failures", search.failures),
        ("index_memory", search.memory),
        ("index_queue", search.queued),
        ("index_queue_bytes", search.queued_bytes),
    ] {
        list.count(name, count);
    }
    let python = crate::python::registry().map(|registry| registry.stats()).unwrap_or_default();
    for (name, count) in [
        ("warm", python.warm),
        ("in_use", python.in_use),
        ("idle", python.idle),
        ("ending", python.ending),
        ("stuck", python.stuck),
    ] {
        list.count(&format!("interpreters_{name}"), count as u64);
    }
    list.count("interpreters_created", python.created);
    list.count("interpreters_ended", python.ended);
    list.count("python_memory", python.memory as u64);
    for (name, counter) in counters() {
        list.count(name, counter.load(Ordering::Relaxed));
    }
    list.count("scripts_stuck", crate::gears::stuck() as u64);
    list.count("timers", crate::gears::count_timers() as u64);
    for (name, counter) in crate::search::COUNTERS.all() {
        list.count(name, counter.get());
    }
    list.count("clients_waiting", clients_waiting() as u64);
    list.0
}

/// Sets the histograms and counters back to zero; gauges stay.
pub(crate) fn reset() {
    redis::reset_stats();
    crate::search::COUNTERS.all().into_iter().for_each(|(_, counter)| counter.reset());
    for (_, counter) in counters() {
        counter.store(0, Ordering::Relaxed);
    }
}

/// The counters of scripts.
fn counters() -> [(&'static str, &'static AtomicU64); 5] {
    let counters = &crate::gears::COUNTERS;
    [
        ("scripts", &counters.scripts),
        ("scripts_failed", &counters.scripts_failed),
        ("executions", &counters.executions),
        ("aborted", &counters.aborted),
        ("timeouts", &counters.timeouts),
    ]
}

#[derive(Default)]
struct List(Vec<(String, Reply)>);

impl List {
    fn text(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), Reply::bulk(value)));
    }

    fn count(&mut self, name: &str, value: u64) {
        self.0.push((name.to_owned(), Reply::count(value)));
    }

    fn summary(&mut self, name: &str, summary: &Summary) {
        for (part, value) in [("p50", summary.p50), ("p99", summary.p99), ("p999", summary.p999), ("max", summary.max)]
        {
            self.0.push((format!("{name}_{part}"), Reply::Double(value)));
        }
    }
}
