//! How much work is a query, about?
//!
//! Asked on the main thread before the query runs anywhere, so it looks at lengths of posting lists, at the ends of
//! ranges, at a few terms of a pattern, and at nothing else. What it can't know cheaply it takes for all documents.

use std::cell::Cell;

use engine::collect::search::WALK_BELOW;
use engine::cursor::budget::{Budget, Stop};
use engine::cursor::filter::Predicate;
use engine::cursor::plan::{Node, NodeKind};
use engine::dict::Space;
use engine::index::Snapshot;

/// What a query has to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// Postings and values that may have to be read.
    pub(super) postings: u64,
    /// The same in the time that a posting takes which is looked at by itself: those that are read block by block
    /// take less.
    pub(super) looks: u64,
}

/// Postings of a list that is read block by block in the time of one that is looked at by itself. Measured:
/// engine/benches/query.rs.
const BLOCKWISE: u64 = 24;

/// Values of a range or a circle that are gathered in that time.
const GATHERED: u64 = 16;

/// Postings of several lists that are merged as bits in that time.
const MERGED: u64 = 8;

/// What finding a term and its list takes, in postings.
const TERM: u64 = 16;

/// How often a pattern's search for terms may ask whether to go on: some ten microseconds.
const PATIENCE: u32 = 3;

impl Cost {
    /// Postings that are looked at one by one.
    fn looking(postings: u64) -> Self {
        Self { postings, looks: postings }
    }

    /// Lists that are merged: few postings are walked, many are not looked at one by one.
    fn merging(postings: u64) -> Self {
        Self { postings, looks: if postings < WALK_BELOW { postings } else { postings / MERGED } }
    }

    fn plus(self, other: Self) -> Self {
        Self { postings: self.postings.saturating_add(other.postings), looks: self.looks.saturating_add(other.looks) }
    }
}

/// What a query costs.
pub(super) fn estimate(snapshot: &Snapshot, node: &Node) -> Cost {
    // A list that is the whole query is read block by block.
    if let Some(postings) = list(snapshot, node) {
        return Cost { postings, looks: postings / BLOCKWISE };
    }
    match &node.kind {
        NodeKind::Empty => Cost::looking(0),
        NodeKind::Keys(keys) => Cost::looking(keys.len() as u64),
        NodeKind::Union(children) => match children.iter().map(|child| list(snapshot, child)).sum::<Option<u64>>() {
            Some(postings) => Cost::merging(postings),
            None => children.iter().map(|child| estimate(snapshot, child)).fold(Cost::looking(0), Cost::plus),
        },
        // The shortest list leads, and each of its documents is looked up in the others.
        NodeKind::Intersect { children, .. } if children.iter().all(is_list) => {
            let cost = |child| list(snapshot, child).unwrap_or_else(|| estimate(snapshot, child).postings);
            let shortest = children.iter().map(cost).min().unwrap_or(0);
            Cost::looking(shortest.saturating_mul(children.len() as u64))
        }
        NodeKind::Range(field, range) => gathered(snapshot, Predicate::Range(*field, *range)),
        NodeKind::Circle(field, circle) => gathered(snapshot, Predicate::Circle(*field, *circle)),
        NodeKind::Expand { .. } => expanded(snapshot, node).unwrap_or(Cost::looking(snapshot.documents())),
        _ => Cost::looking(snapshot.documents()),
    }
}

/// Whether a clause is read from lists of documents, and only as far as it is needed.
fn is_list(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Union(children) | NodeKind::Intersect { children, .. } => children.iter().all(is_list),
        kind => matches!(
            kind,
            NodeKind::Empty
                | NodeKind::Term { .. }
                | NodeKind::Tag { .. }
                | NodeKind::Missing(_)
                | NodeKind::Keys(_)
                | NodeKind::Range(..)
                | NodeKind::Circle(..)
        ),
    }
}

/// The postings of a clause that is one list.
fn list(snapshot: &Snapshot, node: &Node) -> Option<u64> {
    match &node.kind {
        NodeKind::Term { term, .. } => Some(postings(snapshot, Space::Text, term)),
        NodeKind::Tag { field, value } => Some(postings(snapshot, Space::Tag(*field), value)),
        NodeKind::Missing(field) => Some(postings(snapshot, Space::Missing(*field), b"")),
        _ => None,
    }
}

fn postings(snapshot: &Snapshot, space: Space, term: &[u8]) -> u64 {
    let key = space.key(term);
    snapshot.segments().filter_map(|segment| segment.list(&key)).map(|list| list.len() as u64).sum()
}

/// Where a column has an order, only the part between the ends is read, and only what may be outside is looked at.
fn gathered(snapshot: &Snapshot, predicate: Predicate) -> Cost {
    let of_segment = |segment| match predicate.candidates(segment) {
        Some(runs) => {
            let certain: u64 = runs.iter().filter(|run| run.certain).map(|run| run.docs.len() as u64).sum();
            let others: u64 = runs.iter().filter(|run| !run.certain).map(|run| run.docs.len() as u64).sum();
            Cost { postings: certain + others, looks: certain / GATHERED + others }
        }
        None => Cost::looking(u64::from(segment.len())),
    };
    snapshot.segments().map(of_segment).fold(Cost::looking(0), Cost::plus)
}

/// The lists of a pattern's terms; `None` when finding them takes too long.
fn expanded(snapshot: &Snapshot, node: &Node) -> Option<Cost> {
    let NodeKind::Expand { space, pattern, fields, limit } = &node.kind else { return None };
    let asked = Cell::new(0);
    let ask = || {
        asked.set(asked.get() + 1);
        (asked.get() > PATIENCE).then_some(Stop::Deadline)
    };
    let budget = Budget::new(&ask);
    let mut found = 0;
    for segment in snapshot.segments() {
        // Lists are looked up afterwards: a live segment is locked meanwhile.
        let mut keys = Vec::new();
        segment.matching(*space, pattern, *fields, &budget, |term| {
            keys.push(space.key(term));
            keys.len() < *limit && !budget.spend(TERM as u32 * 4)
        });
        let lists = keys.iter().filter_map(|key| segment.list(key));
        found += lists.map(|list| TERM + list.len() as u64).sum::<u64>();
    }
    budget.stopped().is_none().then(|| Cost::merging(found))
}
