//! How is a clause with a field before it read?

use super::Parser;
use crate::error::QueryError;
use crate::query::ast::{Node, NodeKind, Pattern, TagValue};
use crate::query::scanner::SymbolKind;
use crate::query::{Dialect, GeoRadius, GeoUnit, NumericRange};
use crate::text::number;
use crate::text::tokeniser::unescape_into;
use std::ops::Range;

impl<'q> Parser<'q> {
    /// `@name:` and what it binds: `{tags}`, `[range]`, or what `operand` reads; in later dialects
    /// also a comparison.
    pub(super) fn field_clause(
        &mut self,
        depth: usize,
        operand: impl FnOnce(&mut Self) -> Result<Node, QueryError>,
    ) -> Result<Node, QueryError> {
        self.check_depth(depth)?;
        let at = self.expect(SymbolKind::At)?;
        let mut names = vec![self.field_name()?];
        while self.scanner.peek().kind == SymbolKind::Bar {
            self.scanner.take();
            names.push(self.field_name()?);
        }
        if let (Some(comparison), [name]) = (self.comparison(), names.as_slice()) {
            let name = name.clone();
            return self.compared(name, comparison);
        }
        if !self.scanner.take_sign(b":") {
            let next = self.scanner.peek();
            return Err(self.scanner.error(if next.kind == SymbolKind::End { at } else { next }));
        }
        let value = self.scanner.peek();
        let node = match self.scanner.bytes(value) {
            sign @ (b"{" | b"[") => {
                let Some(field) = names.pop().filter(|_| names.is_empty()) else {
                    return Err(self.scanner.error(value));
                };
                self.scanner.take();
                if sign == b"{" {
                    self.tags(field)?
                } else {
                    self.range(field, value.start)?
                }
            }
            _ => {
                let inner = operand(self)?;
                return self.restricted(inner, names);
            }
        };
        self.attributed(node)
    }

    /// `inner` within `names`. A node that has fields already gets one above it, so that both hold.
    fn restricted(&mut self, inner: Node, names: Vec<Vec<u8>>) -> Result<Node, QueryError> {
        if inner.fields.is_none() {
            return Ok(Node { fields: Some(names), ..inner });
        }
        let outer = self.node(NodeKind::And(vec![inner]))?;
        Ok(Node { fields: Some(names), ..outer })
    }

    fn field_name(&mut self) -> Result<Vec<u8>, QueryError> {
        let symbol = self.scanner.take();
        match symbol.kind {
            SymbolKind::Word | SymbolKind::Number => Ok(self.scanner.unescaped(symbol)),
            _ => Err(self.scanner.error(symbol)),
        }
    }

    /// The comparison that comes next, if one does.
    fn comparison(&mut self) -> Option<&'static str> {
        if self.dialect == Dialect::V1 {
            return None;
        }
        // The longer ones first: each of the others is the start of one.
        ["==", "!=", ">=", "<=", ">", "<"].into_iter().find(|sign| self.scanner.take_sign(sign.as_bytes()))
    }

    /// `@field > value` and the like.
    fn compared(&mut self, field: Vec<u8>, comparison: &str) -> Result<Node, QueryError> {
        let symbol = self.scanner.peek();
        let text = self.scanner.bytes(symbol);
        let text = match symbol.kind {
            // A sign before a number that is not directly after a blank.
            SymbolKind::Minus => {
                self.scanner.take();
                let digits = self.scanner.peek();
                if digits.start != symbol.end {
                    return Err(self.scanner.error(symbol));
                }
                [text, self.scanner.bytes(digits)].concat()
            }
            SymbolKind::Word | SymbolKind::Number | SymbolKind::Param => text.to_vec(),
            _ => return Err(self.scanner.error(symbol)),
        };
        self.scanner.take();
        let value = self.number(&text, symbol.start)?;
        let everything = NumericRange::inclusive(f64::NEG_INFINITY, f64::INFINITY);
        let range = match comparison {
            ">" => NumericRange { min: value, min_exclusive: true, ..everything },
            ">=" => NumericRange { min: value, ..everything },
            "<" => NumericRange { max: value, max_exclusive: true, ..everything },
            "<=" => NumericRange { max: value, ..everything },
            _ => NumericRange::inclusive(value, value),
        };
        let node = self.node(NodeKind::Numeric { field, range })?;
        let node = if comparison == "!=" { self.node(NodeKind::Not(Box::new(node)))? } else { node };
        self.attributed(node)
    }

    /// `min max]`, `value]` or `lon lat radius unit]` after `[`, which is at `offset`.
    fn range(&mut self, field: Vec<u8>, offset: usize) -> Result<Node, QueryError> {
        let inside = self.scanner.until(b']')?;
        let parts: Vec<&[u8]> =
            inside.split(|&byte| byte == b',' || byte.is_ascii_whitespace()).filter(|part| !part.is_empty()).collect();
        let later = self.dialect > Dialect::V1;
        let unsupported = |feature| Err(QueryError::Unsupported { feature, offset });
        let kind = match parts.as_slice() {
            [word, ..] if later && word.eq_ignore_ascii_case(b"VECTOR_RANGE") => return unsupported("VECTOR"),
            [word, _] if later && is_shape_predicate(word) => return unsupported("GEOSHAPE"),
            [value] if later => {
                let value = self.number(value, offset)?;
                NodeKind::Numeric { field, range: NumericRange::inclusive(value, value) }
            }
            [min, max] => {
                let (min, min_exclusive) = self.bound(min, offset)?;
                let (max, max_exclusive) = self.bound(max, offset)?;
                NodeKind::Numeric { field, range: NumericRange { min, max, min_exclusive, max_exclusive } }
            }
            [longitude, latitude, radius, unit] => {
                let unit = match unit.strip_prefix(b"$") {
                    Some(name) if later => self.params.get(name)?,
                    _ => unit,
                };
                let circle = GeoRadius::new(
                    self.number(longitude, offset)?,
                    self.number(latitude, offset)?,
                    self.number(radius, offset)?,
                    GeoUnit::parse(unit)?,
                )?;
                NodeKind::Geo { field, circle }
            }
            _ => return Err(QueryError::Syntax { offset, near: b"[".to_vec() }),
        };
        self.node(kind)
    }

    fn bound(&self, text: &[u8], offset: usize) -> Result<(f64, bool), QueryError> {
        match text.strip_prefix(b"(") {
            Some(text) => self.number(text, offset).map(|number| (number, true)),
            None => self.number(text, offset).map(|number| (number, false)),
        }
    }

    /// A number, or a parameter that stands for one, with a sign before it or not.
    fn number(&self, text: &[u8], offset: usize) -> Result<f64, QueryError> {
        let (sign, unsigned) = match text {
            [b'-', rest @ ..] => (-1.0, rest),
            [b'+', rest @ ..] => (1.0, rest),
            _ => (1.0, text),
        };
        match unsigned.strip_prefix(b"$") {
            Some(name) if self.dialect > Dialect::V1 => {
                let value = self.params.get(name)?;
                let bad = || QueryError::ParameterNotNumeric { name: name.to_vec(), value: value.to_vec() };
                number(value).map(|value| sign * value).map_err(|_| bad())
            }
            _ => number(text).map_err(|_| QueryError::Syntax { offset, near: text[..text.len().min(64)].to_vec() }),
        }
    }

    /// `a | b}` after `{`.
    fn tags(&mut self, field: Vec<u8>) -> Result<Node, QueryError> {
        let start = self.scanner.position();
        let (inside, pieces) = self.tag_pieces()?;
        let mut values = Vec::new();
        for piece in pieces {
            let offset = start + piece.start;
            let value = self.tag(inside[piece].trim_ascii(), offset)?;
            self.nodes += 1;
            values.push(value);
        }
        self.node(NodeKind::Tag { field, values })
    }

    /// The inside of the braces, and the parts between its bars. Neither a brace nor a bar counts
    /// within quotes or after a backslash.
    fn tag_pieces(&mut self) -> Result<(&'q [u8], Vec<Range<usize>>), QueryError> {
        let rest = self.scanner.rest();
        let (mut pieces, mut start, mut at) = (Vec::new(), 0, 0);
        // The first byte of the current piece that is no blank; the quote that it is within.
        let (mut first, mut quote) = (None, None);
        while let Some(&byte) = rest.get(at) {
            match byte {
                _ if quote == Some(byte) => quote = None,
                b'\\' => at += 1,
                _ if quote.is_some() => {}
                b'"' | b'\'' if self.dialect > Dialect::V1 && opens_quote(rest, at, first) => quote = Some(byte),
                b'|' => {
                    pieces.push(start..at);
                    start = at + 1;
                }
                b'}' => {
                    pieces.push(start..at);
                    return Ok((self.scanner.skip(at, 1), pieces));
                }
                _ => {}
            }
            first = match first {
                _ if byte == b'|' && quote.is_none() => None,
                None if !byte.is_ascii_whitespace() => Some(at),
                first => first,
            };
            at += 1;
        }
        self.scanner.until(b'}')?;
        Err(self.scanner.error_here())
    }

    /// One tag, trimmed.
    fn tag(&self, text: &[u8], offset: usize) -> Result<TagValue, QueryError> {
        if self.dialect > Dialect::V1 {
            match text {
                [b'w', b'\'', pattern @ .., b'\''] => return Ok(TagValue::Like(self.wildcard(pattern)?)),
                [b'"', quoted @ .., b'"'] | [b'\'', quoted @ .., b'\''] => {
                    return Ok(TagValue::Is(if quoted.is_empty() { Vec::new() } else { literal(quoted) }));
                }
                _ => {}
            }
        }
        let (suffix, middle) = match text {
            [b'*', rest @ ..] => (true, rest),
            _ => (false, text),
        };
        let (prefix, middle) = match middle {
            [rest @ .., b'*'] if !ends_escaped(rest) => (true, rest),
            _ => (false, middle),
        };
        let value = match middle.strip_prefix(b"$") {
            Some(name) if self.dialect > Dialect::V1 && !name.is_empty() => self.params.get(name)?.to_vec(),
            _ => single_spaced(middle),
        };
        if value.is_empty() && middle.is_empty() {
            return Err(QueryError::Syntax {
                offset,
                near: if text.is_empty() { b"{".to_vec() } else { text.to_vec() },
            });
        }
        Ok(match (suffix, prefix) {
            (false, false) => TagValue::Is(value),
            (false, true) => TagValue::Like(Pattern::Prefix(value)),
            (true, false) => TagValue::Like(Pattern::Suffix(value)),
            (true, true) => TagValue::Like(Pattern::Infix(value)),
        })
    }
}

/// Whether the quote at `at` encloses a tag whose first byte is at `first`: it is that first byte, or
/// the `w` of a wildcard pattern is.
fn opens_quote(text: &[u8], at: usize, first: Option<usize>) -> bool {
    match first {
        None => true,
        Some(first) => text[at] == b'\'' && text[first] == b'w' && first + 1 == at,
    }
}

fn is_shape_predicate(word: &[u8]) -> bool {
    [&b"WITHIN"[..], b"CONTAINS", b"INTERSECTS", b"DISJOINT"].iter().any(|name| word.eq_ignore_ascii_case(name))
}

/// Whether the byte after `text` is escaped: an odd number of backslashes comes before it.
fn ends_escaped(text: &[u8]) -> bool {
    text.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

fn literal(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    unescape_into(text, &mut out);
    out
}

/// `text` without escapes, and with one space for each run of blanks that is not escaped.
fn single_spaced(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    let mut blank = false;
    while let Some(&byte) = bytes.next() {
        if byte.is_ascii_whitespace() {
            blank = true;
            continue;
        }
        if std::mem::take(&mut blank) {
            out.push(b' ');
        }
        out.extend(if byte == b'\\' { bytes.next() } else { Some(&byte) });
    }
    out
}
