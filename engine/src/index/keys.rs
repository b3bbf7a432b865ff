//! Which version of a document is found under a key?
//!
//! A table from hashes of keys to the birth numbers of living versions. The key itself is not kept
//! twice: a birth number leads to a segment and a document id by binary search, whatever merging
//! does meanwhile, and the document table has the key. Versions that have died but are not yet
//! merged away stay findable for queries that still see them.

use crate::segment::Seq;
use hashbrown::HashTable;
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;
use std::hash::Hasher;

/// Parts of the table, by the top bits of the hash: growing one of them moves few entries.
const SHARDS: usize = 64;

/// The table of one index.
#[derive(Debug)]
pub(super) struct KeyTable {
    living: Box<[HashTable<(u64, Seq)>]>,
    dead: FxHashMap<u64, SmallVec<[Seq; 1]>>,
}

/// The hash of a key.
pub(super) fn hash(key: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(key);
    hasher.finish()
}

impl Default for KeyTable {
    fn default() -> Self {
        Self { living: (0..SHARDS).map(|_| HashTable::new()).collect(), dead: FxHashMap::default() }
    }
}

impl KeyTable {
    fn shard(hash: u64) -> usize {
        // The middle bits: the table itself uses both ends.
        (hash >> 40) as usize % SHARDS
    }

    /// The living version with this hash for which `same` is true.
    pub(super) fn living(&self, hash: u64, mut same: impl FnMut(Seq) -> bool) -> Option<Seq> {
        self.living[Self::shard(hash)].find(hash, |&(h, born)| h == hash && same(born)).map(|&(_, born)| born)
    }

    /// All versions that may have this hash: dead ones first, in order of birth.
    pub(super) fn all(&self, hash: u64) -> SmallVec<[Seq; 4]> {
        let mut versions: SmallVec<[Seq; 4]> = self.dead.get(&hash).into_iter().flatten().copied().collect();
        versions
            .extend(self.living[Self::shard(hash)].iter_hash(hash).filter(|(h, _)| *h == hash).map(|&(_, born)| born));
        versions
    }

    /// Makes room for so many more versions.
    pub(super) fn reserve(&mut self, versions: usize) {
        // Hashes spread evenly, give or take.
        let each = versions / SHARDS + versions / SHARDS / 16;
        self.living.iter_mut().for_each(|shard| shard.reserve(each, |&(hash, _)| hash));
    }

    /// Adds a version.
    pub(super) fn insert(&mut self, hash: u64, born: Seq) {
        self.living[Self::shard(hash)].insert_unique(hash, (hash, born), |&(hash, _)| hash);
    }

    /// Notes that a living version has died.
    pub(super) fn bury(&mut self, hash: u64, born: Seq) {
        if let Ok(entry) = self.living[Self::shard(hash)].find_entry(hash, |&entry| entry == (hash, born)) {
            entry.remove();
            self.dead.entry(hash).or_default().push(born);
        }
    }

    /// Forgets a dead version.
    pub(super) fn forget(&mut self, hash: u64, born: Seq) {
        if let Some(versions) = self.dead.get_mut(&hash) {
            versions.retain(|version| *version != born);
            if versions.is_empty() {
                self.dead.remove(&hash);
            }
        }
    }

    /// Bytes held: allocated entries and their control bytes.
    pub(super) fn memory(&self) -> usize {
        let living: usize = self.living.iter().map(HashTable::allocation_size).sum();
        living + self.dead.capacity() * (size_of::<(u64, SmallVec<[Seq; 1]>)>() + 1)
    }
}
