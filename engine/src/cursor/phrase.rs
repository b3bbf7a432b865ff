//! Do the terms of a clause stand near enough to one another, and in order?
//!
//! The distance of an alignment (one occurrence of each term) is the number of positions between
//! its first and last that it leaves over. A phrase is a clause in order with none left over.

use super::BoxCursor;
use crate::postings::positions::{distance, FIELD_SHIFT};

/// How near the terms of an intersection must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within {
    /// Positions left over at most; any number without.
    pub slop: Option<u32>,
    /// Whether the terms must stand in the query's order.
    pub in_order: bool,
}

impl Within {
    /// Whether this asks for anything.
    pub fn restricts(self) -> bool {
        self.slop.is_some() || self.in_order
    }
}

/// Positions of several terms in one document; kept between documents to save allocating.
#[derive(Debug, Default)]
pub struct Alignment {
    lists: Vec<Vec<u32>>,
    used: usize,
    at: Vec<usize>,
}

impl Alignment {
    /// Reads the current document's positions of each child. Children without any (filters, or an
    /// index without positions) are left out.
    pub fn read<'c, 'a: 'c>(&mut self, children: impl Iterator<Item = &'c mut BoxCursor<'a>>) {
        self.clear();
        children.for_each(|child| self.add(child));
    }

    /// Forgets what was read.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Reads the current document's positions of one more child.
    pub fn add(&mut self, child: &mut BoxCursor<'_>) {
        if self.lists.len() == self.used {
            self.lists.push(Vec::new());
        }
        let list = &mut self.lists[self.used];
        list.clear();
        child.positions(list);
        if !list.is_empty() {
            if !list.is_sorted() {
                list.sort_unstable();
            }
            list.dedup();
            self.used += 1;
        }
    }

    /// Whether the positions that were read satisfy `within`.
    pub fn satisfies(&mut self, within: Within) -> bool {
        if self.used < 2 {
            return true;
        }
        let slop = within.slop.map_or(u64::MAX, u64::from);
        if within.in_order {
            self.in_order(slop)
        } else {
            self.any_order(slop)
        }
    }

    fn in_order(&mut self, slop: u64) -> bool {
        let lists = &self.lists[..self.used];
        if let [first, second] = lists {
            // The same as below, without taking notes: most phrases are of two words.
            let mut after = second.iter().peekable();
            return first.iter().any(|&start| {
                while after.next_if(|&&position| position <= start).is_some() {}
                after.peek().is_some_and(|&&last| left_over(start, last, 2) <= slop)
            });
        }
        self.at.clear();
        self.at.resize(lists.len(), 0);
        // For each start, the nearest next of each list ends soonest; all of them only move on.
        for &start in &lists[0] {
            let mut last = start;
            for (list, at) in lists.iter().zip(&mut self.at).skip(1) {
                while list.get(*at).is_some_and(|&position| position <= last) {
                    *at += 1;
                }
                match list.get(*at) {
                    Some(&position) => last = position,
                    None => return false,
                }
            }
            if left_over(start, last, lists.len()) <= slop {
                return true;
            }
        }
        false
    }

    fn any_order(&mut self, slop: u64) -> bool {
        let lists = &self.lists[..self.used];
        self.at.clear();
        self.at.resize(lists.len(), 0);
        // The least window over one of each: move the first of them on, again and again.
        loop {
            let mut first = (u32::MAX, 0);
            let mut last = 0;
            for (number, (list, &at)) in lists.iter().zip(&self.at).enumerate() {
                first = first.min((list[at], number));
                last = last.max(list[at]);
            }
            if left_over(first.0, last, lists.len()) <= slop {
                return true;
            }
            self.at[first.1] += 1;
            if self.at[first.1] == lists[first.1].len() {
                return false;
            }
        }
    }

    /// The square root of the sum of the squared least distances of the first and second term, the
    /// third and fourth, and so on; 0 when no pair has any.
    pub fn spread(&self) -> f64 {
        let pairs = self.lists[..self.used].chunks_exact(2);
        let squares = pairs.map(|pair| f64::from(least_distance(&pair[0], &pair[1])).powi(2));
        squares.sum::<f64>().sqrt()
    }
}

/// Positions within the span that none of `terms` terms takes. Across fields: more than any slop
/// that a query names.
fn left_over(first: u32, last: u32, terms: usize) -> u64 {
    if first >> FIELD_SHIFT != last >> FIELD_SHIFT {
        return u64::from(u32::MAX);
    }
    u64::from(last - first).saturating_sub(terms as u64 - 1)
}

fn least_distance(a: &[u32], b: &[u32]) -> u32 {
    let (mut i, mut j) = (0, 0);
    let mut least = u32::MAX;
    while i < a.len() && j < b.len() {
        least = least.min(distance(a[i], b[j]));
        if a[i] < b[j] {
            i += 1;
        } else {
            j += 1;
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    fn alignments(lists: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let Some((first, rest)) = lists.split_first() else { return vec![Vec::new()] };
        let tails = alignments(rest);
        let with = |&position: &u32| tails.iter().map(move |tail| [&[position], tail.as_slice()].concat());
        first.iter().flat_map(with).collect()
    }

    proptest! {
        #[test]
        fn alignments_are_found_as_by_trying_all(
            lists in vec(btree_set(0u32..20, 1..5), 2..4),
            slop in proptest::option::of(0u32..6),
            in_order: bool,
        ) {
            let lists: Vec<Vec<u32>> = lists.into_iter().map(|set| set.into_iter().collect()).collect();
            let near = |alignment: &Vec<u32>| {
                let (first, last) = (*alignment.iter().min().expect("some"), *alignment.iter().max().expect("some"));
                let ordered = alignment.windows(2).all(|pair| pair[0] < pair[1]);
                (!in_order || ordered)
                    && slop.is_none_or(|slop| i64::from(last - first) - (alignment.len() as i64 - 1) <= i64::from(slop))
            };
            let expected = alignments(&lists).iter().any(near);
            let mut alignment = Alignment { used: lists.len(), lists, at: Vec::new() };
            prop_assert_eq!(alignment.satisfies(Within { slop, in_order }), expected);
        }
    }

    #[test]
    fn the_spread_is_that_of_pairs() {
        let alignment = |lists: Vec<Vec<u32>>| Alignment { used: lists.len(), lists, at: Vec::new() };
        assert_eq!(alignment(vec![vec![1, 9], vec![4, 30]]).spread(), 3.0);
        assert_eq!(alignment(vec![vec![1], vec![4], vec![9], vec![5]]).spread(), 5.0);
        assert_eq!(alignment(vec![vec![1]]).spread(), 0.0);
    }
}
