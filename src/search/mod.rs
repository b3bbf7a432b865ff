//! search/: which documents of the keyspace match a query, while everything goes on?
//!
//! The engine (a package of its own) keeps the documents of one index and answers queries over
//! snapshots. This layer ties it to the server: which indexes there are ([`registry`]), which keys belong
//! to them (`routes`), how changes of keys reach them (`follow`, `queue`), and how a query becomes rows.
//!
//! A change is numbered and its fields are copied under the server's lock; reading the document and
//! inserting it happen on indexing threads. A query takes the number of the last change when it arrives
//! and waits until that is applied: it sees all writes before it and none after.

mod cost;
mod counters;
pub mod definition;
pub mod dictionaries;
mod errors;
mod filter;
mod flight;
mod follow;
mod index;
mod job;
pub mod legacy;
pub mod lifecycle;
mod load;
mod plan;
mod queue;
mod recheck;
pub mod registry;
mod repeat;
mod request;
mod routes;
mod rows;
mod saved;
mod scan;
mod snippets;
mod steady;
mod vocabulary;
mod work;

pub use counters::COUNTERS;
pub use errors::{Failures, IndexErrors};
pub use flight::{board, Leg};
pub use index::{SearchIndex, View};
pub use job::{Failure, Matched, Report, Search, Weight, TIMED_OUT};
pub use plan::Plan;
pub use queue::{analysis_limits, Fields, Update};
pub use request::{Content, Filter, Highlight, Request, Returned, Sort, Summarize};
pub use rows::{Answer, Field, Row};
pub use vocabulary::{misspelled, tag_values, word_count, Spelling};

use crate::redis::{observe, Loader};

/// Listens to what happens to keys and to the data set.
///
/// # Errors
/// What the server refused.
pub fn register(loader: &Loader) -> Result<(), String> {
    loader.watch_keys(follow::WATCHER)?;
    loader.large_aside::<saved::Saved>()?;
    loader.around_fork(saved::AROUND_FORK)?;
    observe(follow::on_server_event);
    Ok(())
}
