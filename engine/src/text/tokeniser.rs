//! Where does a word begin and end?
//!
//! A word ends at a separator: blank, tab, line break, or one of
//! ``, . / ( ) { } [ ] : ; ~ ! @ # $ % ^ & * - = + | ' ` " < > ?``. Underscore is part of a word. A
//! backslash takes the character after it into the word, whatever it is, and is itself removed.
//!
//! Beyond ASCII, white space, typographic punctuation (dashes, curly quotes, ellipsis and the like)
//! and ideographic punctuation separate too: a quoted word is found by its letters, however it
//! was quoted. Line breaks separate, which RediSearch does not do: it drops them as control
//! characters and so joins the words on both sides.

use std::ops::Range;

/// Whether an ASCII byte ends a word.
pub fn is_ascii_separator(byte: u8) -> bool {
    SEPARATORS[usize::from(byte)]
}

const SEPARATORS: [bool; 256] = {
    let mut table = [false; 256];
    let listed = b" \t\n\r\x0b\x0c,./(){}[]:;~!@#$%^&*-=+|'`\"<>?";
    let mut at = 0;
    while at < listed.len() {
        table[listed[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether a character ends a word.
pub fn is_separator(c: char) -> bool {
    match u8::try_from(c) {
        Ok(byte) if byte.is_ascii() => is_ascii_separator(byte),
        _ => {
            c.is_whitespace()
                || matches!(c,
                    '\u{a1}' | '\u{ab}' | '\u{b7}' | '\u{bb}' | '\u{bf}'
                    // General punctuation, without the joiners below it and the invisible ones above.
                    | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}'
                    // Ideographic punctuation.
                    | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}' | '\u{30fb}'
                    // Full-width forms of ASCII punctuation, apart from the low line.
                    | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}' | '\u{ff3d}' | '\u{ff3e}'
                    | '\u{ff40}' | '\u{ff5b}'..='\u{ff65}')
        }
    }
}

/// The length in bytes of the separator with which `text` starts; 0 when it starts with something
/// else.
pub fn separator_len(text: &[u8]) -> usize {
    match text.first() {
        Some(&byte) if byte.is_ascii() => usize::from(is_ascii_separator(byte)),
        Some(_) => first_char(text).map_or(0, |c| if is_separator(c) { c.len_utf8() } else { 0 }),
        None => 0,
    }
}

/// The character with which `text` starts, when that is valid UTF-8.
fn first_char(text: &[u8]) -> Option<char> {
    let head = &text[..text.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(valid) => valid,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or(""),
    };
    valid.chars().next()
}

/// The length in bytes of the word with which `text` starts, escapes included; 0 when it starts
/// with a separator or is empty. Also whether there is an escape in it.
pub fn word_len(text: &[u8]) -> (usize, bool) {
    let (mut at, mut escaped) = (0, false);
    while let Some(&byte) = text.get(at) {
        if byte == b'\\' {
            escaped = true;
            at += 1;
            // The escaped character, whole: the bytes that continue it are no separators anyway.
            at += text.get(at).map_or(0, |_| separator_len(&text[at..]).max(1));
        } else if byte.is_ascii() {
            if is_ascii_separator(byte) {
                break;
            }
            at += 1;
        } else if separator_len(&text[at..]) > 0 {
            break;
        } else {
            at += 1;
            // On to the next character (or the next byte of a broken one).
            while text.get(at).is_some_and(|next| next & 0xc0 == 0x80) {
                at += 1;
            }
        }
    }
    (at, escaped)
}

/// Appends `word` to `out` without the backslashes that escape.
pub fn unescape_into(word: &[u8], out: &mut Vec<u8>) {
    let mut bytes = word.iter();
    while let Some(&byte) = bytes.next() {
        let literal = if byte == b'\\' { bytes.next() } else { Some(&byte) };
        out.extend(literal);
    }
}

/// The first place in `text`, at `from` or after it, where it can be cut so that the words of the two parts are those of
/// the whole: before a separator that no backslash takes into a word. The length of the text when there is none.
pub fn cut_from(text: &[u8], from: usize) -> usize {
    let can_cut = |&at: &usize| text[at - 1] != b'\\' && separator_len(&text[at..]) > 0;
    (from.max(1)..text.len()).find(can_cut).unwrap_or(text.len())
}

/// The words of a text, in order.
#[derive(Debug, Clone)]
pub struct Words<'t> {
    text: &'t [u8],
    at: usize,
}

/// A word as it stands in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Where it stands, escapes included.
    pub bytes: Range<usize>,
    /// Whether there is a backslash in it.
    pub escaped: bool,
}

impl<'t> Words<'t> {
    /// The words of `text`.
    pub fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }
}

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        loop {
            let rest = self.text.get(self.at..)?;
            let skipped = separator_len(rest);
            if skipped == 0 {
                break;
            }
            self.at += skipped;
        }
        let (len, escaped) = word_len(&self.text[self.at..]);
        if len == 0 {
            return None;
        }
        let start = self.at;
        self.at += len;
        Some(Word { bytes: start..self.at, escaped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<String> {
        words_of(text.as_bytes())
    }

    fn words_of(text: &[u8]) -> Vec<String> {
        Words::new(text)
            .map(|word| {
                let mut out = Vec::new();
                unescape_into(&text[word.bytes], &mut out);
                String::from_utf8_lossy(&out).into_owned()
            })
            .collect()
    }

    #[test]
    fn separators_and_escapes_are_those_of_the_specification() {
        for (text, expected) in [
            ("hello, world", &["hello", "world"][..]),
            ("under_score a-b", &["under_score", "a", "b"]),
            ("baz\\-qux a\\\\b", &["baz-qux", "a\\b"]),
            ("back\\slash", &["backslash"]),
            ("trail\\ end", &["trail end"]),
            ("end\\", &["end"]),
            ("\\", &[""]),
            ("", &[]),
            (" ,.;", &[]),
            ("one\ntwo\r\nthree", &["one", "two", "three"]),
            ("it's `x`", &["it", "s", "x"]),
            ("“quoted”—dash… l’été", &["quoted", "dash", "l", "été"]),
            ("a\u{a0}b 中文。日本", &["a", "b", "中文", "日本"]),
            ("a\\“b", &["a“b"]),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }

    #[test]
    fn broken_bytes_are_part_of_words() {
        assert_eq!(words_of(b"caf\xe9 \xe2\x80"), ["caf\u{fffd}", "\u{fffd}"]);
        assert_eq!(words_of(b"\xff,\\\xff").len(), 2);
    }

    proptest! {
        #[test]
        fn without_escapes_words_are_what_separators_leave(text in "[a-z ,é“\n_]{0,30}") {
            let expected: Vec<_> = text.split(is_separator).filter(|word| !word.is_empty()).collect();
            prop_assert_eq!(words(&text), expected);
        }

        #[test]
        fn the_words_of_parts_are_those_of_the_whole(
            text in prop::collection::vec(prop::sample::select(b"ab \\,\xe2\x80\x9c\xff".to_vec()), 0..40),
            from in 0usize..40,
        ) {
            let at = cut_from(&text, from);
            prop_assert!(at >= from.min(text.len()));
            let second = Words::new(&text[at..]).map(|word| Word { bytes: word.bytes.start + at..word.bytes.end + at, ..word });
            let parts: Vec<_> = Words::new(&text[..at]).chain(second).collect();
            prop_assert_eq!(parts, Words::new(&text).collect::<Vec<_>>());
        }

        #[test]
        fn ranges_are_in_order_and_not_empty(text: Vec<u8>) {
            let mut end = 0;
            for word in Words::new(&text) {
                prop_assert!(word.bytes.start >= end && word.bytes.end > word.bytes.start);
                end = word.bytes.end;
            }
            prop_assert!(end <= text.len());
        }
    }
}
