//! Which indexes are there, and by which names?
//!
//! Indexes exist on database 0 only. Names and aliases share one space for readers: wherever an index
//! is named an alias will do. The tables change and are read under the server's lock, which the
//! proof token shows; the mutex here only makes them a static, and nobody ever waits for it. A
//! forked child therefore finds it free.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::index::Index;
use once_cell::sync::Lazy;

use super::routes::Routes;
use super::{scan, work, SearchIndex};
use crate::redis::Held;

/// An alias, and the own name of its index.
type Alias = (Box<[u8]>, Box<[u8]>);

#[derive(Default)]
struct Tables {
    indexes: BTreeMap<Box<[u8]>, Arc<SearchIndex>>,
    /// From alias to the index's own name.
    aliases: BTreeMap<Box<[u8]>, Box<[u8]>>,
    routes: Arc<Routes>,
}

static TABLES: Lazy<Mutex<Tables>> = Lazy::new(Mutex::default);
static COUNT: AtomicUsize = AtomicUsize::new(0);

impl Tables {
    /// To be called after indexes have come or gone.
    fn changed(&mut self) {
        self.routes = Arc::new(Routes::new(self.indexes.values()));
        COUNT.store(self.indexes.len(), Ordering::Release);
    }
}

/// Whether there are indexes.
pub(super) fn any() -> bool {
    COUNT.load(Ordering::Acquire) > 0
}

/// Which keys belong to which indexes. Under the server's lock.
pub(super) fn routes() -> Arc<Routes> {
    Arc::clone(&tables().routes)
}

fn tables() -> MutexGuard<'static, Tables> {
    TABLES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Figures of all indexes together.
#[derive(Debug, Default)]
pub struct Totals {
    /// Indexes.
    pub indexes: u64,
    /// Their documents.
    pub documents: u64,
    /// Changes that are not applied yet.
    pub queued: u64,
    /// Bytes of those.
    pub queued_bytes: u64,
    /// Bytes of the documents.
    pub memory: u64,
    /// Documents that could not be indexed.
    pub failures: u64,
}

/// Figures of all indexes together. Under the server's lock.
pub fn totals() -> Totals {
    let mut totals = Totals::default();
    for index in everything().0 {
        let figures = index.documents().figures();
        totals.indexes += 1;
        totals.documents += figures.documents;
        totals.queued += index.queue().len() as u64;
        totals.queued_bytes += index.queue().bytes() as u64;
        totals.memory += figures.memory.total() as u64;
        totals.failures += index.errors().total.count;
    }
    totals
}

/// All indexes, and all aliases with the names of theirs. For saving, also in a forked child: whoever changes them has the
/// server's lock, so at a fork nobody holds this one.
pub(super) fn everything() -> (Vec<Arc<SearchIndex>>, Vec<Alias>) {
    let tables = tables();
    let aliases = tables.aliases.iter().map(|(alias, own)| (alias.clone(), own.clone())).collect();
    (tables.indexes.values().cloned().collect(), aliases)
}

/// Puts an index in the place of the one of its name.
pub(super) fn replace(_held: &Held<'_>, new: &Arc<SearchIndex>) {
    let mut tables = tables();
    let old = tables.indexes.insert(new.name().into(), Arc::clone(new));
    tables.changed();
    drop(tables);
    if let Some(old) = old {
        old.mark_dropped();
        work::bury(old);
    }
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
    tables.changed();
    true
}

/// Removes an index with its aliases, and marks it as dropped for those who still hold it.
pub fn remove(_held: &Held<'_>, own_name: &[u8]) -> Option<Arc<SearchIndex>> {
    let mut tables = tables();
    let index = tables.indexes.remove(own_name)?;
    tables.aliases.retain(|_, own| &**own != own_name);
    tables.changed();
    drop(tables);
    index.mark_dropped();
    work::bury(Arc::clone(&index));
    Some(index)
}

/// Removes everything, as when the database is emptied.
pub(super) fn clear(held: &Held<'_>) {
    for index in all(held) {
        remove(held, index.name());
    }
}

/// Puts an index without documents in the place of each one, and looks through the keyspace: the database has become
/// another one.
pub(super) fn renew(held: &Held<'_>) {
    for old in all(held) {
        let new = old.with_documents(Index::default());
        replace(held, &new);
        scan::start(held, &new);
    }
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
