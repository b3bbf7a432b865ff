//! Where is a term's posting list while new terms still come?
//!
//! A hash table finds the list; an ordered map, which only new terms touch, serves patterns. Both
//! share their keys.

use super::pattern::Pattern;
use super::Space;
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// The terms of a live segment. A term's number is its place in order of arrival.
#[derive(Debug, Default)]
pub struct LiveDict {
    numbers: HashMap<Arc<[u8]>, u32, FxBuildHasher>,
    ordered: BTreeMap<Arc<[u8]>, u32>,
    key_bytes: usize,
}

/// Bytes of a term in the ordered map, which does not say what it has allocated: 20 in nodes that are
/// two thirds full, and its share of the nodes above.
const ORDERED_ENTRY: usize = 34;

/// The reference counts of a key.
const KEY_HEAD: usize = 2 * size_of::<usize>();

impl LiveDict {
    /// The number of a term.
    pub fn get(&self, key: &[u8]) -> Option<u32> {
        self.numbers.get(key).copied()
    }

    /// Gives a new term the next number.
    pub fn insert(&mut self, key: &[u8]) -> u32 {
        let number = self.numbers.len() as u32;
        // A key and its counts are allocated together, in whole words.
        self.key_bytes += (KEY_HEAD + key.len()).next_multiple_of(size_of::<usize>());
        let key: Arc<[u8]> = key.into();
        self.numbers.insert(Arc::clone(&key), number);
        self.ordered.insert(key, number);
        number
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.key_bytes + self.numbers.allocation_size() + self.ordered.len() * ORDERED_ENTRY
    }

    /// How many terms there are, of all spaces.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// All keys with their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u32)> {
        self.ordered.iter().map(|(key, &number)| (&**key, number))
    }

    /// Calls `visit` with matching terms of a space in order, for at most `steps` terms looked at.
    /// Returns the key to go on from when there is more.
    pub fn matching(
        &self,
        space: Space,
        pattern: &Pattern,
        from: Option<Vec<u8>>,
        steps: usize,
        mut visit: impl FnMut(&[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        let prefix = space.prefix();
        let mut start = from.unwrap_or_else(|| space.key(pattern.literal_prefix()));
        let mut left = steps;
        loop {
            // Restarted each time a run of terms cannot match, at the first that may.
            let range = self.ordered.range::<[u8], _>((Bound::Included(start.as_slice()), Bound::Unbounded));
            let mut skip = None;
            for (key, _) in range {
                if !key.starts_with(&prefix) {
                    return None;
                }
                if left == 0 {
                    return Some(key.to_vec());
                }
                left -= 1;
                match walk(pattern, &key[2..]) {
                    Walked::Match => {
                        if !visit(&key[2..]) {
                            return None;
                        }
                    }
                    Walked::NoMatch => {}
                    Walked::DeadAfter(length) => {
                        skip = after(&key[..2 + length]);
                        break;
                    }
                }
            }
            start = skip?;
        }
    }
}

enum Walked {
    Match,
    NoMatch,
    /// Nothing that begins with so many of the term's bytes matches.
    DeadAfter(usize),
}

fn walk(pattern: &Pattern, term: &[u8]) -> Walked {
    let mut state = pattern.start();
    for (at, &byte) in term.iter().enumerate() {
        state = pattern.accept(&state, byte);
        if !pattern.can_match(&state) {
            return Walked::DeadAfter(at + 1);
        }
    }
    if pattern.is_match(&state) {
        Walked::Match
    } else {
        Walked::NoMatch
    }
}

/// The first key after all those that begin with `prefix`.
fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut key = prefix.to_vec();
    while let Some(last) = key.pop() {
        if last < u8::MAX {
            key.push(last + 1);
            return Some(key);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::sealed::SealedDict;
    use super::*;
    use crate::cursor::budget::Budget;
    use crate::schema::FieldId;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_dictionaries_find_what_a_scan_finds(
            words in btree_set("[abc]{0,5}", 0..60),
            text in "[abc?*]{0,4}",
            steps in 1usize..20,
        ) {
            let mut live = LiveDict::default();
            let mut builder = fst::MapBuilder::memory();
            let spaces = [Space::Text, Space::Tag(FieldId(0)), Space::Tag(FieldId(1))];
            for (at, word) in words.iter().enumerate() {
                live.insert(&spaces[1].key(word.as_bytes()));
                builder.insert(spaces[1].key(word.as_bytes()), at as u64).expect("in order");
            }
            live.insert(&spaces[0].key(b"a"));
            live.insert(&spaces[2].key(b"a"));
            let sealed = SealedDict::new(builder.into_inner().expect("complete")).expect("an FST");
            let bytes = text.as_bytes();
            for pattern in [Pattern::prefix(bytes), Pattern::suffix(bytes), Pattern::infix(bytes),
                Pattern::wildcard(bytes), Pattern::fuzzy(bytes, 1)] {
                let expected: Vec<&[u8]> =
                    words.iter().map(|word| word.as_bytes()).filter(|word| pattern.matches(word)).collect();
                let mut found = Vec::new();
                let mut from = None;
                loop {
                    from = live.matching(spaces[1], &pattern, from, steps, |term| {
                        found.push(term.to_vec());
                        true
                    });
                    if from.is_none() {
                        break;
                    }
                }
                prop_assert_eq!(&found, &expected);
                found.clear();
                sealed.matching(spaces[1], &pattern, &Budget::unlimited(), |term| {
                    found.push(term.to_vec());
                    true
                });
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
