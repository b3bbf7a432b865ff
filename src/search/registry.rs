//! Which indexes are there, and by which names?
//!
//! Indexes exist on database 0 only. Names and aliases share one space for readers: wherever an index
//! is named an alias will do. The tables change and are read under the server's lock, which the
//! proof token shows; the mutex here only makes them a static, and nobody ever waits for it. A
//! forked child therefore finds it free.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::SearchIndex;
use crate::redis::Held;

#[derive(Default)]
struct Tables {
    indexes: BTreeMap<Box<[u8]>, Arc<SearchIndex>>,
    /// From alias to the index's own name.
    aliases: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

static TABLES: Mutex<Tables> = Mutex::new(Tables { indexes: BTreeMap::new(), aliases: BTreeMap::new() });

fn tables() -> MutexGuard<'static, Tables> {
    TABLES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The index of this name or alias.
pub fn find(_held: &Held<'_>, name: &[u8]) -> Option<Arc<SearchIndex>> {
    let tables = tables();
    let name = tables.aliases.get(name).map_or(name, |own| own);
    tables.indexes.get(name).cloned()
}

/// The index of this own name: aliases don't count.
pub fn find_own(_held: &Held<'_>, name: &[u8]) -> Option<Arc<SearchIndex>> {
    tables().indexes.get(name).cloned()
}

/// All indexes, in the order of their names.
pub fn all(_held: &Held<'_>) -> Vec<Arc<SearchIndex>> {
    tables().indexes.values().cloned().collect()
}

/// Adds an index. Returns false, and changes nothing, when the name or an alias of this name exists.
pub fn add(_held: &Held<'_>, index: Arc<SearchIndex>) -> bool {
    let mut tables = tables();
    if tables.indexes.contains_key(index.name()) || tables.aliases.contains_key(index.name()) {
        return false;
    }
    tables.indexes.insert(index.name().into(), index);
    true
}

/// Removes an index with its aliases, and marks it as dropped for those who still hold it.
pub fn remove(_held: &Held<'_>, own_name: &[u8]) -> Option<Arc<SearchIndex>> {
    let mut tables = tables();
    let index = tables.indexes.remove(own_name)?;
    tables.aliases.retain(|_, own| &**own != own_name);
    index.mark_dropped();
    Some(index)
}

/// Lets `alias` stand for an index. Returns false, and changes nothing, when the alias or an index
/// of this name exists.
pub fn add_alias(_held: &Held<'_>, alias: &[u8], index: &SearchIndex) -> bool {
    let mut tables = tables();
    if tables.aliases.contains_key(alias) || tables.indexes.contains_key(alias) {
        return false;
    }
    tables.aliases.insert(alias.into(), index.name().into());
    true
}

/// Removes an alias. Returns whether there was one.
pub fn remove_alias(_held: &Held<'_>, alias: &[u8]) -> bool {
    tables().aliases.remove(alias).is_some()
}

/// All aliases, each with the own name of its index.
pub fn aliases(_held: &Held<'_>) -> Vec<(Box<[u8]>, Box<[u8]>)> {
    tables().aliases.iter().map(|(alias, own)| (alias.clone(), own.clone())).collect()
}
