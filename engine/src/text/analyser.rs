//! Which terms does a text give, and where?
//!
//! One word gives up to four kinds of term at the same position. The kinds live in one dictionary
//! and are told apart by the first byte of their key ([`TermKind::key_into`]).

use super::chinese;
use super::normalise::{cut, normalise_into};
use super::phonetic::phonetic_code;
use super::tokeniser::{unescape_into, Words};
use super::{Language, Stemmer, StopWords, Synonyms};
use crate::limits;
use crate::schema::TextOptions;
use std::borrow::Cow;
use std::ops::Range;

/// What a term is of the word that it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TermKind {
    /// The word itself, normalised.
    Word,
    /// Its stem.
    Stem,
    /// Its sound.
    Phonetic,
    /// The name of a synonym group that it is in.
    Synonym,
}

impl TermKind {
    /// The sign before the term wherever a client sees one (`FT.EXPLAIN`); none before words.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Word => "",
            Self::Stem => "+",
            Self::Phonetic => "<",
            Self::Synonym => "~",
        }
    }

    /// The kind whose keys start with `byte`; none but words do with any other.
    fn of_sign(byte: u8) -> Option<Self> {
        match byte {
            b'+' => Some(Self::Stem),
            b'<' => Some(Self::Phonetic),
            b'~' => Some(Self::Synonym),
            _ => None,
        }
    }

    /// Writes the dictionary's key of a term into `key`, replacing what is there: the text after its
    /// sign. A word that starts with a sign, which takes a backslash to write, gets [`ESCAPE`] before
    /// it, so that no two terms have one key.
    pub fn key_into(self, text: &str, key: &mut Vec<u8>) {
        key.clear();
        if self == Self::Word {
            let sign = text.bytes().next().and_then(Self::of_sign);
            key.extend(sign.map(|_| ESCAPE));
        }
        key.extend_from_slice(self.sign().as_bytes());
        key.extend_from_slice(text.as_bytes());
    }

    /// The kind and the text of the term that has this key.
    pub fn of_key(key: &[u8]) -> (Self, &[u8]) {
        match key {
            [ESCAPE, word @ ..] => (Self::Word, word),
            [sign, text @ ..] => match Self::of_sign(*sign) {
                Some(kind) => (kind, text),
                None => (Self::Word, key),
            },
            [] => (Self::Word, key),
        }
    }
}

/// Stands in keys before a word that starts with a sign. It is a control character, which no word
/// holds.
const ESCAPE: u8 = 1;

/// A term: text and kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term {
    /// What it is of its word.
    pub kind: TermKind,
    /// Its text, without a sign.
    pub text: Box<str>,
}

impl Term {
    /// A term of a kind.
    pub fn new(kind: TermKind, text: impl Into<Box<str>>) -> Self {
        Self { kind, text: text.into() }
    }

    /// A word.
    pub fn word(text: impl Into<Box<str>>) -> Self {
        Self::new(TermKind::Word, text)
    }

    /// The dictionary's key.
    pub fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.text.len() + 1);
        self.kind.key_into(&self.text, &mut key);
        key
    }
}

/// One occurrence of a term in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token<'a> {
    /// The term's text, without a sign.
    pub text: &'a str,
    /// What it is of the word that stands there.
    pub kind: TermKind,
    /// The word's place among the words of the text. Stop words have none; a word's stem, sound and
    /// synonyms have the word's.
    pub position: u32,
    /// Where the word stands in the text, escapes included.
    pub bytes: Range<usize>,
}

/// From which length on words are stemmed and given a sound, in bytes of the normalised word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnalysisLimits {
    /// `MINSTEMLEN`
    pub min_stem_bytes: usize,
    /// `MIN_PHONETIC_TERM_LEN`
    pub min_phonetic_bytes: usize,
}

impl Default for AnalysisLimits {
    fn default() -> Self {
        Self { min_stem_bytes: limits::MIN_STEM_BYTES, min_phonetic_bytes: limits::MIN_PHONETIC_BYTES }
    }
}

/// The steps from text to terms in one language, for one index.
#[derive(Debug, Clone)]
pub struct Analyser<'a> {
    language: Language,
    stemmer: Option<Stemmer>,
    stop_words: &'a StopWords,
    synonyms: &'a Synonyms,
    limits: AnalysisLimits,
}

impl<'a> Analyser<'a> {
    /// The steps for `language`.
    pub fn new(language: Language, stop_words: &'a StopWords, synonyms: &'a Synonyms, limits: AnalysisLimits) -> Self {
        Self { language, stemmer: Stemmer::of(language), stop_words, synonyms, limits }
    }

    /// The language.
    pub fn language(&self) -> Language {
        self.language
    }

    /// The tokens of a text field's value; the first word gets position `first`.
    ///
    /// To keep a phrase from matching across two fields, or two elements of a field with several
    /// values, start the second with a gap of [`limits::MULTI_TEXT_SLOP`] after
    /// [`Tokens::next_position`].
    pub fn tokens<'t>(&'t self, text: &'t [u8], options: &'t TextOptions, first: u32) -> Tokens<'t> {
        Tokens {
            analyser: self,
            options,
            text,
            words: Words::new(text),
            position: first,
            word: String::new(),
            derived: String::new(),
            unescaped: Vec::new(),
            bytes: 0..0,
            step: Step::NextWord,
            chinese: Chinese::default(),
        }
    }

    /// The term that a word of a query looks for, or `None` when nothing of the word is left.
    /// `word` has no escapes any more.
    pub fn word(&self, word: &[u8]) -> Option<Term> {
        let mut text = String::new();
        normalise_into(word, &mut text);
        cut(&mut text, limits::MAX_TERM_BYTES);
        (!text.is_empty()).then(|| Term::word(text))
    }

    /// As [`Analyser::word`]; a word of a Chinese query may be several, one after the other.
    pub fn words(&self, word: &[u8]) -> Vec<Term> {
        if self.language != Language::Chinese {
            return self.word(word).into_iter().collect();
        }
        let mut text = String::new();
        normalise_into(word, &mut text);
        if !chinese::is_chinese(&text) {
            return self.word(word).into_iter().collect();
        }
        chinese::words(&text).into_iter().filter_map(|range| self.word(text[range].as_bytes())).collect()
    }

    /// Whether a normalised word is a stop word.
    pub fn is_stop_word(&self, word: &str) -> bool {
        self.stop_words.contains(word)
    }

    /// The stem of a normalised word that is long enough to have one; it may be the word itself.
    pub fn stem(&self, word: &str) -> Option<Box<str>> {
        self.stem_of(word).map(Box::from)
    }

    fn stem_of<'w>(&self, word: &'w str) -> Option<Cow<'w, str>> {
        let stemmer = self.stemmer.filter(|_| word.len() >= self.limits.min_stem_bytes)?;
        Some(stemmer.stem(word)).filter(|stem| !stem.is_empty())
    }

    /// The sound of a normalised word that is long enough to have one.
    pub fn sound(&self, word: &str) -> Option<Box<str>> {
        let code = if word.len() >= self.limits.min_phonetic_bytes { phonetic_code(word) } else { None };
        code.map(String::into_boxed_str)
    }

    /// The synonym groups of a normalised word.
    pub fn synonym_groups(&self, word: &str) -> &'a [Box<str>] {
        self.synonyms.groups_of(word)
    }
}

/// The tokens of a text, one after the other: for each word that is not a stop word, the word, in Chinese the words
/// inside it, then its stem when that differs, its sound, its synonym groups, where field and index have them.
///
/// The walk can stop after any token and go on later: a large text is indexed in pieces.
#[derive(Debug)]
pub struct Tokens<'a> {
    analyser: &'a Analyser<'a>,
    options: &'a TextOptions,
    text: &'a [u8],
    words: Words<'a>,
    position: u32,
    word: String,
    derived: String,
    unescaped: Vec<u8>,
    bytes: Range<usize>,
    step: Step,
    chinese: Chinese,
}

/// A stretch of a Chinese text between separators, whose words are read one after the other.
#[derive(Debug, Default)]
struct Chinese {
    text: String,
    words: std::vec::IntoIter<Range<usize>>,
    /// Where the stretch stands, and whether its form is the one that is written there.
    bytes: Range<usize>,
    as_written: bool,
    /// The words inside the last one.
    inside: Vec<Range<usize>>,
}

/// What to look at next.
#[derive(Debug, Clone, Copy)]
enum Step {
    NextWord,
    /// The next word inside a Chinese one.
    Inside(usize),
    Stem,
    Sound,
    Synonym(usize),
}

impl Tokens<'_> {
    /// The next token; `None` at the end of the text, and then always.
    pub fn next_token(&mut self) -> Option<Token<'_>> {
        let kind = self.advance()?;
        let text = match (kind, self.step) {
            // Behind the first word inside.
            (TermKind::Word, Step::Inside(1..)) => self.derived.as_str(),
            (TermKind::Word, _) => self.word.as_str(),
            _ => self.derived.as_str(),
        };
        Some(Token { text, kind, position: self.position, bytes: self.bytes.clone() })
    }

    /// The position that the next word of the text would have.
    pub fn next_position(&self) -> u32 {
        match self.step {
            Step::NextWord => self.position,
            _ => self.position.saturating_add(1),
        }
    }

    /// How many bytes of the text have been read.
    pub fn consumed(&self) -> usize {
        self.bytes.end
    }

    fn advance(&mut self) -> Option<TermKind> {
        loop {
            match self.step {
                Step::NextWord => {
                    if !self.next_word()? {
                        continue;
                    }
                    self.step = Step::Stem;
                    if self.analyser.language == Language::Chinese {
                        self.chinese.inside = chinese::words_inside(&self.word);
                        self.step = Step::Inside(0);
                    }
                    return Some(TermKind::Word);
                }
                Step::Inside(nth) => match self.chinese.inside.get(nth) {
                    Some(range) => {
                        self.step = Step::Inside(nth + 1);
                        self.derived.clear();
                        self.derived.push_str(&self.word[range.clone()]);
                        return Some(TermKind::Word);
                    }
                    None => self.step = Step::Stem,
                },
                Step::Stem => {
                    self.step = Step::Sound;
                    let stem = if self.options.stem { self.analyser.stem_of(&self.word) } else { None };
                    if let Some(stem) = stem.filter(|stem| **stem != *self.word) {
                        self.derived.clear();
                        self.derived.push_str(&stem);
                        return Some(TermKind::Stem);
                    }
                }
                Step::Sound => {
                    self.step = Step::Synonym(0);
                    if let Some(sound) = self.options.phonetic.and_then(|_| self.analyser.sound(&self.word)) {
                        return Some(self.derive(&sound, TermKind::Phonetic));
                    }
                }
                Step::Synonym(nth) => {
                    if let Some(group) = self.analyser.synonym_groups(&self.word).get(nth) {
                        self.step = Step::Synonym(nth + 1);
                        return Some(self.derive(group, TermKind::Synonym));
                    }
                    self.step = Step::NextWord;
                    self.position = self.position.saturating_add(1);
                }
            }
        }
    }

    /// Reads one word; false when it is none that is indexed.
    fn next_word(&mut self) -> Option<bool> {
        if let Some(range) = self.chinese.words.next() {
            self.word.clear();
            self.word.push_str(&self.chinese.text[range.clone()]);
            let Range { start, end } = self.chinese.bytes;
            self.bytes = if self.chinese.as_written { start + range.start..start + range.end } else { start..end };
            return Some(self.is_indexed());
        }
        let word = self.words.next()?;
        let mut text = &self.text[word.bytes.clone()];
        if word.escaped {
            self.unescaped.clear();
            unescape_into(text, &mut self.unescaped);
            text = &self.unescaped;
        }
        self.word.clear();
        normalise_into(text, &mut self.word);
        if self.analyser.language == Language::Chinese && chinese::is_chinese(&self.word) {
            // Its words come with the next calls.
            self.chinese.as_written = self.text[word.bytes.clone()].eq_ignore_ascii_case(self.word.as_bytes());
            std::mem::swap(&mut self.chinese.text, &mut self.word);
            self.chinese.words = chinese::words(&self.chinese.text).into_iter();
            self.chinese.bytes = word.bytes;
            return Some(false);
        }
        self.bytes = word.bytes;
        Some(self.is_indexed())
    }

    /// Cuts the word to its longest form, and says whether it is indexed.
    fn is_indexed(&mut self) -> bool {
        cut(&mut self.word, limits::MAX_TERM_BYTES);
        !self.word.is_empty() && !self.analyser.is_stop_word(&self.word)
    }

    fn derive(&mut self, text: &str, kind: TermKind) -> TermKind {
        self.derived.clear();
        self.derived.push_str(text);
        kind
    }
}

#[cfg(test)]
mod tests;
