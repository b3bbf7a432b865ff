//! Does a term match a prefix, suffix, infix, wildcard or fuzzy clause?
//!
//! A [`Pattern`] reads a term byte by byte and can say early that nothing that begins like this
//! will match, which is what lets a dictionary be walked rather than scanned. Characters are code
//! points; a byte that is not valid UTF-8 counts as one character of its own, except that a wildcard
//! takes a stray continuation byte for part of the character before it.

use smallvec::SmallVec;

/// A compiled clause.
#[derive(Debug, Clone)]
pub struct Pattern {
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Prefix(Vec<u8>),
    /// A literal with the table of Knuth, Morris and Pratt, at the end or anywhere.
    Search {
        literal: Vec<u8>,
        fallback: Vec<usize>,
        at_end: bool,
    },
    Wildcard(Vec<Token>),
    Fuzzy(Fuzzy),
}

/// A word as an automaton that runs with all numbers of edits at once: bit *n* of a row stands for
/// the first *n* characters (Wu and Manber's way).
#[derive(Debug, Clone)]
struct Fuzzy {
    /// The distinct characters, each with the bits of the places that it leads to.
    chars: Vec<(u32, u128)>,
    /// The bit of the whole word; 0 for a word that is too long to be a term.
    whole: u128,
    distance: u8,
}

/// Edits that a fuzzy pattern allows at most: what `FT.SPELLCHECK` asks for.
const MAX_EDITS: u8 = 4;

/// For each number of edits, which beginnings of the word are reached.
type Rows = [u128; MAX_EDITS as usize + 1];

/// Characters of a fuzzy word. Longer ones match nothing: no more fit into a term.
const MAX_FUZZY_CHARS: usize = 127;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    Byte(u8),
    AnyChar,
    Star,
}

/// How far a pattern has come in a term.
#[derive(Debug, Clone)]
pub struct State(Inner);

#[derive(Debug, Clone)]
enum Inner {
    Dead,
    /// Bytes of the literal matched.
    At(usize),
    /// Wildcard: the tokens that may come next, one bit each.
    Set(SmallVec<[u64; 2]>),
    /// Fuzzy: the rows, and a character of which bytes are missing.
    Rows {
        rows: Rows,
        code: u32,
        missing: u8,
    },
}

/// Stands for a byte that is not part of a character; no code point has this value.
const NO_CHAR: u32 = u32::MAX;

impl Pattern {
    /// Terms that begin with `text`.
    pub fn prefix(text: &[u8]) -> Self {
        Self { kind: Kind::Prefix(text.to_vec()) }
    }

    /// Terms that end with `text`.
    pub fn suffix(text: &[u8]) -> Self {
        Self::search(text, true)
    }

    /// Terms that contain `text`.
    pub fn infix(text: &[u8]) -> Self {
        Self::search(text, false)
    }

    fn search(text: &[u8], at_end: bool) -> Self {
        let mut fallback = vec![0; text.len() + 1];
        let mut length = 0;
        for at in 1..text.len() {
            while length > 0 && text[at] != text[length] {
                length = fallback[length];
            }
            length += usize::from(text[at] == text[length]);
            fallback[at + 1] = length;
        }
        Self { kind: Kind::Search { literal: text.to_vec(), fallback, at_end } }
    }

    /// Terms that match `text`, where `*` is any run of characters, `?` any one, and a backslash
    /// makes the next byte stand for itself.
    pub fn wildcard(text: &[u8]) -> Self {
        let mut tokens = Vec::new();
        let mut bytes = text.iter();
        while let Some(&byte) = bytes.next() {
            match byte {
                b'*' if tokens.last() == Some(&Token::Star) => {}
                b'*' => tokens.push(Token::Star),
                b'?' => tokens.push(Token::AnyChar),
                b'\\' => tokens.push(Token::Byte(bytes.next().copied().unwrap_or(b'\\'))),
                byte => tokens.push(Token::Byte(byte)),
            }
        }
        Self { kind: Kind::Wildcard(tokens) }
    }

    /// Terms at most `distance` insertions, deletions and replacements of characters away; four are
    /// the most.
    pub fn fuzzy(text: &[u8], distance: u8) -> Self {
        let mut chars = Vec::new();
        let mut decoder = (0, 0);
        for &byte in text {
            decode(&mut decoder.0, &mut decoder.1, byte, |char| chars.push(char));
        }
        if decoder.1 > 0 {
            chars.push(NO_CHAR);
        }
        Self { kind: Kind::Fuzzy(Fuzzy::new(&chars, distance.min(MAX_EDITS))) }
    }

    /// What it is, in the words of `FT.EXPLAIN`.
    pub fn name(&self) -> &'static str {
        match &self.kind {
            Kind::Prefix(_) => "PREFIX",
            Kind::Search { at_end: true, .. } => "SUFFIX",
            Kind::Search { .. } => "INFIX",
            Kind::Wildcard(_) => "WILDCARD",
            Kind::Fuzzy(_) => "FUZZY",
        }
    }

    /// What reading one byte costs, in steps of a short pattern.
    pub fn step_cost(&self) -> u32 {
        match &self.kind {
            Kind::Wildcard(tokens) => 1 + (tokens.len() / 32) as u32,
            _ => 1,
        }
    }

    /// The bytes with which every match begins: where a walk may start.
    pub fn literal_prefix(&self) -> &[u8] {
        match &self.kind {
            Kind::Prefix(text) => text,
            _ => &[],
        }
    }

    /// Bytes that stand side by side somewhere in every match: as many as are known.
    pub fn literal_part(&self) -> Vec<u8> {
        match &self.kind {
            Kind::Prefix(_) | Kind::Fuzzy(_) => Vec::new(),
            Kind::Search { literal, .. } => literal.clone(),
            Kind::Wildcard(tokens) => {
                let runs = tokens.split(|token| !matches!(token, Token::Byte(_)));
                let longest = runs.max_by_key(|run| run.len()).unwrap_or(&[]);
                longest
                    .iter()
                    .filter_map(|token| if let Token::Byte(byte) = token { Some(*byte) } else { None })
                    .collect()
            }
        }
    }

    /// Whether a whole term matches.
    pub fn matches(&self, term: &[u8]) -> bool {
        let mut state = self.start();
        for &byte in term {
            state = self.accept(&state, byte);
        }
        self.is_match(&state)
    }

    /// The state before the first byte.
    pub fn start(&self) -> State {
        State(match &self.kind {
            Kind::Prefix(_) | Kind::Search { .. } => Inner::At(0),
            Kind::Wildcard(tokens) => {
                let mut set = SmallVec::from_elem(0, tokens.len() / 64 + 1);
                add(tokens, &mut set, 0);
                Inner::Set(set)
            }
            Kind::Fuzzy(fuzzy) => Inner::Rows { rows: fuzzy.start(), code: 0, missing: 0 },
        })
    }

    /// The state after one more byte.
    pub fn accept(&self, state: &State, byte: u8) -> State {
        State(match (&self.kind, &state.0) {
            (Kind::Prefix(text), &Inner::At(at)) if at < text.len() => {
                if text[at] == byte {
                    Inner::At(at + 1)
                } else {
                    Inner::Dead
                }
            }
            (Kind::Prefix(_), &Inner::At(at)) => Inner::At(at),
            (Kind::Search { literal, at_end: false, .. }, &Inner::At(at)) if at == literal.len() => Inner::At(at),
            (Kind::Search { literal, fallback, .. }, &Inner::At(at)) => {
                let mut at = if at == literal.len() { fallback[at] } else { at };
                while at > 0 && literal[at] != byte {
                    at = fallback[at];
                }
                let found = literal.get(at) == Some(&byte);
                Inner::At(at + usize::from(found))
            }
            (Kind::Wildcard(tokens), Inner::Set(set)) => step_wildcard(tokens, set, byte),
            (Kind::Fuzzy(fuzzy), &Inner::Rows { mut rows, mut code, mut missing }) => {
                decode(&mut code, &mut missing, byte, |char| rows = fuzzy.step(rows, char));
                if rows == Rows::default() {
                    Inner::Dead
                } else {
                    Inner::Rows { rows, code, missing }
                }
            }
            _ => Inner::Dead,
        })
    }

    /// Whether what was read so far is a match.
    pub fn is_match(&self, state: &State) -> bool {
        match (&self.kind, &state.0) {
            (Kind::Prefix(text), &Inner::At(at)) => at == text.len(),
            (Kind::Search { literal, .. }, &Inner::At(at)) => at == literal.len(),
            (Kind::Wildcard(tokens), Inner::Set(set)) => has(set, tokens.len()),
            (Kind::Fuzzy(fuzzy), &Inner::Rows { rows, missing, .. }) => {
                let rows = if missing == 0 { rows } else { fuzzy.step(rows, NO_CHAR) };
                rows.iter().any(|row| row & fuzzy.whole != 0)
            }
            _ => false,
        }
    }

    /// Whether anything that begins with what was read so far can be a match.
    pub fn can_match(&self, state: &State) -> bool {
        match &state.0 {
            Inner::Dead => false,
            Inner::Set(set) => set.iter().any(|&word| word != 0),
            _ => true,
        }
    }
}

fn has(set: &[u64], at: usize) -> bool {
    set[at / 64] >> (at % 64) & 1 == 1
}

/// Adds a place, and those that a star reaches without reading.
fn add(tokens: &[Token], set: &mut [u64], mut at: usize) {
    loop {
        set[at / 64] |= 1 << (at % 64);
        if tokens.get(at) != Some(&Token::Star) {
            break;
        }
        at += 1;
    }
}

fn step_wildcard(tokens: &[Token], set: &[u64], byte: u8) -> Inner {
    let continues = byte & 0xc0 == 0x80;
    let mut next = SmallVec::from_elem(0, set.len());
    for at in 0..=tokens.len() {
        if !has(set, at) {
            continue;
        }
        // The rest of a character that `?` has begun to read.
        if continues && at > 0 && tokens[at - 1] == Token::AnyChar {
            add(tokens, &mut next, at);
        }
        match tokens.get(at) {
            Some(Token::Star) => add(tokens, &mut next, at),
            Some(Token::AnyChar) if !continues => add(tokens, &mut next, at + 1),
            Some(Token::Byte(expected)) if *expected == byte => add(tokens, &mut next, at + 1),
            _ => {}
        }
    }
    Inner::Set(next)
}

/// Feeds one byte to a UTF-8 decoder, which yields at most two characters for it: one that was
/// broken off, and one that is complete.
fn decode(code: &mut u32, missing: &mut u8, byte: u8, mut yield_char: impl FnMut(u32)) {
    if *missing > 0 {
        if byte & 0xc0 == 0x80 {
            *code = *code << 6 | u32::from(byte & 0x3f);
            *missing -= 1;
            if *missing == 0 {
                yield_char(*code);
            }
            return;
        }
        *missing = 0;
        yield_char(NO_CHAR);
    }
    match byte {
        0..=0x7f => yield_char(u32::from(byte)),
        0xc2..=0xdf => (*code, *missing) = (u32::from(byte & 0x1f), 1),
        0xe0..=0xef => (*code, *missing) = (u32::from(byte & 0x0f), 2),
        0xf0..=0xf4 => (*code, *missing) = (u32::from(byte & 0x07), 3),
        _ => yield_char(NO_CHAR),
    }
}

impl Fuzzy {
    fn new(word: &[u32], distance: u8) -> Self {
        let mut chars: Vec<(u32, u128)> = Vec::new();
        if word.len() > MAX_FUZZY_CHARS {
            return Self { chars, whole: 0, distance };
        }
        for (at, &char) in word.iter().enumerate().filter(|(_, &char)| char != NO_CHAR) {
            let bit = 1 << (at + 1);
            match chars.iter_mut().find(|(known, _)| *known == char) {
                Some((_, bits)) => *bits |= bit,
                None => chars.push((char, bit)),
            }
        }
        Self { chars, whole: 1 << word.len(), distance }
    }

    /// Without reading anything, so many characters can be left out as there are edits.
    fn start(&self) -> Rows {
        let mut rows = Rows::default();
        if self.whole != 0 {
            for (edits, row) in rows.iter_mut().enumerate().take(usize::from(self.distance) + 1) {
                *row = (1 << (edits + 1)) - 1;
            }
        }
        rows
    }

    fn step(&self, before: Rows, char: u32) -> Rows {
        let leads = self.chars.iter().find(|(known, _)| *known == char).map_or(0, |(_, bits)| *bits);
        // Nothing lies beyond the whole word.
        let inside = (self.whole << 1).wrapping_sub(1);
        let mut rows = Rows::default();
        rows[0] = before[0] << 1 & leads;
        for edits in 1..=usize::from(self.distance) {
            let replaced = before[edits - 1] << 1;
            let inserted = before[edits - 1];
            let left_out = rows[edits - 1] << 1;
            rows[edits] = (before[edits] << 1 & leads | replaced | inserted | left_out) & inside;
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edits(a: &[char], b: &[char]) -> usize {
        match (a, b) {
            ([], rest) | (rest, []) => rest.len(),
            ([x, a_rest @ ..], [y, b_rest @ ..]) => {
                if x == y {
                    return edits(a_rest, b_rest);
                }
                1 + edits(a_rest, b).min(edits(a, b_rest)).min(edits(a_rest, b_rest))
            }
        }
    }

    fn glob(pattern: &[char], term: &[char]) -> bool {
        match (pattern, term) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=term.len()).any(|skip| glob(rest, &term[skip..])),
            (['?', rest @ ..], [_, tail @ ..]) => glob(rest, tail),
            ([char, rest @ ..], [first, tail @ ..]) => char == first && glob(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn fuzzy_is_the_edit_distance(a in "[abé語]{0,6}", b in "[abé語]{0,6}", distance in 1u8..5) {
            let (x, y): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            let expected = edits(&x, &y) <= usize::from(distance);
            prop_assert_eq!(Pattern::fuzzy(a.as_bytes(), distance).matches(b.as_bytes()), expected);
        }

        #[test]
        fn wildcards_follow_the_definition(pattern in "[aé*?]{0,7}", term in "[aé語]{0,7}") {
            let (x, y): (Vec<char>, Vec<char>) = (pattern.chars().collect(), term.chars().collect());
            prop_assert_eq!(Pattern::wildcard(pattern.as_bytes()).matches(term.as_bytes()), glob(&x, &y));
        }

        #[test]
        fn literals_are_found(text in "[ab]{0,4}", term in "[ab]{0,9}") {
            let (text_bytes, bytes) = (text.as_bytes(), term.as_bytes());
            prop_assert_eq!(Pattern::prefix(text_bytes).matches(bytes), term.starts_with(&text));
            prop_assert_eq!(Pattern::suffix(text_bytes).matches(bytes), term.ends_with(&text));
            prop_assert_eq!(Pattern::infix(text_bytes).matches(bytes), term.contains(&text));
        }

        #[test]
        fn a_dead_state_never_leads_to_a_match(pattern in "[ab*?]{0,5}", term in "[ab]{0,8}") {
            let bytes = pattern.as_bytes();
            for pattern in [Pattern::wildcard(bytes), Pattern::fuzzy(bytes, 1), Pattern::prefix(bytes)] {
                let (mut state, mut dead) = (pattern.start(), false);
                for &byte in term.as_bytes() {
                    state = pattern.accept(&state, byte);
                    dead |= !pattern.can_match(&state);
                }
                prop_assert!(!(dead && pattern.is_match(&state)));
            }
        }

        #[test]
        fn any_bytes_are_a_pattern_and_a_term(pattern: Vec<u8>, term: Vec<u8>) {
            Pattern::wildcard(&pattern).matches(&term);
            Pattern::fuzzy(&pattern, 3).matches(&term);
            prop_assert!(Pattern::fuzzy(b"", 3).matches(&[0xff, 0xc3]));
        }
    }
}
