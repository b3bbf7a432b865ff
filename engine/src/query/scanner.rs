//! Which word or sign comes next in a query?
//!
//! The parser asks for one symbol at a time, because what a sign means depends on where it stands:
//! the contents of `{}`, `[]`, `""` and `''` are read raw by [`Scanner::until`].

use super::Dialect;
use crate::error::QueryError;
use crate::text::tokeniser::{separator_len, unescape_into, word_len};

/// A word or sign with its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) kind: SymbolKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The kinds of words and signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SymbolKind {
    Word,
    Number,
    /// `$name`: the place includes the sign.
    Param,
    /// `''`
    Nothing,
    /// `w'`: the pattern follows.
    WildcardStart,
    Open,
    Close,
    Bar,
    Minus,
    Tilde,
    Star,
    Percent,
    Quote,
    At,
    Arrow,
    /// A sign that only stands inside something else: `: ; { } [ ] $`.
    Stray,
    End,
}

/// A place in a query's text.
#[derive(Debug, Clone)]
pub(super) struct Scanner<'q> {
    text: &'q [u8],
    dialect: Dialect,
    at: usize,
    last: Symbol,
}

impl<'q> Scanner<'q> {
    pub(super) fn new(text: &'q [u8], dialect: Dialect) -> Self {
        let start = Symbol { kind: SymbolKind::End, start: 0, end: 0 };
        Self { text, dialect, at: 0, last: start }
    }

    /// The bytes of a symbol.
    pub(super) fn bytes(&self, symbol: Symbol) -> &'q [u8] {
        &self.text[symbol.start..symbol.end]
    }

    /// The text of a word, without escapes.
    pub(super) fn unescaped(&self, symbol: Symbol) -> Vec<u8> {
        let mut out = Vec::with_capacity(symbol.end - symbol.start);
        unescape_into(self.bytes(symbol), &mut out);
        out
    }

    /// Where the next byte to read is.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The symbol that [`Scanner::take`] would give.
    pub(super) fn peek(&self) -> Symbol {
        let mut at = self.at;
        loop {
            let rest = &self.text[at..];
            if rest.is_empty() {
                return Symbol { kind: SymbolKind::End, start: at, end: at };
            }
            let (kind, len) = self.symbol(rest, at);
            match kind {
                Some(kind) => return Symbol { kind, start: at, end: at + len },
                None => at += len,
            }
        }
    }

    /// Reads a symbol.
    pub(super) fn take(&mut self) -> Symbol {
        let symbol = self.peek();
        self.at = symbol.end;
        if symbol.kind != SymbolKind::End {
            self.last = symbol;
        }
        symbol
    }

    /// Reads the next byte when it is `byte`, with nothing before it.
    pub(super) fn take_adjacent(&mut self, byte: u8) -> bool {
        let found = self.text.get(self.at) == Some(&byte);
        if found {
            self.last = Symbol { kind: SymbolKind::Stray, start: self.at, end: self.at + 1 };
            self.at += 1;
        }
        found
    }

    /// Skips blanks, and reads `sign` when it comes then.
    pub(super) fn take_sign(&mut self, sign: &[u8]) -> bool {
        let blanks = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let start = self.at + blanks;
        let found = self.text[start..].starts_with(sign);
        if found {
            self.at = start + sign.len();
            self.last = Symbol { kind: SymbolKind::Stray, start, end: self.at };
        }
        found
    }

    /// Reads everything up to `end`, and `end`. A backslash before a byte keeps it from ending.
    ///
    /// # Errors
    /// When `end` does not come.
    pub(super) fn until(&mut self, end: u8) -> Result<&'q [u8], QueryError> {
        let start = self.at;
        let mut at = start;
        while let Some(&byte) = self.text.get(at) {
            if byte == end {
                self.last = Symbol { kind: SymbolKind::Stray, start: at, end: at + 1 };
                self.at = at + 1;
                return Ok(&self.text[start..at]);
            }
            at += if byte == b'\\' { 2 } else { 1 };
        }
        self.at = self.text.len();
        Err(self.error_at_end())
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'q [u8] {
        &self.text[self.at..]
    }

    /// Reads `len` bytes, and then `end` bytes that end them.
    pub(super) fn skip(&mut self, len: usize, end: usize) -> &'q [u8] {
        let start = self.at;
        self.at += len + end;
        self.last = Symbol { kind: SymbolKind::Stray, start: start + len, end: self.at };
        &self.text[start..start + len]
    }

    /// The error that `symbol` can't stand where it does.
    pub(super) fn error(&self, symbol: Symbol) -> QueryError {
        if symbol.kind == SymbolKind::End {
            return self.error_at_end();
        }
        QueryError::Syntax { offset: symbol.start, near: shown(self.bytes(symbol)) }
    }

    /// The error that the next symbol can't stand where it does.
    pub(super) fn error_here(&self) -> QueryError {
        self.error(self.peek())
    }

    /// The error that something is missing at the end.
    fn error_at_end(&self) -> QueryError {
        QueryError::Syntax { offset: self.last.start, near: shown(self.bytes(self.last)) }
    }

    /// The symbol at the start of `rest`, which is at `at`, with its length; no kind for what is
    /// skipped.
    fn symbol(&self, rest: &[u8], at: usize) -> (Option<SymbolKind>, usize) {
        use SymbolKind as Kind;
        let modern = self.dialect >= Dialect::V2;
        let sign = |kind| (Some(kind), 1);
        match rest {
            [b'(', ..] => sign(Kind::Open),
            [b')', ..] => sign(Kind::Close),
            [b'|', ..] => sign(Kind::Bar),
            [b'~', ..] => sign(Kind::Tilde),
            [b'*', ..] => sign(Kind::Star),
            [b'%', ..] => sign(Kind::Percent),
            [b'"', ..] => sign(Kind::Quote),
            [b'@', ..] => sign(Kind::At),
            [b'=', b'>', ..] => (Some(Kind::Arrow), 2),
            [b':' | b';' | b'{' | b'}' | b'[' | b']', ..] => sign(Kind::Stray),
            [b'\'', b'\'', ..] if modern => (Some(Kind::Nothing), 2),
            [b'w', b'\'', ..] if modern => (Some(Kind::WildcardStart), 2),
            [b'$', name @ ..] => match word_len(name).0 {
                len if modern && len > 0 => (Some(Kind::Param), 1 + len),
                _ => sign(Kind::Stray),
            },
            [b'-', digits @ ..] => match number_len(digits) {
                len if len > 0 && self.starts_word(at) => (Some(Kind::Number), 1 + len),
                _ => sign(Kind::Minus),
            },
            _ => {
                let number = number_len(rest);
                if number > 0 {
                    return (Some(Kind::Number), number);
                }
                match word_len(rest).0 {
                    0 => (None, separator_len(rest).max(1)),
                    len => (Some(Kind::Word), len),
                }
            }
        }
    }

    /// Whether the byte before `at` lets a number with a sign start there.
    fn starts_word(&self, at: usize) -> bool {
        match at.checked_sub(1).and_then(|before| self.text.get(before)) {
            Some(byte) => byte.is_ascii_whitespace() || matches!(byte, b'(' | b'|' | b':' | b'-' | b'~'),
            None => true,
        }
    }
}

/// The length of the digits, with at most one point among them, that `text` starts with when they
/// are a word of their own; 0 when they are not.
fn number_len(text: &[u8]) -> usize {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(text);
    if whole == 0 {
        return 0;
    }
    let fraction = match &text[whole..] {
        [b'.', rest @ ..] => match digits(rest) {
            0 => 0,
            len if word_len(&rest[len..]).0 > 0 => 0,
            len => 1 + len,
        },
        _ => 0,
    };
    if fraction == 0 && word_len(&text[whole..]).0 > 0 {
        return 0;
    }
    whole + fraction
}

/// At most so much of a word in an error: the query may be megabytes.
fn shown(text: &[u8]) -> Vec<u8> {
    text[..text.len().min(64)].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use SymbolKind::*;

    fn kinds(text: &str, dialect: Dialect) -> Vec<SymbolKind> {
        let mut scanner = Scanner::new(text.as_bytes(), dialect);
        std::iter::from_fn(|| Some(scanner.take().kind)).take_while(|kind| *kind != End).collect()
    }

    #[test]
    fn words_and_signs_are_told_apart() {
        assert_eq!(kinds("a-b, c.d", Dialect::V2), [Word, Minus, Word, Word, Word]);
        assert_eq!(kinds("a\\-b (c)", Dialect::V2), [Word, Open, Word, Close]);
        assert_eq!(kinds("<> ! ? #", Dialect::V2), []);
        assert_eq!(kinds("%é% => {", Dialect::V2), [Percent, Word, Percent, Arrow, Stray]);
    }

    #[test]
    fn numbers_are_words_of_their_own() {
        assert_eq!(
            kinds("3.5 -7 a-7 3x 3.x 1e5 --7", Dialect::V2),
            [Number, Number, Word, Minus, Number, Word, Number, Word, Word, Minus, Number]
        );
        assert_eq!(kinds("1.2.3", Dialect::V2), [Number, Number]);
    }

    #[test]
    fn later_dialects_have_more_signs() {
        assert_eq!(kinds("$p '' w'a", Dialect::V2), [Param, Nothing, WildcardStart, Word]);
        assert_eq!(kinds("$p '' w'a", Dialect::V1), [Stray, Word, Word, Word]);
    }
}
