//! How is one clause without a sign or a field read?

use super::Parser;
use crate::error::QueryError;
use crate::limits;
use crate::query::ast::{Exact, Node, NodeKind, Pattern, Word};
use crate::query::scanner::{Symbol, SymbolKind};
use crate::query::Dialect;
use crate::text::tokeniser::{unescape_into, word_len, Words};

impl Parser<'_> {
    /// Whether a clause, or a sign before one, comes next.
    pub(super) fn starts_clause(&self) -> bool {
        use SymbolKind as Kind;
        matches!(
            self.scanner.peek().kind,
            Kind::Word
                | Kind::Number
                | Kind::Param
                | Kind::Nothing
                | Kind::WildcardStart
                | Kind::Open
                | Kind::Minus
                | Kind::Tilde
                | Kind::Star
                | Kind::Percent
                | Kind::Quote
                | Kind::At
        )
    }

    /// A clause with its attributes.
    pub(super) fn clause(&mut self, depth: usize) -> Result<Node, QueryError> {
        let node = self.clause_without_attributes(depth)?;
        self.attributed(node)
    }

    pub(super) fn clause_without_attributes(&mut self, depth: usize) -> Result<Node, QueryError> {
        let symbol = self.scanner.take();
        let kind = match symbol.kind {
            SymbolKind::Open => {
                let inside = self.group(SymbolKind::Close, depth + 1)?;
                self.expect(SymbolKind::Close)?;
                return Ok(inside);
            }
            SymbolKind::Word | SymbolKind::Number | SymbolKind::Param => {
                if self.is_missing_call(symbol) {
                    return self.missing();
                }
                let word = self.word(symbol)?;
                if self.scanner.take_adjacent(b'*') {
                    NodeKind::Pattern(Pattern::Prefix(word.text))
                } else {
                    NodeKind::Word(word)
                }
            }
            SymbolKind::Nothing => NodeKind::Exact(Exact { words: Vec::new() }),
            SymbolKind::WildcardStart => {
                let written = self.scanner.until(b'\'')?;
                NodeKind::Pattern(self.wildcard(written)?)
            }
            SymbolKind::Star => {
                let word = self.adjacent_word(symbol)?;
                if self.scanner.take_adjacent(b'*') {
                    NodeKind::Pattern(Pattern::Infix(word.text))
                } else {
                    NodeKind::Pattern(Pattern::Suffix(word.text))
                }
            }
            SymbolKind::Percent => NodeKind::Pattern(self.fuzzy()?),
            SymbolKind::Quote => NodeKind::Exact(self.exact(symbol)?),
            _ => return Err(self.scanner.error(symbol)),
        };
        self.node(kind)
    }

    /// A word or the value of a parameter, which is one word whatever is in it.
    fn word(&self, symbol: Symbol) -> Result<Word, QueryError> {
        let (text, number) = match symbol.kind {
            SymbolKind::Param => (self.param(symbol)?.to_vec(), false),
            kind => (self.scanner.unescaped(symbol), kind == SymbolKind::Number),
        };
        Ok(Word { text, offset: symbol.start, number })
    }

    /// The value of the parameter that `symbol` names.
    fn param(&self, symbol: Symbol) -> Result<&[u8], QueryError> {
        let mut name = Vec::new();
        unescape_into(&self.scanner.bytes(symbol)[1..], &mut name);
        self.params.get(&name)
    }

    /// The pattern between `w'` and `'`: as it is written, or the value of a parameter that is all there is.
    pub(super) fn wildcard(&self, written: &[u8]) -> Result<Pattern, QueryError> {
        let param = written.strip_prefix(b"$").filter(|name| !name.is_empty() && word_len(name).0 == name.len());
        Ok(Pattern::Wildcard(param.map_or(Ok(written), |name| self.params.get(name))?.to_vec()))
    }

    /// The word directly after the sign `before`.
    fn adjacent_word(&mut self, before: Symbol) -> Result<Word, QueryError> {
        let symbol = self.scanner.peek();
        let is_word = matches!(symbol.kind, SymbolKind::Word | SymbolKind::Number | SymbolKind::Param);
        if !is_word || symbol.start != before.end {
            return Err(self.scanner.error(if is_word { symbol } else { before }));
        }
        self.scanner.take();
        self.word(symbol)
    }

    /// A fuzzy word whose first percent sign has been read.
    fn fuzzy(&mut self) -> Result<Pattern, QueryError> {
        let mut distance = 1;
        while distance < limits::MAX_FUZZY_DISTANCE && self.scanner.take_adjacent(b'%') {
            distance += 1;
        }
        let symbol = self.scanner.peek();
        if !matches!(symbol.kind, SymbolKind::Word | SymbolKind::Number | SymbolKind::Param) {
            return Err(self.scanner.error(symbol));
        }
        self.scanner.take();
        let word = self.word(symbol)?;
        for _ in 0..distance {
            self.expect(SymbolKind::Percent)?;
        }
        Ok(Pattern::Fuzzy(word.text, distance))
    }

    /// A phrase whose first quote has been read. Its text is cut into words as a document's is.
    fn exact(&mut self, quote: Symbol) -> Result<Exact, QueryError> {
        let start = self.scanner.position();
        let text = self.scanner.until(b'"')?;
        let mut words = Vec::new();
        for word in Words::new(text) {
            let written = &text[word.bytes.clone()];
            let mut literal = Vec::new();
            // A sign before a digit is a price, not a parameter.
            let is_param = self.dialect > Dialect::V1
                && word.bytes.start.checked_sub(1).is_some_and(|before| text[before] == b'$')
                && !written[0].is_ascii_digit();
            if is_param {
                literal.extend_from_slice(self.params.get(written)?);
            } else {
                unescape_into(written, &mut literal);
            }
            words.push(Word { text: literal, offset: start + word.bytes.start, number: false });
        }
        self.nodes += words.len();
        if words.is_empty() && (self.dialect == Dialect::V1 || !text.is_empty()) {
            return Err(QueryError::Syntax { offset: quote.start, near: b"\"".to_vec() });
        }
        Ok(Exact { words })
    }

    /// Whether `symbol`, just read, and what follows is `ismissing(`.
    fn is_missing_call(&self, symbol: Symbol) -> bool {
        let next = self.scanner.peek();
        self.dialect > Dialect::V1
            && self.scanner.bytes(symbol).eq_ignore_ascii_case(b"ismissing")
            && next.kind == SymbolKind::Open
            && next.start == symbol.end
    }

    /// `(@field)` after `ismissing`.
    fn missing(&mut self) -> Result<Node, QueryError> {
        self.expect(SymbolKind::Open)?;
        self.expect(SymbolKind::At)?;
        let name = self.expect(SymbolKind::Word)?;
        let field = self.scanner.unescaped(name);
        self.expect(SymbolKind::Close)?;
        self.node(NodeKind::Missing { field })
    }
}
