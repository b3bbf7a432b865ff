//! The Python runtime: which interpreter runs a script, and what keeps it from harming anybody?
//!
//! Knows nothing of the server; what scripts ask of it goes through [`host::Host`].
//!
//! [`boot()`] starts Python once. [`Registry::acquire`] gives an [`Interpreter`]; a [`Script`] in it runs a body
//! ([`Script::exec`]), which may create [`Plan`]s, and later those ([`Script::run_plan`]). Nothing here is
//! ever ended by the thread that lets go of it last.

pub mod host;

mod background;
mod boot;
mod ffi;
mod interpreter;
mod output;
mod reaper;
mod registry;
mod run;
mod script;
mod watch;

pub use background::Waiting;
pub use boot::{boot, executable, BootOptions};
pub use ffi::RawAllocator;
pub use interpreter::{Interpreter, InterpreterInfo, Isolation, Scope, State};
pub use registry::{registry, Registry, RegistryStats, Want};
pub use run::Run;
pub use script::{Called, Plan, PlanOutcome, Ran, Script, ScriptError};

/// The stack that a thread needs to run Python code: CPython counts calls, not bytes, and a recursion through C
/// code must meet its limit before the end of the stack.
pub const STACK_SIZE: usize = 32 * 1024 * 1024;

/// CPython's version, for example `3.11.2`.
pub fn version() -> String {
    ffi::version()
}

/// Whether each sub-interpreter has a GIL of its own, so that scripts run in parallel.
pub fn own_gil() -> bool {
    ffi::OWN_GIL
}

/// Bytes that Python has allocated through the module's allocator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryTotals {
    /// Since the start.
    pub total: u64,
    /// The most that was seen: at allocations of a megabyte and more, and after every run.
    pub peak: u64,
    /// Now.
    pub current: u64,
}

/// The totals now.
pub fn memory_totals() -> MemoryTotals {
    let peak = ffi::note_peak();
    let (total, current) = ffi::totals();
    MemoryTotals { total, peak, current: current as u64 }
}
