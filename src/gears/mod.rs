//! What happens to a script? Sessions, executions, and what a script sees of the server.
//!
//! A script runs in an interpreter and may create executions (a reader, steps, results). The tables
//! here are leaf locks: nothing waits while holding one.

pub mod config;
mod execution;
mod host;
mod reader;
mod run;
mod session;

pub use execution::{executions, Execution, Executions, Finished, Status};
pub use run::{run_script, stuck, ScriptRequest};
pub(crate) use session::is_valid_id;
pub use session::{sessions, Session, Sessions};

use std::sync::atomic::AtomicU64;

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
