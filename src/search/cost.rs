//! How much work is a query, about?
//!
//! Asked on the main thread before the query runs anywhere, so it looks at lengths of posting lists, at the ends of
//! ranges, at a few terms of a pattern, and at nothing else. What it can't know cheaply it takes for all documents.

use std::cell::Cell;

use engine::collect::search::WALK_BELOW;
use engine::cursor::budget::{Budget, Stop};
use engine::cursor::filter::Predicate;
use engine::cursor::plan::{Node, NodeKind};
use engine::dict::pattern::Pattern;
use engine::dict::Space;
use engine::index::Snapshot;
use engine::schema::FieldMask;
use engine::segment::Segment;

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
const TERM: u32 = 16;

/// What finding the ends of a range, and the squares of a circle, takes.
const RANGE: u32 = 64;
const CIRCLE: u32 = 1024;

/// How often the estimate of a whole query may ask whether to go on: some ten microseconds.
const PATIENCE: u32 = 4;

impl Cost {
    /// Postings that are looked at one by one.
    fn looking(postings: u64) -> Self {
        Self { postings, looks: postings }
    }

    /// Lists that are merged: few postings are walked, many are not looked at one by one.
    fn merging(postings: u64) -> Self {
        Self { postings, looks: if postings < WALK_BELOW { postings } else { postings / MERGED } }
    }

    /// What is not known: all documents, and never little.
    fn unknown(snapshot: &Snapshot) -> Self {
        Self { postings: snapshot.documents(), looks: u64::MAX }
    }

    fn plus(self, other: Self) -> Self {
        Self { postings: self.postings.saturating_add(other.postings), looks: self.looks.saturating_add(other.looks) }
    }
}

/// What a query costs.
pub(super) fn estimate(snapshot: &Snapshot, node: &Node) -> Cost {
    let asked = Cell::new(0);
    let ask = || {
        asked.set(asked.get() + 1);
        (asked.get() > PATIENCE).then_some(Stop::Deadline)
    };
    let estimate = Estimate { snapshot, budget: &Budget::new(&ask) };
    estimate.of(node)
}

/// The estimate of one query, however many clauses it has, takes no longer than its budget.
struct Estimate<'a> {
    snapshot: &'a Snapshot,
    budget: &'a Budget<'a>,
}

impl Estimate<'_> {
    fn of(&self, node: &Node) -> Cost {
        let cost = self.of_known(node);
        if self.budget.stopped().is_some() {
            Cost::unknown(self.snapshot)
        } else {
            cost
        }
    }

    fn of_known(&self, node: &Node) -> Cost {
        // A list that is the whole query is read block by block.
        if let Some(postings) = self.list(node) {
            return Cost { postings, looks: postings / BLOCKWISE };
        }
        match &node.kind {
            NodeKind::Empty => Cost::looking(0),
            NodeKind::Keys(keys) => Cost::looking(keys.len() as u64),
            NodeKind::Union(children) => match children.iter().map(|child| self.list(child)).sum::<Option<u64>>() {
                Some(postings) => Cost::merging(postings),
                None => children.iter().map(|child| self.of(child)).fold(Cost::looking(0), Cost::plus),
            },
            // The shortest list leads, and each of its documents is looked up in the others.
            NodeKind::Intersect { children, .. } if children.iter().all(is_list) => {
                let cost = |child| self.list(child).unwrap_or_else(|| self.of(child).postings);
                let shortest = children.iter().map(cost).min().unwrap_or(0);
                Cost::looking(shortest.saturating_mul(children.len() as u64))
            }
            NodeKind::Range(field, range) => self.gathered(Predicate::Range(*field, *range), RANGE),
            NodeKind::Circle(field, circle) => self.gathered(Predicate::Circle(*field, *circle), CIRCLE),
            NodeKind::Expand { space, pattern, fields, limit } => self.expanded(*space, pattern, *fields, *limit),
            _ => Cost::looking(self.snapshot.documents()),
        }
    }

    /// The postings of a clause that is one list.
    fn list(&self, node: &Node) -> Option<u64> {
        match &node.kind {
            NodeKind::Term { term, .. } => Some(self.postings(Space::Text, term)),
            NodeKind::Tag { field, value } => Some(self.postings(Space::Tag(*field), value)),
            NodeKind::Missing(field) => Some(self.postings(Space::Missing(*field), b"")),
            _ => None,
        }
    }

    fn postings(&self, space: Space, term: &[u8]) -> u64 {
        let key = space.key(term);
        let here =
            |segment: &Segment| if self.budget.spend(TERM) { None } else { segment.list(&key).map(|list| list.len()) };
        self.snapshot.segments().filter_map(here).map(|len| len as u64).sum()
    }

    /// Where a column has an order, only the part between the ends is read, and only what may be outside is looked at.
    fn gathered(&self, predicate: Predicate, price: u32) -> Cost {
        let of_segment = |segment: &Segment| {
            if self.budget.spend(price) {
                return Cost::unknown(self.snapshot);
            }
            match predicate.candidates(segment) {
                Some(runs) => {
                    let certain: u64 = runs.iter().filter(|run| run.certain).map(|run| run.docs.len() as u64).sum();
                    let others: u64 = runs.iter().filter(|run| !run.certain).map(|run| run.docs.len() as u64).sum();
                    Cost { postings: certain + others, looks: certain / GATHERED + others }
                }
                None => Cost::looking(u64::from(segment.len())),
            }
        };
        self.snapshot.segments().map(of_segment).fold(Cost::looking(0), Cost::plus)
    }

    /// The lists of a pattern's terms.
    fn expanded(&self, space: Space, pattern: &Pattern, fields: FieldMask, limit: usize) -> Cost {
        let mut found = 0;
        for segment in self.snapshot.segments() {
            // Lists are looked up afterwards: a live segment is locked meanwhile.
            let mut keys = Vec::new();
            segment.matching(space, pattern, fields, self.budget, |term| {
                keys.push(space.key(term));
                keys.len() < limit && !self.budget.spend(TERM * 4)
            });
            let lists = keys.iter().filter_map(|key| segment.list(key));
            found += lists.map(|list| u64::from(TERM) + list.len() as u64).sum::<u64>();
        }
        Cost::merging(found)
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

#[cfg(test)]
mod tests {
    use super::*;
    use engine::index::document::{DocumentBuilder, Keep};
    use engine::index::{Change, Index};

    #[test]
    fn a_query_of_many_patterns_is_given_up() {
        let index = Index::default();
        for doc in 0..2000 {
            let mut builder = DocumentBuilder::new(format!("d{doc}").as_bytes(), Keep::ALL);
            (0..5).for_each(|at| {
                builder.word(0, format!("word{}", doc * 5 + at).as_bytes(), at, 1);
            });
            index.apply_now(Change::Upsert(Box::new(builder.finish()))).unwrap();
        }
        let snapshot = index.latest();
        let looks = |patterns: Vec<Pattern>| {
            let expand = |pattern| NodeKind::Expand { space: Space::Text, pattern, fields: FieldMask::MAX, limit: 200 };
            let children = patterns.into_iter().map(|pattern| Node::new(expand(pattern))).collect();
            estimate(&snapshot, &Node::new(NodeKind::Union(children))).looks
        };
        assert!(looks(vec![Pattern::prefix(b"word99"), Pattern::prefix(b"none")]) < 10_000);
        let many = |pattern: fn(&[u8]) -> Pattern| (0..500).map(|n| pattern(format!("d{n}").as_bytes())).collect();
        for pattern in [Pattern::infix, Pattern::suffix, |text: &[u8]| Pattern::fuzzy(text, 3)] {
            assert_eq!(looks(many(pattern)), u64::MAX, "each alone would be little enough");
        }
        assert_eq!(looks(vec![Pattern::wildcard("*a?".repeat(1000).as_bytes())]), u64::MAX);
    }
}
