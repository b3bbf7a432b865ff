//! How do a queue and a table of a million changes grow without a pause?
//!
//! The thread that appends to them holds the server's lock, and moving a million entries at once, because a buffer is full,
//! takes it a tenth of a second. These grow by pieces, and move no more than one of them at a time.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use engine::segment::Seq;
use hashbrown::hash_table::{Entry, HashTable};

/// Entries of a piece of a queue.
const PIECE: usize = 256;
/// Pieces of a table.
const SHARDS: usize = 256;

/// A queue in pieces. All but the first and the last are full.
#[derive(Debug)]
pub(super) struct SteadyQueue<T> {
    pieces: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for SteadyQueue<T> {
    fn default() -> Self {
        Self { pieces: VecDeque::new(), len: 0 }
    }
}

impl<T> SteadyQueue<T> {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends an entry.
    pub(super) fn push_back(&mut self, entry: T) {
        self.len += 1;
        if let Some(last) = self.pieces.back_mut().filter(|piece| piece.len() < PIECE) {
            return last.push_back(entry);
        }
        self.pieces.push_back(VecDeque::from([entry]));
    }

    /// Takes the first entry.
    pub(super) fn pop_front(&mut self) -> Option<T> {
        let first = self.pieces.front_mut()?;
        let entry = first.pop_front();
        let empty = first.is_empty();
        // The only one is kept: an entry now and then needs no memory of its own.
        if empty && self.pieces.len() > 1 {
            self.pieces.pop_front();
        }
        self.len -= usize::from(entry.is_some());
        entry
    }

    /// The first entry.
    pub(super) fn front_mut(&mut self) -> Option<&mut T> {
        self.pieces.front_mut()?.front_mut()
    }

    /// The entry at a place, if there is one.
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        let (piece, at) = self.place(at);
        self.pieces.get_mut(piece)?.get_mut(at)
    }

    /// The piece that an entry is in, and its place there.
    fn place(&self, at: usize) -> (usize, usize) {
        let first = self.pieces.front().map_or(0, VecDeque::len);
        match at.checked_sub(first) {
            None => (0, at),
            Some(rest) => (1 + rest / PIECE, rest % PIECE),
        }
    }
}

impl<T> Index<usize> for SteadyQueue<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        let (piece, at) = self.place(at);
        &self.pieces[piece][at]
    }
}

impl<T> IndexMut<usize> for SteadyQueue<T> {
    fn index_mut(&mut self, at: usize) -> &mut T {
        let (piece, at) = self.place(at);
        &mut self.pieces[piece][at]
    }
}

/// A key, its hash, and the number of its last change.
#[derive(Debug)]
struct Noted {
    hash: u64,
    key: Arc<[u8]>,
    seq: Seq,
}

/// A table of keys and the numbers of their last changes, in pieces by the keys' hashes.
#[derive(Debug)]
pub(super) struct SteadyTable {
    shards: Box<[HashTable<Noted>]>,
    hasher: RandomState,
}

impl Default for SteadyTable {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| HashTable::new()).collect(), hasher: RandomState::new() }
    }
}

impl SteadyTable {
    fn hash(&self, key: &[u8]) -> (u64, usize) {
        let hash = self.hasher.hash_one(key);
        // The middle bits: a table itself uses both ends.
        (hash, (hash >> 32) as usize % SHARDS)
    }

    /// Notes the last change of a key.
    pub(super) fn insert(&mut self, key: Arc<[u8]>, seq: Seq) {
        let (hash, shard) = self.hash(&key);
        match self.shards[shard].entry(hash, |noted| noted.key == key, |noted| noted.hash) {
            Entry::Occupied(mut noted) => noted.get_mut().seq = seq,
            Entry::Vacant(place) => {
                place.insert(Noted { hash, key, seq });
            }
        }
    }

    /// The last change of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<Seq> {
        let (hash, shard) = self.hash(key);
        self.shards[shard].find(hash, |noted| &*noted.key == key).map(|noted| noted.seq)
    }

    /// Forgets a key, if this is its last change.
    pub(super) fn remove(&mut self, key: &[u8], seq: Seq) {
        let (hash, shard) = self.hash(key);
        if let Ok(noted) = self.shards[shard].find_entry(hash, |noted| noted.seq == seq && &*noted.key == key) {
            noted.remove();
        }
    }

    /// All keys, in no order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.shards.iter().flatten().map(|noted| &noted.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn a_queue_in_pieces_is_a_queue(steps in vec((0usize..3000, 0usize..3000), 0..12), looks in vec(any::<usize>(), 8)) {
            let (mut steady, mut plain, mut next) = (SteadyQueue::default(), VecDeque::new(), 0);
            for (pushed, popped) in steps {
                for _ in 0..pushed {
                    steady.push_back(next);
                    plain.push_back(next);
                    next += 1;
                }
                for _ in 0..popped {
                    prop_assert_eq!(steady.pop_front(), plain.pop_front());
                }
                prop_assert_eq!(steady.len(), plain.len());
                prop_assert_eq!(steady.front_mut(), plain.front_mut());
                for look in &looks {
                    let at = look % (plain.len() + 2);
                    prop_assert_eq!(steady.get_mut(at), plain.get_mut(at));
                    if at < plain.len() {
                        steady[at] += 1;
                        plain[at] += 1;
                        prop_assert_eq!(steady[at], plain[at]);
                    }
                }
            }
        }

        #[test]
        fn a_table_in_pieces_is_a_table(steps in vec((0u8..40, 0u64..6, any::<bool>()), 0..200)) {
            let (mut steady, mut plain) = (SteadyTable::default(), HashMap::new());
            for (key, seq, insert) in steps {
                let key: Arc<[u8]> = Arc::from([key].as_slice());
                if insert {
                    steady.insert(Arc::clone(&key), seq);
                    plain.insert(key, seq);
                } else {
                    steady.remove(&key, seq);
                    if plain.get(&key) == Some(&seq) {
                        plain.remove(&key);
                    }
                }
            }
            prop_assert!((0..40).all(|key| steady.get(&[key]) == plain.get([key].as_slice()).copied()));
            let (mut found, mut expected): (Vec<_>, Vec<_>) = (steady.keys().collect(), plain.keys().collect());
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }
}
