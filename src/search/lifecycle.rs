//! How does an index come, change and go?

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::definition::{self, Created};
use super::{registry, scan, SearchIndex};
use crate::redis::{background, call, is_hash, replicate, Alarm, Held, Lane, Pools};
use crate::reply::Reply;
use crate::sync::{CancelToken, Stop};

/// Makes an index from the words after its name.
///
/// # Errors
/// The text for the client.
pub fn create(held: &Held<'_>, name: &[u8], words: &[&[u8]]) -> Result<(), String> {
    if held.db() != 0 {
        return Err("Cannot create index on db != 0".to_owned());
    }
    if registry::find(held, name).is_some() {
        return Err("Index already exists".to_owned());
    }
    let created: Created = definition::parse(words)?;
    let skip = created.definition.skip_initial_scan;
    let index = SearchIndex::new(name, created);
    if registry::add(held, Arc::clone(&index)) && !skip {
        scan::start(held, &index);
    }
    watch_temporary(held);
    Ok(())
}

/// Adds fields to an index; documents that are there are read again unless `skip_scan`.
///
/// # Errors
/// The text for the client.
pub fn alter(held: &Held<'_>, index: &Arc<SearchIndex>, fields: &[&[u8]], skip_scan: bool) -> Result<(), String> {
    let view = index.view();
    index.set_view(view.with_schema(definition::extend(&view.schema, fields)?, fields));
    if !skip_scan {
        scan::start(held, index);
    }
    Ok(())
}

/// Adds words to a synonym group; documents that are there are read again unless `skip_scan`.
pub fn add_synonyms(held: &Held<'_>, index: &Arc<SearchIndex>, group: &[u8], words: &[&[u8]], skip_scan: bool) {
    let view = index.view();
    let mut synonyms = view.synonyms.clone();
    synonyms.update(group, words.iter().copied());
    index.set_view(view.with_synonyms(synonyms));
    if !skip_scan {
        scan::start(held, index);
    }
}

/// Removes an index and deletes its documents: the index at once, the documents in slices. Replicates both.
///
/// # Errors
/// Why it stopped before all documents were deleted.
pub fn drop_with_documents(lane: &mut Lane, index: &Arc<SearchIndex>) -> Result<(), Stop> {
    let arrival = lane.slice(|slice| {
        if !index.is_dropped() {
            remove(slice.held(), index);
        }
        index.documents().arrive()
    })?;
    let snapshot = index.snapshot(&arrival, lane.cancel())?;
    let mut keys = scan::living_keys(&snapshot).peekable();
    while keys.peek().is_some() {
        lane.slice(|slice| {
            while !slice.spent() {
                let Some(key) = keys.next() else { break };
                // What has taken its name meanwhile is no document.
                if is_hash(slice.held(), &key) {
                    unlink(slice.held(), key.into());
                }
            }
        })?;
    }
    Ok(())
}

/// Rings when a temporary index may have to go.
static TEMPORARY: Alarm = Alarm::new(drop_unused);

/// How long until the next look at a temporary index that only its primary may drop.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Sets the alarm to the next end of a temporary index.
pub(super) fn watch_temporary(held: &Held<'_>) {
    if let Some(at) = registry::all(held).iter().filter_map(|index| index.expires()).min() {
        TEMPORARY.set(held, at);
    }
}

/// Drops the temporary indexes that nobody has used, with their documents.
fn drop_unused(held: &Held<'_>) {
    let now = Instant::now();
    if held.is_replica() || held.is_loading() {
        if registry::all(held).iter().any(|index| index.expires().is_some()) {
            TEMPORARY.set(held, now + LOOK_AGAIN);
        }
        return;
    }
    for index in registry::all(held) {
        if index.expires().is_some_and(|at| at <= now) {
            // Here, so that nobody finds it any more and the alarm does not see it again.
            remove(held, &index);
            // A refusal means that the server shuts down; a stop, too. The documents stay then.
            let _ = background(Pools::Maintenance, 0, CancelToken::new(), move |lane| {
                let _ = drop_with_documents(lane, &index);
            });
        }
    }
    watch_temporary(held);
}

/// Removes an index, and tells replicas and the AOF.
fn remove(held: &Held<'_>, index: &SearchIndex) {
    registry::remove(held, index.name());
    replicate(held, c"FT.DROPINDEX", &[index.name()]);
}

fn unlink(held: &Held<'_>, key: Vec<u8>) {
    // A key that is gone already is as it should be.
    let _: Reply = call(held, &[b"UNLINK".to_vec(), key]);
}
