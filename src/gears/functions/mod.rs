//! Which Python functions can be called by name? Libraries: scripts that are loaded once and declare functions.
//!
//! A library has an interpreter of its own for as long as it is in force. What it is (its source, what it declares) is
//! known and saved apart from whether it is loaded: after a restart a call finds its function at once, and waits for the
//! interpreter, or loads it itself where nobody can wait.

mod call;
mod header;
mod library;
mod load;
mod payload;
mod table;

pub use call::{call, FunctionCall};
pub use library::{Declared, Definition, Library, Tally};
pub use load::{load, Request};
pub use payload::{dump, restore, Restore};
pub use table::{all, delete, flush, learn};
pub(super) use table::{on_server_event, repeat, Functions};
