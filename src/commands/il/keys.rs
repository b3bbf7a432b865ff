//! `IL.KEYS pattern [TYPE t] [COUNT n] [LIMIT n]`: KEYS that does not hold the server up.
//!
//! Keys are copied under the lock in slices; matching, and sorting out keys that a shrinking table
//! showed twice, happen outside it. A key that is there during the whole call is returned exactly once.

use std::cell::Cell;
use std::collections::HashSet;

use engine::glob::Glob;

use crate::commands::args::{is_word, shown, Args};
use crate::redis::{
    type_of, unix_millis, ArgDoc, Command, CommandSpec, Invocation, Job, KeyAccess, KeyRef, KeysCursor, Lane, Outcome,
    Pools, Slice,
};
use crate::reply::Reply;
use crate::sync::{CancelToken, Stop};

pub(super) struct Keys;

impl Command for Keys {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.keys",
        flags: c"readonly",
        arity: -2,
        summary: c"Returns all keys that match a pattern, without holding the server up.",
        args: &[
            ArgDoc::required(c"pattern"),
            ArgDoc::option(c"type", c"TYPE"),
            ArgDoc::option(c"count", c"COUNT"),
            ArgDoc::option(c"limit", c"LIMIT"),
        ],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let request = match Request::parse(invocation.args()) {
            Ok(request) => request,
            Err(error) => return Outcome::Reply(Reply::error(error)),
        };
        let user = invocation.user();
        Outcome::Job(Job {
            pool: Pools::Workers,
            limit: None,
            cancel: CancelToken::new(),
            inline_limit: None,
            run: Box::new(move |lane| match find(&request, user.as_deref(), lane) {
                Ok(keys) => Reply::Array(keys),
                Err(error) => Reply::error(error),
            }),
        })
    }
}

/// What was asked for.
#[derive(Debug)]
struct Request {
    pattern: Glob,
    kind: Option<Vec<u8>>,
    /// Keys to look at in one slice at most.
    count: usize,
    /// Keys to return at most.
    limit: usize,
}

impl Request {
    fn parse(args: &[&[u8]]) -> Result<Self, String> {
        let mut args = Args::new(args);
        let pattern = Glob::new(args.next().unwrap_or(b"*"));
        let mut request = Self { pattern, kind: None, count: usize::MAX, limit: usize::MAX };
        while let Some(word) = args.next() {
            let at_most = |number| usize::try_from(number).unwrap_or(usize::MAX);
            if is_word(word, "TYPE") {
                request.kind = Some(args.value("TYPE")?.to_ascii_lowercase());
            } else if is_word(word, "COUNT") {
                request.count = at_most(args.number("COUNT", 1)?);
            } else if is_word(word, "LIMIT") {
                request.limit = at_most(args.number("LIMIT", 0)?);
            } else {
                return Err(format!("ERR unknown option '{}', expected TYPE, COUNT or LIMIT", shown(word)));
            }
        }
        Ok(request)
    }
}

/// Buckets between two looks at the clock; most hold none or one key.
const BUCKETS_PER_LOOK: usize = 16;

fn find(request: &Request, user: Option<&str>, lane: &mut Lane) -> Result<Vec<Reply>, String> {
    let stopped = |stop: Stop| format!("ERR IL.KEYS was stopped: {stop}");
    let _bulk = lane.give_way();
    let mut cursor = KeysCursor::new();
    let mut found: HashSet<Vec<u8>> = HashSet::new();
    let mut batch = Batch::default();
    let mut more = true;
    while more && found.len() < request.limit {
        batch.clear();
        more = lane.errand(|slice| scan_slice(&mut cursor, slice, request, user, &mut batch)).map_err(stopped)??;
        for key in batch.keys() {
            if found.len() == request.limit {
                break;
            }
            if request.pattern.matches(key) && !found.contains(key) {
                found.insert(key.to_vec());
            }
        }
        // Matching a hostile pattern takes longer than a slice; hear of a stop here too.
        lane.cancel().check().map_err(stopped)?;
    }
    Ok(found.into_iter().map(Reply::Bulk).collect())
}

/// Copies keys until the slice is spent. Returns whether there are more.
fn scan_slice(
    cursor: &mut KeysCursor,
    slice: &Slice<'_>,
    request: &Request,
    user: Option<&str>,
    batch: &mut Batch,
) -> Result<bool, String> {
    let access = KeyAccess::of(slice.held(), user)?;
    let now = unix_millis();
    let visited = Cell::new(0);
    // Modules' values: their type's name takes a command, which must not run inside a scan.
    let mut of_modules: Vec<Vec<u8>> = Vec::new();
    let mut visit = |key: &KeyRef<'_>| {
        visited.set(visited.get() + 1);
        if key.expired(now) || !key.visible_to(&access) {
            return;
        }
        match (&request.kind, key.kind()) {
            (None, _) => batch.push(key.name),
            (Some(wanted), Some(kind)) if wanted == kind.as_bytes() => batch.push(key.name),
            (Some(_), None) => of_modules.push(key.name.to_vec()),
            _ => {}
        }
    };
    let mut more = true;
    let mut buckets = 0_usize;
    while more {
        more = cursor.next_bucket(slice.held(), &mut visit);
        buckets += 1;
        if visited.get() >= request.count || (buckets % BUCKETS_PER_LOOK == 0 && slice.spent()) {
            break;
        }
    }
    for name in of_modules {
        if request.kind.as_deref() == Some(type_of(slice.held(), &name).to_ascii_lowercase().as_slice()) {
            batch.push(&name);
        }
    }
    Ok(more)
}

/// Copied keys, without an allocation for each.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len());
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}
