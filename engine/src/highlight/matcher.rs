//! Where in a text are the words that a query asks for?

use crate::dict::pattern::Pattern;
use crate::query::{ClauseKind, Query};
use crate::schema::FieldMask;
use crate::text::{Term, TermKind, Token, Tokens};
use std::collections::HashMap;
use std::ops::Range;

/// The terms and patterns that a query asks for in one field.
#[derive(Debug)]
pub struct Matcher<'q> {
    terms: [HashMap<&'q str, usize>; 4],
    patterns: Vec<(Pattern, usize)>,
}

impl<'q> Matcher<'q> {
    /// What `query` asks for in any of `fields`. What it excludes is not part of that.
    pub fn new(query: &'q Query, fields: FieldMask) -> Self {
        let mut matcher = Self { terms: Default::default(), patterns: Vec::new() };
        let mut count = 0;
        query.root.visit(&mut |clause| {
            if clause.fields & fields == 0 {
                return;
            }
            match &clause.kind {
                // What a word expands to is that word again, for counting: it comes right after.
                ClauseKind::Term { term, expanded } => {
                    count += usize::from(!expanded);
                    matcher.add(term, count);
                }
                ClauseKind::Exact(words) => {
                    for word in words {
                        count += 1;
                        matcher.add(word, count);
                    }
                }
                ClauseKind::Expansion(expansion) if expansion.max_terms > 0 => {
                    count += 1;
                    matcher.patterns.push((expansion.kind.pattern(), count));
                }
                _ => {}
            }
        });
        matcher
    }

    /// Whether no word can match.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty() && self.terms.iter().all(HashMap::is_empty)
    }

    /// Which of the query's words a token is, as a number that is the same for all forms of one.
    pub fn word_of(&self, token: &Token<'_>) -> Option<usize> {
        let term = self.terms[slot(token.kind)].get(token.text).copied();
        term.or_else(|| {
            let mut patterns = self.patterns.iter().filter(|_| token.kind == TermKind::Word);
            patterns.find(|(pattern, _)| pattern.matches(token.text.as_bytes())).map(|(_, word)| *word)
        })
    }

    fn add(&mut self, term: &'q Term, word: usize) {
        self.terms[slot(term.kind)].entry(&term.text).or_insert(word);
    }
}

fn slot(kind: TermKind) -> usize {
    match kind {
        TermKind::Word => 0,
        TermKind::Stem => 1,
        TermKind::Phonetic => 2,
        TermKind::Synonym => 3,
    }
}

/// A word of a text that the query asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// Where it stands.
    pub bytes: Range<usize>,
    /// Its position among the text's words without stop words.
    pub position: u32,
    /// Which of the query's words it is.
    pub word: usize,
}

/// The words of one text that were found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    hits: Vec<Hit>,
    words: usize,
}

impl Found {
    /// Reads up to `words` more words of a text; false when that was the end of it. A long text is
    /// read in several calls, so that the caller can look at its clock in between.
    pub fn read(&mut self, tokens: &mut Tokens<'_>, matcher: &Matcher<'_>, words: usize) -> bool {
        let mut left = words;
        while left > 0 {
            let Some(token) = tokens.next_token() else { return false };
            if token.kind == TermKind::Word {
                self.words += 1;
                left -= 1;
            }
            if self.hits.last().is_some_and(|last| last.bytes == token.bytes) {
                continue;
            }
            if let Some(word) = matcher.word_of(&token) {
                self.hits.push(Hit { bytes: token.bytes, position: token.position, word });
            }
        }
        true
    }

    /// Reads a whole text.
    pub fn all(mut tokens: Tokens<'_>, matcher: &Matcher<'_>) -> Self {
        let mut found = Self::default();
        while found.read(&mut tokens, matcher, usize::MAX) {}
        found
    }

    /// The words found, in order.
    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }

    /// How many words the text has, without stop words.
    pub fn words(&self) -> usize {
        self.words
    }
}
