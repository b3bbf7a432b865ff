//! How does a change of a key reach the indexes?
//!
//! For whatever happens to a key, what it *is now* is looked at: that is right for every command, also for those
//! that nobody has thought of. Only where an event says that the key is gone is that believed, because
//! some servers tell before they remove.

use std::sync::Arc;

use super::queue::Worked;
use super::{dictionaries, lifecycle, registry, repeat, scan, work, Fields, SearchIndex, Update, View};
use crate::redis::{take_fields, Held, KeyEvent, KeyWatcher, ServerEvent};
use crate::settings;

/// What the server is to tell us.
pub(super) const WATCHER: KeyWatcher = KeyWatcher { wanted: registry::any, changed, misses: false };

/// The events after which the key of this name is not there any more.
const GONE: [&[u8]; 5] = [b"del", b"expired", b"evicted", b"rename_from", b"move_from"];

/// How many times what it brings a writer reads when it meets a full queue: more than once, so that the queue shrinks.
const HELP: usize = 2;

fn changed(held: &Held<'_>, event: &KeyEvent<'_>) {
    if event.db != 0 {
        return;
    }
    let gone = GONE.contains(&event.name);
    registry::routes().each(event.key, |index| {
        if gone {
            forget(index, event.key);
        } else {
            look(held, index, event.key);
        }
    });
}

/// Brings an index up to date with one key of database 0, whose name belongs to it.
pub(super) fn look(held: &Held<'_>, index: &Arc<SearchIndex>, key: &[u8]) {
    match read(held, &index.view(), key) {
        Some(update) => push(index, [(key, update)]),
        None => forget(index, key),
    }
}

/// What a hash has now; `None` when there is none of this name.
pub(super) fn read(held: &Held<'_>, view: &Arc<View>, key: &[u8]) -> Option<Update> {
    let values = take_fields(held, key, view.identifiers())?;
    Some(Update::Fields(Fields { view: Arc::clone(view), values }))
}

/// A key is not there any more.
pub(super) fn forget(index: &Arc<SearchIndex>, key: &[u8]) {
    // In this order: what is not pending any more is among the documents.
    if index.queue().pending(key).is_some() || index.documents().current(key).is_some() {
        push(index, [(key, Update::Gone)]);
    }
}

/// Queues changes, and sees that somebody works on them.
pub(super) fn push<K: AsRef<[u8]>>(index: &Arc<SearchIndex>, changes: impl IntoIterator<Item = (K, Update)>) {
    let backlog = index.queue().push(index.documents(), changes);
    index.used();
    work::wake(index, backlog.unread);
    if backlog.bytes > settings::INDEX_QUEUE_BYTES.count() {
        let mut owed = backlog.added * HELP;
        while owed > 0 {
            match index.work_one() {
                Worked::Nothing => break,
                Worked::Read(bytes) => owed = owed.saturating_sub(bytes),
                Worked::Cut => {}
            }
        }
    }
}

/// Follows what happens to the whole data set.
pub(super) fn on_server_event(held: &Held<'_>, event: ServerEvent) {
    match event {
        ServerEvent::Flushed(None) => {
            registry::clear(held);
            dictionaries::clear(held);
        }
        ServerEvent::Flushed(Some(0)) => registry::clear(held),
        ServerEvent::Swapped(a, b) if a != b && (a == 0 || b == 0) => registry::renew(held),
        ServerEvent::Loaded => {
            scan::start_waiting(held);
            lifecycle::watch_temporary(held);
        }
        ServerEvent::Forked => repeat::after_fork(held),
        _ => {}
    }
}
