//! The search core of Interlock: what is in an index, and what matches a query?
//!
//! Pure Rust: no server, no Python, no unsafe code. The search commands use it from the module's
//! side; tests, fuzzers and benches use it by itself. The key scan of the ground floor uses Redis's
//! glob patterns ([`glob`]) from here too.

#![forbid(unsafe_code)]

pub mod collect;
pub mod columns;
pub mod cursor;
pub mod dict;
pub mod error;
pub mod glob;
pub mod highlight;
pub mod index;
pub mod limits;
pub mod postings;
pub mod query;
pub mod schema;
pub mod score;
pub mod segment;
pub mod spellcheck;
pub mod text;
