//! Which terms does a document come to, once each, when its words come one by one?
//!
//! Occurrences are sorted and grouped. What is gathered of the parts of a long text is grouped part by part, on several
//! threads, and merged here.

use super::document::{Keep, Term};
use crate::dict::Space;
use crate::postings::positions;
use crate::schema::{FieldMask, ALL_FIELDS};
use std::ops::Range;

/// The occurrences of terms as they come.
#[derive(Debug, Default)]
pub(super) struct Occurrences {
    bytes: Vec<u8>,
    tokens: Vec<Token>,
}

#[derive(Debug)]
struct Token {
    key: Range<usize>,
    freq: u32,
    mask: FieldMask,
    /// `None` for tags and marks.
    position: Option<u32>,
}

/// Those of a part of a text, sorted and grouped.
#[derive(Debug)]
pub struct Gathered {
    /// Weighted number of its words.
    len: u32,
    keys: Vec<u8>,
    places: Vec<u32>,
    groups: Vec<Group>,
}

/// The occurrences of one term.
#[derive(Debug)]
struct Group {
    key: Range<usize>,
    total: Total,
    places: Range<usize>,
}

/// What the occurrences of one term come to, apart from where they are.
#[derive(Debug, Clone, Copy)]
struct Total {
    freq: u32,
    mask: FieldMask,
    /// Whether it is a term of a text.
    is_text: bool,
}

/// The distinct terms of a document, in order.
#[derive(Debug)]
pub(super) struct Terms {
    keep: Keep,
    keys: Vec<u8>,
    positions: Vec<u8>,
    entries: Vec<Entry>,
    max_freq: u32,
}

#[derive(Debug)]
struct Entry {
    key: Range<usize>,
    freq: u32,
    mask: FieldMask,
    positions: Range<usize>,
}

impl Occurrences {
    pub(super) fn push(&mut self, space: Space, term: &[u8], freq: u32, mask: FieldMask, position: Option<u32>) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&space.prefix());
        self.bytes.extend_from_slice(term);
        self.tokens.push(Token { key: start..self.bytes.len(), freq, mask, position });
    }

    /// Sorts them, and calls `visit` with each term, what its occurrences come to, and where they are.
    fn each_term(mut self, mut visit: impl FnMut(&[u8], Total, &mut Vec<u32>)) {
        let bytes = &self.bytes;
        self.tokens
            .sort_unstable_by(|a, b| bytes[a.key.clone()].cmp(&bytes[b.key.clone()]).then(a.position.cmp(&b.position)));
        let mut places = Vec::new();
        for group in self.tokens.chunk_by(|a, b| bytes[a.key.clone()] == bytes[b.key.clone()]) {
            places.clear();
            places.extend(group.iter().filter_map(|token| token.position));
            let total = Total {
                freq: group.iter().fold(0, |sum, token| token.freq.saturating_add(sum)),
                mask: group.iter().fold(0, |mask, token| mask | token.mask),
                is_text: group[0].position.is_some(),
            };
            visit(&bytes[group[0].key.clone()], total, &mut places);
        }
    }

    /// Sorts and groups them, for a document of which they are a part.
    pub(super) fn gather(self, len: u32) -> Gathered {
        let mut gathered = Gathered { len, keys: Vec::new(), places: Vec::new(), groups: Vec::new() };
        self.each_term(|key, total, places| {
            let (key_start, start) = (gathered.keys.len(), gathered.places.len());
            gathered.keys.extend_from_slice(key);
            gathered.places.append(places);
            let (key, places) = (key_start..gathered.keys.len(), start..gathered.places.len());
            gathered.groups.push(Group { key, total, places });
        });
        gathered
    }
}

impl Gathered {
    /// Weighted number of its words.
    pub(super) fn len(&self) -> u32 {
        self.len
    }
}

impl Terms {
    /// The terms of `rest` and of the parts, each with the position at which it begins in its field.
    pub(super) fn new(keep: Keep, rest: Occurrences, mut parts: Vec<(Gathered, u32)>) -> Self {
        let mut terms = Self { keep, keys: Vec::new(), positions: Vec::new(), entries: Vec::new(), max_freq: 0 };
        if parts.is_empty() {
            rest.each_term(|key, total, places| terms.push(key, total, places));
        } else {
            parts.push((rest.gather(0), 0));
            terms.merge(&parts);
        }
        terms
    }

    fn merge(&mut self, parts: &[(Gathered, u32)]) {
        // The first bytes of a key beside it, because most comparisons need no more.
        let head = |key: &[u8]| {
            let (mut head, len) = ([0; 8], key.len().min(8));
            head[..len].copy_from_slice(&key[..len]);
            u64::from_be_bytes(head)
        };
        let mut groups = Vec::with_capacity(parts.iter().map(|(part, _)| part.groups.len()).sum());
        for (part, begin) in parts {
            groups.extend(part.groups.iter().map(|group| {
                let key = &part.keys[group.key.clone()];
                (head(key), key, group.total, &part.places[group.places.clone()], *begin)
            }));
        }
        // Each part is in order already, which a stable sort makes use of.
        groups.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let mut places = Vec::new();
        for same in groups.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let mut total = Total { freq: 0, mask: 0, is_text: false };
            places.clear();
            for &(_, _, of_part, of_places, begin) in same {
                total.freq = total.freq.saturating_add(of_part.freq);
                total.mask |= of_part.mask;
                total.is_text |= of_part.is_text;
                places.extend(of_places.iter().map(|&place| positions::moved(place, begin)));
            }
            // Parts come in the order of their fields in the schema, the rest of the document behind them.
            places.sort_unstable();
            self.push(same[0].1, total, &mut places);
        }
    }

    /// Adds the next term; `places` are in order.
    fn push(&mut self, key: &[u8], total: Total, places: &mut Vec<u32>) {
        let freq = if self.keep.freqs && total.is_text { total.freq } else { 1 };
        if total.is_text {
            self.max_freq = self.max_freq.max(freq);
        }
        let mask = if self.keep.fields { total.mask } else { ALL_FIELDS };
        let start = self.positions.len();
        if self.keep.positions && total.is_text {
            places.dedup();
            positions::write(&mut self.positions, places);
        }
        let key_start = self.keys.len();
        self.keys.extend_from_slice(key);
        let (key, positions) = (key_start..self.keys.len(), start..self.positions.len());
        self.entries.push(Entry { key, freq, mask, positions });
    }

    /// The greatest frequency of any term of a text.
    pub(super) fn max_freq(&self) -> u32 {
        self.max_freq
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Term<'_>> {
        self.entries.iter().map(|entry| Term {
            key: &self.keys[entry.key.clone()],
            freq: entry.freq,
            mask: entry.mask,
            positions: &self.positions[entry.positions.clone()],
        })
    }

    /// Bytes held.
    pub(super) fn memory(&self) -> usize {
        self.keys.capacity() + self.positions.capacity() + self.entries.capacity() * size_of::<Entry>()
    }
}
