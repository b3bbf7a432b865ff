//! What is in a key? Its type and whole value, read under one lock.

use super::{call, Held};
use crate::reply::Reply;

/// The type (`string`, `list`, `hash`, `set`, `zset`, `stream`, `module`, `empty`) and value of a key.
///
/// A hash is a map, a sorted set a map from member to double, a stream an array of `[id, map]`; a
/// module's value and a missing key are null.
pub fn read_value(held: &Held<'_>, key: &[u8], kind: Option<&'static str>) -> (&'static str, Reply) {
    let run = |words: &[&[u8]]| run(held, words);
    let kind = kind.unwrap_or_else(|| kind_of(held, key));
    let value = match kind {
        "string" => run(&[b"GET", key]),
        "list" => run(&[b"LRANGE", key, b"0", b"-1"]),
        "hash" => run(&[b"HGETALL", key]),
        "set" => run(&[b"SMEMBERS", key]),
        "zset" => scores(run(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"])),
        "stream" => entries(run(&[b"XRANGE", key, b"-", b"+"])),
        _ => Reply::Null,
    };
    match value {
        // It changed its type or went while it was read (an expired key goes when it is touched).
        Reply::Error(_) => ("empty", Reply::Null),
        Reply::Null if kind != "module" => ("empty", Reply::Null),
        value => (kind, value),
    }
}

/// The type of a key, as [`read_value`] names it.
pub fn kind_of(held: &Held<'_>, key: &[u8]) -> &'static str {
    known_type(&type_of(held, key))
}

/// The name of a key's type as `TYPE` says it, a module's own name for its values; `none` for a missing key.
pub fn type_of(held: &Held<'_>, key: &[u8]) -> Vec<u8> {
    match run(held, &[b"TYPE", key]) {
        Reply::Bulk(name) | Reply::Status(name) => name,
        _ => b"none".to_vec(),
    }
}

fn run(held: &Held<'_>, words: &[&[u8]]) -> Reply {
    call(held, &words.iter().map(|word| word.to_vec()).collect::<Vec<_>>())
}

fn known_type(name: &[u8]) -> &'static str {
    match name {
        b"string" => "string",
        b"list" => "list",
        b"hash" => "hash",
        b"set" => "set",
        b"zset" => "zset",
        b"stream" => "stream",
        b"none" => "empty",
        _ => "module",
    }
}

/// RESP3's `[[member, score], ...]` as a map.
fn scores(reply: Reply) -> Reply {
    let Reply::Array(items) = reply else {
        return reply;
    };
    Reply::Map(items.into_iter().filter_map(pair).collect())
}

/// `[[id, [field, value, ...]], ...]` as `[[id, {field: value}], ...]`.
fn entries(reply: Reply) -> Reply {
    if !matches!(reply, Reply::Array(_)) {
        return reply;
    }
    let entry = |(id, fields)| Reply::Array(vec![Reply::Bulk(id), fields]);
    Reply::Array(stream_entries(reply).into_iter().map(entry).collect())
}

/// The entries of a stream, as the server lists them: each its id, and a map of its fields. The fields of one that was
/// deleted since are null.
pub fn stream_entries(reply: Reply) -> Vec<(Vec<u8>, Reply)> {
    let Reply::Array(items) = reply else { return Vec::new() };
    let entry = |item| {
        let (Reply::Bulk(id) | Reply::Status(id), fields) = pair(item)? else { return None };
        let Reply::Array(fields) = fields else { return Some((id, Reply::Null)) };
        let mut fields = fields.into_iter();
        let mut map = Vec::new();
        while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
            map.push((field, value));
        }
        Some((id, Reply::Map(map)))
    };
    items.into_iter().filter_map(entry).collect()
}

fn pair(item: Reply) -> Option<(Reply, Reply)> {
    match item {
        Reply::Array(items) => {
            let [first, second] = <[Reply; 2]>::try_from(items).ok()?;
            Some((first, second))
        }
        _ => None,
    }
}
