//! How much work is a query, about?
//!
//! Asked on the main thread before the query runs anywhere, so it looks at lengths of posting lists and at
//! nothing else. What it can't know cheaply it takes for all documents.

use engine::cursor::plan::{Node, NodeKind};
use engine::dict::Space;
use engine::index::Snapshot;

/// Postings that may have to be read.
pub(super) fn estimate(snapshot: &Snapshot, node: &Node) -> u64 {
    match &node.kind {
        NodeKind::Empty => 0,
        NodeKind::Term { term, .. } => postings(snapshot, Space::Text, term),
        NodeKind::Tag { field, value } => postings(snapshot, Space::Tag(*field), value),
        NodeKind::Missing(field) => postings(snapshot, Space::Missing(*field), b""),
        NodeKind::Keys(keys) => keys.len() as u64,
        NodeKind::Union(children) => children.iter().map(|child| estimate(snapshot, child)).sum(),
        // The shortest list leads, and each of its documents is looked up in the others.
        NodeKind::Intersect { children, .. } if children.iter().all(is_list) => {
            let shortest = children.iter().map(|child| estimate(snapshot, child)).min().unwrap_or(0);
            shortest * children.len() as u64
        }
        _ => snapshot.documents(),
    }
}

/// Whether a clause is read from lists of documents, and only as far as it is needed.
fn is_list(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Union(children) | NodeKind::Intersect { children, .. } => children.iter().all(is_list),
        kind => matches!(
            kind,
            NodeKind::Empty | NodeKind::Term { .. } | NodeKind::Tag { .. } | NodeKind::Missing(_) | NodeKind::Keys(_)
        ),
    }
}

fn postings(snapshot: &Snapshot, space: Space, term: &[u8]) -> u64 {
    let key = space.key(term);
    snapshot.segments().filter_map(|segment| segment.list(&key)).map(|list| list.len() as u64).sum()
}
