//! What does a consumer group do for a registration? It remembers, in the stream itself, what was read and what is done.
//!
//! Each registration has a group of its own, so it sees every entry. The group is part of the stream: it is saved,
//! replicated, renamed and deleted with it. All of these are the server's own commands.

use crate::redis::{call, stream_entries, type_of, Held};
use crate::reply::Reply;

/// The only consumer of each group: what it had before a restart it has afterwards.
const CONSUMER: &[u8] = b"__gears_client__";

/// Entries that one call deletes at most where it need not be exact.
const TRIM_AT_ONCE: &[u8] = b"1000";

/// An entry of a stream.
pub(super) struct Entry {
    pub(super) id: Vec<u8>,
    /// Its fields; `None` for one that was deleted after it was read.
    pub(super) fields: Option<Reply>,
}

/// Why entries can't be read.
pub(super) enum Refused {
    /// The key or the group went.
    Gone,
    /// Something else, in the server's words.
    Because(Vec<u8>),
}

fn run(held: &Held<'_>, words: &[&[u8]]) -> Reply {
    call(held, &words.iter().map(|word| word.to_vec()).collect::<Vec<_>>())
}

/// Sees that the group is there, and tells how many entries it has not read yet; `None` if the key is no stream. A new
/// group begins with the stream.
pub(super) fn join(held: &Held<'_>, key: &[u8], group: &[u8]) -> Option<u64> {
    if type_of(held, key) != b"stream" {
        return None;
    }
    let mut known = lag(held, key, group);
    if known.is_none() {
        run(held, &[b"XGROUP", b"CREATE", key, group, b"0"]);
        known = lag(held, key, group);
    }
    known
}

/// How many entries the group has not read yet. Where the server does not know it is as many as there may be.
fn lag(held: &Held<'_>, key: &[u8], group: &[u8]) -> Option<u64> {
    let lag = groups(held, key).into_iter().find(|one| field(one, b"name") == Some(&Reply::bulk(group)))?;
    match field(&lag, b"lag") {
        Some(Reply::Int(lag)) => Some(lag.unsigned_abs()),
        _ => Some(u64::MAX),
    }
}

fn groups(held: &Held<'_>, key: &[u8]) -> Vec<Reply> {
    match run(held, &[b"XINFO", b"GROUPS", key]) {
        Reply::Array(groups) => groups,
        _ => Vec::new(),
    }
}

fn field<'r>(map: &'r Reply, name: &[u8]) -> Option<&'r Reply> {
    let Reply::Map(pairs) = map else { return None };
    pairs.iter().find(|(key, _)| matches!(key, Reply::Bulk(key) | Reply::Status(key) if key == name)).map(|(_, v)| v)
}

/// Where in the stream to read.
pub(super) enum From<'a> {
    /// What was read but is not done, after this id.
    Pending(&'a [u8]),
    /// What was not read yet.
    New,
}

/// Reads at most `count` entries, which are pending then.
///
/// # Errors
/// Why there are none to be had.
pub(super) fn read(
    held: &Held<'_>,
    key: &[u8],
    group: &[u8],
    from: &From<'_>,
    count: usize,
) -> Result<Vec<Entry>, Refused> {
    let count = count.to_string();
    let from = match from {
        From::Pending(after) => after,
        From::New => &b">"[..],
    };
    let words: [&[u8]; 9] =
        [b"XREADGROUP", b"GROUP", group, CONSUMER, b"COUNT", count.as_bytes(), b"STREAMS", key, from];
    match run(held, &words) {
        Reply::Map(streams) => {
            Ok(streams.into_iter().flat_map(|(_, entries)| stream_entries(entries)).map(entry).collect())
        }
        Reply::Null => Ok(Vec::new()),
        Reply::Error(text) if text.starts_with(b"NOGROUP") || text.starts_with(b"WRONGTYPE") => Err(Refused::Gone),
        Reply::Error(text) => Err(Refused::Because(text)),
        _ => Err(Refused::Because(b"ERR XREADGROUP answered something unknown".to_vec())),
    }
}

fn entry((id, fields): (Vec<u8>, Reply)) -> Entry {
    Entry { id, fields: if fields == Reply::Null { None } else { Some(fields) } }
}

/// Entries are done.
pub(super) fn acknowledge(held: &Held<'_>, key: &[u8], group: &[u8], ids: &[Vec<u8>]) {
    let mut words: Vec<&[u8]> = vec![b"XACK", key, group];
    words.extend(ids.iter().map(Vec::as_slice));
    run(held, &words);
}

/// Deletes what no group of the stream needs any more: also groups that are not ours must not lose anything. Returns
/// whether there is more of it.
pub(super) fn trim(held: &Held<'_>, key: &[u8]) -> bool {
    let needed: Option<Vec<(u64, u64)>> = groups(held, key).iter().map(|group| needed_from(held, key, group)).collect();
    let Some(from) = needed.and_then(|needed| needed.into_iter().min()) else { return false };
    let from = format!("{}-{}", from.0, from.1);
    // Whole nodes first, a few at a time; what is exact then touches one node.
    match run(held, &[b"XTRIM", key, b"MINID", b"~", from.as_bytes(), b"LIMIT", TRIM_AT_ONCE]) {
        Reply::Int(deleted) if deleted > 0 => true,
        _ => {
            run(held, &[b"XTRIM", key, b"MINID", b"=", from.as_bytes()]);
            false
        }
    }
}

/// The first id that a group may still need.
fn needed_from(held: &Held<'_>, key: &[u8], group: &Reply) -> Option<(u64, u64)> {
    let (Reply::Bulk(name), Reply::Int(pending)) = (field(group, b"name")?, field(group, b"pending")?) else {
        return None;
    };
    if *pending > 0 {
        if let Reply::Array(summary) = run(held, &[b"XPENDING", key, name]) {
            return id(summary.get(1)?);
        }
    }
    let (millis, sequence) = id(field(group, b"last-delivered-id")?)?;
    Some(sequence.checked_add(1).map_or((millis.saturating_add(1), 0), |sequence| (millis, sequence)))
}

fn id(text: &Reply) -> Option<(u64, u64)> {
    let (Reply::Bulk(text) | Reply::Status(text)) = text else { return None };
    let (millis, sequence) = std::str::from_utf8(text).ok()?.split_once('-')?;
    Some((millis.parse().ok()?, sequence.parse().ok()?))
}

/// The registration has gone: its group must not hold anything back.
pub(super) fn leave(held: &Held<'_>, key: &[u8], group: &[u8]) {
    if type_of(held, key) == b"stream" {
        run(held, &[b"XGROUP", b"DESTROY", key, group]);
    }
}
