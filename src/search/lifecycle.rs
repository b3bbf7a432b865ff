//! How does an index come, change and go?

use std::sync::Arc;

use super::definition::{self, Created};
use super::{registry, scan, SearchIndex};
use crate::redis::{call, replicate, Held, Lane};
use crate::reply::Reply;
use crate::sync::Stop;

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
            registry::remove(slice.held(), index.name());
            replicate(slice.held(), c"FT.DROPINDEX", &[index.name()]);
        }
        index.documents().arrive()
    })?;
    let snapshot = index.snapshot(&arrival, lane.cancel())?;
    let mut keys = scan::living_keys(&snapshot).peekable();
    while keys.peek().is_some() {
        lane.slice(|slice| {
            while !slice.spent() {
                let Some(key) = keys.next() else { break };
                unlink(slice.held(), key.into());
            }
        })?;
    }
    Ok(())
}

fn unlink(held: &Held<'_>, key: Vec<u8>) {
    // A key that is gone already is as it should be.
    let _: Reply = call(held, &[b"UNLINK".to_vec(), key]);
}
