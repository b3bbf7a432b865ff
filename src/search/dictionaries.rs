//! Which words has the user listed for spell checking?
//!
//! Dictionaries belong to no index. Like the registry they change and are read under the server's lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::redis::Held;

/// The words of one dictionary.
pub type Words = BTreeSet<Box<[u8]>>;

static DICTIONARIES: Mutex<BTreeMap<Box<[u8]>, Arc<Words>>> = Mutex::new(BTreeMap::new());

fn dictionaries() -> MutexGuard<'static, BTreeMap<Box<[u8]>, Arc<Words>>> {
    DICTIONARIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The words of a dictionary.
pub fn find(_held: &Held<'_>, name: &[u8]) -> Option<Arc<Words>> {
    dictionaries().get(name).cloned()
}

/// Adds words; returns how many are new.
pub fn add(_held: &Held<'_>, name: &[u8], words: &[&[u8]]) -> usize {
    let mut dictionaries = dictionaries();
    let known = Arc::make_mut(dictionaries.entry(name.into()).or_default());
    words.iter().filter(|&&word| known.insert(word.into())).count()
}

/// Removes words, and a dictionary without words; returns how many were there.
pub fn remove(_held: &Held<'_>, name: &[u8], words: &[&[u8]]) -> usize {
    let mut dictionaries = dictionaries();
    let Some(known) = dictionaries.get_mut(name) else { return 0 };
    let known = Arc::make_mut(known);
    let removed = words.iter().filter(|&&word| known.remove(word)).count();
    if known.is_empty() {
        dictionaries.remove(name);
    }
    removed
}

/// All dictionaries. For saving, also in a forked child: whoever changes them has the server's lock, so at a fork
/// nobody holds this one.
pub(super) fn all() -> Vec<(Box<[u8]>, Arc<Words>)> {
    dictionaries().iter().map(|(name, words)| (name.clone(), Arc::clone(words))).collect()
}

/// Removes all dictionaries.
pub(super) fn clear(_held: &Held<'_>) {
    dictionaries().clear();
}
