//! What happens to a script? Sessions, executions, and what a script sees of the server.
//!
//! A script runs in an interpreter and may create executions (a reader, steps, results) and registrations (events that
//! start executions). The tables here are leaf locks: nothing waits while holding one.

pub mod cache;
mod calls;
mod commit;
pub mod config;
mod durable;
mod events;
mod execution;
pub mod functions;
mod hooks;
mod host;
mod linked;
mod moment;
mod profile;
mod queue;
mod reader;
mod registration;
mod registrations;
mod repeat;
pub mod requirements;
mod run;
mod session;
mod streams;
mod timers;
mod trigger;

pub use commit::unregister;
pub use durable::learn as learn_session;
pub use execution::{executions, Execution, Executions, Finished, Status};
pub use hooks::hooked;
pub use profile::profile;
pub use registration::{KeyTrigger, Mode, OnFailure, Registration, Stats, StreamTrigger, Trigger};
pub use registrations::{registrations, Registrations};
pub use run::{resize_pool, run_script, stuck, ScriptRequest};
pub(crate) use session::is_valid_id;
pub use session::{sessions, Origin, Session, Sessions};
pub use streams::{pause, StreamStatus};
pub use timers::{abort as abort_timers, count as count_timers, learn as learn_timer};
pub use trigger::trigger;

use std::sync::atomic::AtomicU64;

use crate::redis::{observe, Loader};

/// Listens to what happens to keys and to the data set, and has registrations saved.
///
/// # Errors
/// What the server refused.
pub fn register(loader: &Loader) -> Result<(), String> {
    loader.watch_keys(events::WATCHER)?;
    loader.watch_keys(streams::WATCHER)?;
    loader.aside::<durable::Sessions>()?;
    loader.aside::<cache::Scripts>()?;
    loader.aside::<functions::Functions>()?;
    loader.large_aside::<requirements::Requirements>()?;
    // First, for what the others restore needs them.
    observe(requirements::on_server_event);
    observe(durable::on_server_event);
    observe(streams::on_server_event);
    observe(functions::on_server_event);
    timers::register(loader)?;
    observe(repeat::on_server_event);
    Ok(())
}

/// Counters of the Python side, for `INFO` and `IL.STATS`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Scripts run.
    pub scripts: AtomicU64,
    /// Scripts that ended with an error.
    pub scripts_failed: AtomicU64,
    /// Executions started.
    pub executions: AtomicU64,
    /// Scripts and executions that were aborted by a command, by a client's leaving, or by SHUTDOWN.
    pub aborted: AtomicU64,
    /// Scripts and executions that reached their time limit.
    pub timeouts: AtomicU64,
}

/// The counters.
pub static COUNTERS: Counters = Counters {
    scripts: AtomicU64::new(0),
    scripts_failed: AtomicU64::new(0),
    executions: AtomicU64::new(0),
    aborted: AtomicU64::new(0),
    timeouts: AtomicU64::new(0),
};
