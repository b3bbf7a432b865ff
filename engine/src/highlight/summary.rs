//! Which parts of a text show best what a query found in it?
//!
//! As RediSearch 2.10 does it: words found close to one another make a fragment; the best fragments
//! get some text around them. Lengths in words become lengths in bytes by the text's average.

use super::matcher::{Found, Hit};
use super::{tagged, Tags};
use crate::text::tokeniser::{separator_len, Words};
use std::ops::Range;

/// Words between two found ones at which a fragment ends.
const MAX_GAP: u32 = 8;

/// What a word that is in a fragment already adds to its score; a new one adds 1.
const REPEATED: f64 = 0.25;

/// How a text is to be summarised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary<'a> {
    /// `FRAGS`: how many fragments at most.
    pub fragments: usize,
    /// `LEN`: how many words of a fragment, about, were not found but stand around those that were.
    pub words: usize,
    /// `SEPARATOR`: what follows each fragment, also the last.
    pub separator: &'a [u8],
}

impl Default for Summary<'_> {
    fn default() -> Self {
        Self { fragments: 3, words: 20, separator: b"... " }
    }
}

/// A part of a text: hits with no large gap between them.
struct Fragment {
    hits: Range<usize>,
    bytes: Range<usize>,
    words: usize,
    score: f64,
}

/// The best fragments of `text` in its order, with tags around what was found when `tags` are given.
/// Runs of blanks become one blank. Where nothing was found: the first words of the text.
pub fn summarise(text: &[u8], found: &Found, summary: &Summary<'_>, tags: Option<Tags<'_>>) -> Vec<u8> {
    let hits = found.hits();
    if hits.is_empty() {
        return single_spaced(&text[..first_words(text, summary.words.saturating_mul(summary.fragments))]);
    }
    let best = best(fragments(hits), summary.fragments);
    let average = text.len() / found.words().max(1);
    let mut out = Vec::new();
    let mut after_last = 0;
    for (nth, fragment) in best.iter().enumerate() {
        let limit = best.get(nth + 1).map_or(text.len(), |next| next.bytes.start);
        let around = summary.words.saturating_sub(fragment.words - fragment.hits.len()) / 2;
        let around = around.saturating_mul(average);
        let start = start_of_context(text, after_last, fragment.bytes.start, around);
        let end = end_of_context(text, fragment.bytes.end, limit, around);
        let mut written = Vec::new();
        let tags = tags.unwrap_or(Tags { open: b"", close: b"" });
        tagged(text, start..end, &hits[fragment.hits.clone()], tags, &mut written);
        out.extend(single_spaced(&written));
        out.extend_from_slice(summary.separator);
        after_last = end;
    }
    out
}

/// Hits put together where gaps are small.
fn fragments(hits: &[Hit]) -> Vec<Fragment> {
    let mut fragments: Vec<Fragment> = Vec::new();
    let mut seen = Vec::new();
    for (nth, hit) in hits.iter().enumerate() {
        let gap = nth.checked_sub(1).map(|before| hit.position.saturating_sub(hits[before].position));
        match fragments.last_mut().filter(|_| gap.is_some_and(|gap| gap <= MAX_GAP)) {
            Some(fragment) => {
                fragment.score += if seen.contains(&hit.word) { REPEATED } else { 1.0 };
                fragment.words += gap.unwrap_or(0) as usize;
                fragment.hits.end = nth + 1;
                fragment.bytes.end = hit.bytes.end;
            }
            None => {
                seen.clear();
                fragments.push(Fragment { hits: nth..nth + 1, bytes: hit.bytes.clone(), words: 1, score: 1.0 });
            }
        }
        if !seen.contains(&hit.word) {
            seen.push(hit.word);
        }
    }
    fragments
}

/// The `count` fragments with the highest scores, the first of equals, in the order of the text.
fn best(mut fragments: Vec<Fragment>, count: usize) -> Vec<Fragment> {
    fragments.sort_by(|one, other| other.score.total_cmp(&one.score));
    fragments.truncate(count);
    fragments.sort_by_key(|fragment| fragment.bytes.start);
    fragments
}

/// Where the text before a fragment starts: at most `around` bytes before it, not within a word and
/// not before `limit`. The word at the limit itself is left out too, as the model does.
fn start_of_context(text: &[u8], limit: usize, start: usize, around: usize) -> usize {
    let mut at = start.saturating_sub(around).max(limit);
    while at < start && separator_len(&text[at..]) == 0 {
        at += 1;
    }
    while at < start {
        match separator_len(&text[at..start]) {
            0 => break,
            len => at += len,
        }
    }
    at
}

/// Where the text after a fragment ends: at most `around` bytes after it, before a separator.
fn end_of_context(text: &[u8], end: usize, limit: usize, around: usize) -> usize {
    let mut at = end.saturating_add(around).min(limit.saturating_sub(1)).max(end);
    while at > end && separator_len(&text[at..]) == 0 {
        at -= 1;
    }
    // Separators at the end say nothing.
    while at > end && separator_len(&text[at - 1..]) > 0 {
        at -= 1;
    }
    at
}

/// The length of the first `count` words of a text.
fn first_words(text: &[u8], count: usize) -> usize {
    let last = count.checked_sub(1).and_then(|before| Words::new(text).take(before + 1).last());
    last.map_or(0, |word| word.bytes.end)
}

/// `text` with each run of blanks as one space.
fn single_spaced(text: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                if out.last() != Some(&b' ') {
                    out.push(b' ');
                }
            }
            _ => out.push(byte),
        }
    }
    out
}
