//! How are option words read? A cursor over arguments with uniform error texts.

use std::str;

/// The arguments of a command, read from left to right.
pub(crate) struct Args<'a> {
    rest: &'a [&'a [u8]],
}

impl<'a> Args<'a> {
    pub(crate) fn new(args: &'a [&'a [u8]]) -> Self {
        Self { rest: args }
    }

    /// The next argument.
    pub(crate) fn next(&mut self) -> Option<&'a [u8]> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next argument, which `of` needs.
    ///
    /// # Errors
    /// The text for the client.
    pub(crate) fn value(&mut self, of: &str) -> Result<&'a [u8], String> {
        self.next().ok_or_else(|| format!("ERR {of} is missing its value"))
    }

    /// The next argument as an integer of at least `min`.
    ///
    /// # Errors
    /// The text for the client.
    pub(crate) fn number(&mut self, of: &str, min: i64) -> Result<i64, String> {
        let value = self.value(of)?;
        str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|&number| number >= min)
            .ok_or_else(|| format!("ERR {of} must be an integer of at least {min}, not '{}'", shown(value)))
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [&'a [u8]] {
        std::mem::take(&mut self.rest)
    }
}

/// Whether an argument is this word, in any case.
pub(crate) fn is_word(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// An argument for an error text: short and printable.
pub(crate) fn shown(argument: &[u8]) -> String {
    const LONGEST: usize = 64;
    let text: String = String::from_utf8_lossy(argument).chars().take(LONGEST).collect();
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
