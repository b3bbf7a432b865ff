//! collect/: how many documents match, and which are the best?
//!
//! [`search`] drives the cursors of each segment. Totals are exact, so every match is counted; but
//! counting needs no scores, and the best need few. So a query that may have many matches runs
//! twice: once as sets of bits ([`count`]), once for its best documents, where whole blocks are
//! passed over because nothing in them can be among the best ([`prune`]). A query with few matches
//! is walked once.

pub mod accumulate;
pub mod count;
pub mod gate;
pub mod prune;
pub mod search;
pub mod sort;
pub mod topk;

pub use search::{matches, profile, search, Found, Hit, Order, Request};
