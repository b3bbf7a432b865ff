//! Does a document that has changed since the snapshot still match?
//!
//! Its fields are read under the server's lock; here, outside of it, the document is read as an
//! indexing thread would read it and put into an index of its own, which the query is run on.

use engine::collect::search::{search, Request};
use engine::cursor::budget::Budget;
use engine::cursor::plan::Node;
use engine::index::{Change, Index};
use engine::score::Scorer;

use super::Fields;

/// Whether the document with these fields matches. One with a bad value is in no index, and so is one that the index's
/// filter leaves out.
pub(super) fn matches(node: &Node, key: &[u8], fields: &Fields) -> bool {
    if !fields.belong(key) {
        return false;
    }
    let Ok(document) = fields.document(key) else { return false };
    let index = Index::default();
    let applied = index.apply_now(Change::Upsert(Box::new(document)));
    debug_assert!(applied.is_ok(), "the first change of an index");
    let request = Request { scores: false, ..Request::best(node, Scorer::DocScore, 0) };
    search(&index.latest(), &request, &Budget::unlimited()).total == 1
}
