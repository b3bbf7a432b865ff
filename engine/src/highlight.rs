//! Which words of a document did a query find, and how are they shown?
//!
//! Nothing is read from an index: the text is analysed again, as it was when it was indexed, and its
//! words are compared with what the query asks for. So what is shown is the text as it is now.
//!
//! A [`Matcher`] knows the query's terms for a field; [`Found`] collects where they are, in steps if
//! the text is long; [`highlight`](highlight()) and [`summarise`] write the result.

mod matcher;
mod summary;

pub use matcher::{Found, Hit, Matcher};
pub use summary::{summarise, Summary};

/// What is written before and after a word that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tags<'a> {
    /// Before.
    pub open: &'a [u8],
    /// After.
    pub close: &'a [u8],
}

impl Default for Tags<'_> {
    fn default() -> Self {
        Self { open: b"<b>", close: b"</b>" }
    }
}

/// The whole text with tags around each word that was found.
pub fn highlight(text: &[u8], found: &Found, tags: Tags<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + found.hits().len() * (tags.open.len() + tags.close.len()));
    tagged(text, 0..text.len(), found.hits(), tags, &mut out);
    out
}

/// Writes a part of the text with tags around `hits`, which are in it.
fn tagged(text: &[u8], part: std::ops::Range<usize>, hits: &[Hit], tags: Tags<'_>, out: &mut Vec<u8>) {
    let mut at = part.start;
    for hit in hits {
        out.extend_from_slice(&text[at..hit.bytes.start]);
        out.extend_from_slice(tags.open);
        out.extend_from_slice(&text[hit.bytes.clone()]);
        out.extend_from_slice(tags.close);
        at = hit.bytes.end;
    }
    out.extend_from_slice(&text[at..part.end]);
}

#[cfg(test)]
mod tests;
