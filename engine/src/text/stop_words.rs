//! Which words are too common to index?

use super::normalise::normalise;
use crate::error::SchemaError;
use crate::limits;
use rustc_hash::FxHashSet;
use std::collections::BTreeSet;

/// The words that are skipped when a list is not given.
const DEFAULT: [&str; 33] = [
    "a", "is", "the", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "it", "no", "not",
    "of", "on", "or", "such", "that", "their", "then", "there", "these", "they", "this", "to", "was", "will", "with",
];

/// A set of words, normalised as terms are, that are neither indexed nor searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopWords {
    words: FxHashSet<Box<str>>,
    /// Bytes of the longest: most words of a text are longer, and need not be looked up.
    longest: usize,
    custom: bool,
}

impl Default for StopWords {
    fn default() -> Self {
        Self::new(DEFAULT.into_iter().map(Box::from).collect(), false)
    }
}

impl StopWords {
    /// The given words, as `STOPWORDS n word...` names them; none at all switches filtering off.
    ///
    /// # Errors
    /// When there are more than [`limits::MAX_STOP_WORDS`].
    pub fn custom<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, SchemaError> {
        let words: FxHashSet<Box<str>> = words.into_iter().map(|word| normalise(word).into_boxed_str()).collect();
        if words.len() > limits::MAX_STOP_WORDS {
            return Err(SchemaError::TooManyStopWords);
        }
        Ok(Self::new(words, true))
    }

    fn new(words: FxHashSet<Box<str>>, custom: bool) -> Self {
        Self { longest: words.iter().map(|word| word.len()).max().unwrap_or(0), words, custom }
    }

    /// Whether `term`, normalised, is a stop word.
    pub fn contains(&self, term: &str) -> bool {
        term.len() <= self.longest && self.words.contains(term)
    }

    /// Whether the user gave the list: only then does `FT.INFO` show it.
    pub fn is_custom(&self) -> bool {
        self.custom
    }

    /// The words in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(AsRef::as_ref).collect::<BTreeSet<_>>().into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_list_has_33_words_and_is_not_shown() {
        let words = StopWords::default();
        assert_eq!(words.iter().count(), 33);
        assert!(words.contains("the") && !words.contains("fox") && !words.is_custom());
    }

    #[test]
    fn custom_words_replace_the_list_and_are_normalised() {
        let words = StopWords::custom([&b"Caf\xc3\x89"[..], b"LE"]).unwrap();
        assert!(words.contains("café") && words.contains("le") && !words.contains("the"));
        assert!(words.is_custom());
        assert_eq!(StopWords::custom([]).unwrap().iter().count(), 0);
    }

    #[test]
    fn a_list_of_more_than_1024_words_is_refused() {
        let words: Vec<Vec<u8>> = (0..1025).map(|word| format!("w{word}").into_bytes()).collect();
        assert!(StopWords::custom(words.iter().map(Vec::as_slice)).is_err());
        assert!(StopWords::custom(words[1..].iter().map(Vec::as_slice)).is_ok());
    }
}
