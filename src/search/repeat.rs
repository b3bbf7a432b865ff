//! How do definitions get into an AOF that is rewritten as commands?
//!
//! With the preamble (the default) they are in its RDB part. Without it the rewritten file has nothing but keys, and the
//! server asks modules for nothing else. So once the rewriting has begun, commands that make the definitions are
//! appended: they come into the file that is written from then on, and repeating them does no harm.

use std::time::Instant;

use super::{dictionaries, registry};
use crate::redis::{is_rewritten_as_commands, replicate, Alarm, Held};

static ALARM: Alarm = Alarm::new(repeat);

/// A child that saves the data set has begun. The commands themselves wait until the server is between commands.
pub(super) fn after_fork(held: &Held<'_>) {
    if !held.is_replica() && (registry::any() || !dictionaries::all().is_empty()) {
        ALARM.set(held, Instant::now());
    }
}

fn repeat(held: &Held<'_>) {
    if !is_rewritten_as_commands(held) {
        return;
    }
    let (indexes, aliases) = registry::everything();
    for index in indexes {
        let (name, view) = (index.name(), index.view());
        let words = |head: &[&[u8]], words: &[Box<[u8]>]| -> Vec<Box<[u8]>> {
            head.iter().map(|&word| word.into()).chain(words.iter().cloned()).collect()
        };
        send(held, c"FT._CREATEIFNX", &words(&[name], &index.definition().words));
        if !view.added.is_empty() {
            send(held, c"FT._ALTERIFNX", &words(&[name, b"SCHEMA", b"ADD"], &view.added));
        }
        for (word, groups) in view.synonyms.iter() {
            for group in groups {
                replicate(held, c"FT.SYNUPDATE", &[name, group.as_bytes(), b"SKIPINITIALSCAN", word.as_bytes()]);
            }
        }
    }
    for (alias, own) in aliases {
        replicate(held, c"FT._ALIASADDIFNX", &[&*alias, &*own]);
    }
    for (name, words) in dictionaries::all() {
        let words: Vec<&[u8]> = std::iter::once(&*name).chain(words.iter().map(|word| &**word)).collect();
        replicate(held, c"FT.DICTADD", &words);
    }
}

fn send(held: &Held<'_>, command: &std::ffi::CStr, words: &[Box<[u8]>]) {
    replicate(held, command, &words.iter().map(|word| &**word).collect::<Vec<_>>());
}
