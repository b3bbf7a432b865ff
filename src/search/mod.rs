//! search/: which documents of the keyspace match a query, while everything goes on?
//!
//! The engine (a package of its own) keeps the documents of one index and answers queries over
//! snapshots. This layer ties it to the server: which indexes there are ([`registry`]), which keys belong
//! to them, how changes of keys reach them ([`queue`]), and how a query becomes rows.
//!
//! A change is numbered and its fields are copied under the server's lock; reading the document and
//! inserting it happen on indexing threads. A query takes the number of the last change when it arrives
//! and waits until that is applied: it sees all writes before it and none after.

mod index;
mod queue;
pub mod registry;

pub use index::{SearchIndex, View};
pub use queue::{Fields, Update};
