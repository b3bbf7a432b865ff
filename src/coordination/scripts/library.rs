//! Which scripts are known? Bodies by their SHA-1, the longest unused out when memory is short.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use sha1::{Digest, Sha1};

/// What a script costs besides its body.
const ENTRY_BYTES: usize = 256;

/// A script's name: the SHA-1 of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Sha([u8; 20]);

impl Sha {
    pub(super) fn of(body: &[u8]) -> Self {
        Self(Sha1::digest(body).into())
    }

    /// Reads 40 hexadecimal digits, in any case as the server does.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; 40] = text.try_into().ok()?;
        let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
        let mut sha = [0; 20];
        for (byte, digits) in sha.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(digits[0])? << 4 | digit(digits[1])?;
        }
        Some(Self(sha))
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A script, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// Its SHA-1 in hexadecimal digits.
    pub(crate) sha1: String,
    /// Its text.
    pub(crate) body: Arc<[u8]>,
    /// Whether it stays whatever happens.
    pub(crate) pinned: bool,
    /// How often it was called by its SHA-1.
    pub(crate) calls: u64,
}

/// Figures of the library.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Scripts known.
    pub(crate) scripts: u64,
    /// Those that stay whatever happens.
    pub(crate) pinned: u64,
    /// Bytes that they take.
    pub(crate) bytes: u64,
    /// Scripts learned so far.
    pub(crate) learned: u64,
    /// Scripts that had to go.
    pub(crate) evicted: u64,
    /// Calls by SHA-1 that were given the body.
    pub(crate) calls: u64,
    /// Calls by a SHA-1 that nobody knows here.
    pub(crate) unknown: u64,
}

#[derive(Debug)]
struct Entry {
    body: Arc<[u8]>,
    pinned: bool,
    calls: u64,
    /// When it was last used or learned, on the library's own clock.
    used: u64,
}

/// The scripts.
#[derive(Debug)]
pub(super) struct Library {
    /// `None` until the first script: a static can't make a map.
    entries: Option<HashMap<Sha, Entry>>,
    /// The unpinned ones by last use.
    by_use: BTreeMap<u64, Sha>,
    clock: u64,
    news: Vec<Arc<[u8]>>,
    stats: Stats,
}

impl Library {
    pub(super) const fn new() -> Self {
        let stats = Stats { scripts: 0, pinned: 0, bytes: 0, learned: 0, evicted: 0, calls: 0, unknown: 0 };
        Self { entries: None, by_use: BTreeMap::new(), clock: 0, news: Vec::new(), stats }
    }

    /// Notes a body that passes. Returns whether it is new; one that `limit` has no room for is not kept.
    pub(super) fn learn(&mut self, body: &[u8], limit: usize) -> bool {
        let sha = Sha::of(body);
        if self.touch(sha).is_some() || !self.make_room(cost(body), limit) {
            return false;
        }
        self.insert(sha, body, false);
        true
    }

    pub(super) fn pin(&mut self, body: &[u8], limit: usize) -> Result<Sha, String> {
        let sha = Sha::of(body);
        let known = self.touch(sha);
        if known.is_none() {
            if !self.make_room(cost(body), limit) {
                return Err(format!(
                    "no room for a script of {} bytes (see CONFIG GET search.pin-scripts-memory)",
                    body.len()
                ));
            }
            self.insert(sha, body, true);
        } else if let Some(entry) = self.entries.as_mut().and_then(|entries| entries.get_mut(&sha)) {
            if !std::mem::replace(&mut entry.pinned, true) {
                self.by_use.remove(&entry.used);
                self.stats.pinned += 1;
            }
        }
        Ok(sha)
    }

    pub(super) fn unpin(&mut self, sha: Sha) -> bool {
        let Some(entry) = self.entries.as_mut().and_then(|entries| entries.get_mut(&sha)) else { return false };
        if !std::mem::replace(&mut entry.pinned, false) {
            return false;
        }
        self.by_use.insert(entry.used, sha);
        self.stats.pinned -= 1;
        true
    }

    /// The body of a script that is called by its SHA-1.
    pub(super) fn use_body(&mut self, sha: Sha) -> Option<Arc<[u8]>> {
        let Some(entry) = self.touch(sha) else {
            self.stats.unknown += 1;
            return None;
        };
        entry.calls += 1;
        let body = Arc::clone(&entry.body);
        self.stats.calls += 1;
        Some(body)
    }

    pub(super) fn body(&self, sha: Sha) -> Option<Vec<u8>> {
        Some(self.entries.as_ref()?.get(&sha)?.body.to_vec())
    }

    /// Bodies that were learned since this was last asked.
    pub(super) fn take_news(&mut self) -> Vec<Arc<[u8]>> {
        std::mem::take(&mut self.news)
    }

    /// All scripts, those used last first.
    pub(super) fn list(&self) -> Vec<Script> {
        let mut entries: Vec<(&Sha, &Entry)> = self.entries.iter().flatten().collect();
        entries.sort_unstable_by_key(|(_, entry)| std::cmp::Reverse(entry.used));
        let show = |(sha, entry): (&Sha, &Entry)| Script {
            sha1: sha.to_string(),
            body: Arc::clone(&entry.body),
            pinned: entry.pinned,
            calls: entry.calls,
        };
        entries.into_iter().map(show).collect()
    }

    pub(super) fn stats(&self) -> Stats {
        self.stats
    }

    fn insert(&mut self, sha: Sha, body: &[u8], pinned: bool) {
        self.clock += 1;
        let body: Arc<[u8]> = body.into();
        self.news.push(Arc::clone(&body));
        self.stats.scripts += 1;
        self.stats.learned += 1;
        self.stats.bytes += cost(&body) as u64;
        self.stats.pinned += u64::from(pinned);
        if !pinned {
            self.by_use.insert(self.clock, sha);
        }
        self.entries.get_or_insert_default().insert(sha, Entry { body, pinned, calls: 0, used: self.clock });
    }

    /// The entry, as the one that was used last.
    fn touch(&mut self, sha: Sha) -> Option<&mut Entry> {
        let entry = self.entries.as_mut()?.get_mut(&sha)?;
        self.clock += 1;
        if !entry.pinned {
            self.by_use.remove(&entry.used);
            self.by_use.insert(self.clock, sha);
        }
        entry.used = self.clock;
        Some(entry)
    }

    /// Lets the longest unused go until `bytes` more fit. Returns false, and lets none go, where they can't.
    fn make_room(&mut self, bytes: usize, limit: usize) -> bool {
        let pinned: usize = match self.stats.pinned {
            0 => 0,
            _ => self
                .entries
                .iter()
                .flatten()
                .filter(|(_, entry)| entry.pinned)
                .map(|(_, entry)| cost(&entry.body))
                .sum(),
        };
        if pinned + bytes > limit {
            return false;
        }
        while self.stats.bytes as usize + bytes > limit {
            let Some((_, sha)) = self.by_use.pop_first() else { return false };
            if let Some(entry) = self.entries.as_mut().and_then(|entries| entries.remove(&sha)) {
                self.stats.bytes -= cost(&entry.body) as u64;
                self.stats.scripts -= 1;
                self.stats.evicted += 1;
            }
        }
        true
    }
}

fn cost(body: &[u8]) -> usize {
    body.len() + ENTRY_BYTES
}
