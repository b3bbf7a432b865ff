//! How are the options of FT commands read, and what is said when they can't be?
//!
//! The texts are those that RediSearch 2.10 gives; clients match on some of them.

use std::str;

use crate::commands::args::shown;

/// Why an argument was refused, in the words of the interface.
pub(super) const NO_ARGUMENT: &str = "Expected an argument, but none provided";
/// As above.
pub(super) const NOT_CONVERTIBLE: &str = "Could not convert argument to expected type";
/// As above.
pub(super) const OUT_OF_BOUNDS: &str = "Value is outside acceptable bounds";

/// The words of a command, read from left to right.
pub(super) struct Words<'a> {
    all: &'a [&'a [u8]],
    at: usize,
}

impl<'a> Words<'a> {
    pub(super) fn new(all: &'a [&'a [u8]]) -> Self {
        Self { all, at: 0 }
    }

    /// How many words were read.
    pub(super) fn read(&self) -> usize {
        self.at
    }

    /// The next word.
    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        let word = self.all.get(self.at).copied()?;
        self.at += 1;
        Some(word)
    }

    /// The next word, which is only looked at.
    pub(super) fn peek(&self) -> Option<&'a [u8]> {
        self.all.get(self.at).copied()
    }

    /// Reads the next word if it is this one, in any case.
    pub(super) fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|next| next.eq_ignore_ascii_case(word.as_bytes()));
        self.at += usize::from(found);
        found
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [&'a [u8]] {
        let rest = &self.all[self.at..];
        self.at = self.all.len();
        rest
    }

    /// The next `count` words; `None`, and none is read, when there are fewer.
    pub(super) fn several(&mut self, count: usize) -> Option<&'a [&'a [u8]]> {
        let end = self.at.checked_add(count)?;
        let words = self.all.get(self.at..end)?;
        self.at = end;
        Some(words)
    }

    /// The next word, which `option` needs.
    ///
    /// # Errors
    /// The text for the client.
    pub(super) fn value(&mut self, option: &str) -> Result<&'a [u8], String> {
        self.next().ok_or_else(|| bad(option, NO_ARGUMENT))
    }

    /// The next word as a number.
    ///
    /// # Errors
    /// The text for the client.
    pub(super) fn number<N: str::FromStr>(&mut self, option: &str) -> Result<N, String> {
        let word = self.value(option)?;
        number(word).ok_or_else(|| bad(option, NOT_CONVERTIBLE))
    }

    /// A count and as many words.
    ///
    /// # Errors
    /// The text for the client.
    pub(super) fn counted(&mut self, option: &str) -> Result<&'a [&'a [u8]], String> {
        let count = self.count(option)?;
        self.several(count).ok_or_else(|| bad(option, NO_ARGUMENT))
    }

    /// The next word as a count.
    ///
    /// # Errors
    /// The text for the client.
    pub(super) fn count(&mut self, option: &str) -> Result<usize, String> {
        let count: i64 = self.number(option)?;
        usize::try_from(count).map_err(|_| bad(option, OUT_OF_BOUNDS))
    }
}

/// A word as a number.
pub(super) fn number<N: str::FromStr>(word: &[u8]) -> Option<N> {
    str::from_utf8(word).ok()?.parse().ok()
}

/// The text for an option whose argument is missing or does not fit.
pub(super) fn bad(option: &str, reason: &str) -> String {
    format!("Bad arguments for {option}: {reason}")
}

/// The text for a word that is no option.
pub(super) fn unknown(word: &[u8], position: usize) -> String {
    format!("Unknown argument `{}` at position {position} for <main>", shown(word))
}

/// Copies of some words.
pub(super) fn owned(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}
