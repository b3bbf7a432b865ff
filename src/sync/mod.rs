//! How do threads agree? Coordination in plain Rust: no server, no Python.
//!
//! Lock order of the whole module, outermost first: a Python GIL is *released* before waiting for the
//! server's global lock; then index locks; then leaf locks, under which nothing waits for anything.
//! Everything in this folder is a leaf.

mod cancel;
mod histogram;
mod pace;
mod pool;
mod turns;
mod turnstile;

pub use cancel::{CancelToken, Stop};
pub use histogram::{Histogram, Summary};
pub use pace::Pace;
pub use pool::{Pool, Refused};
pub use turnstile::{Turn, Turnstile};
