//! The search core of Interlock: what is in an index, and what matches a query?
//!
//! Pure Rust: no server, no Python, no unsafe code. The search commands use it from the module's
//! side; tests, fuzzers and benches use it by itself. The ground floor holds what the key scan
//! needs already: Redis's glob patterns ([`glob`]).

#![forbid(unsafe_code)]

pub mod glob;
