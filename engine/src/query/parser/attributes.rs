//! How is `=>{...}` read?

use super::Parser;
use crate::error::QueryError;
use crate::query::ast::{Attributes, Node};
use crate::query::scanner::SymbolKind;
use crate::query::Dialect;

impl Parser<'_> {
    /// `node` with the attributes that follow it, if there are any.
    pub(super) fn attributed(&mut self, mut node: Node) -> Result<Node, QueryError> {
        while self.scanner.peek().kind == SymbolKind::Arrow {
            let arrow = self.scanner.take();
            let after = self.scanner.peek();
            match self.scanner.bytes(after) {
                b"{" => {
                    self.scanner.take();
                    let list = self.scanner.until(b'}')?;
                    self.read(list, &mut node.attributes)?;
                }
                b"[" if self.dialect > Dialect::V1 => {
                    return Err(QueryError::Unsupported { feature: "VECTOR", offset: arrow.start });
                }
                _ => return Err(self.scanner.error(after)),
            }
        }
        Ok(node)
    }

    /// Reads `$name: value; ...`.
    fn read(&self, list: &[u8], attributes: &mut Attributes) -> Result<(), QueryError> {
        for attribute in list.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).filter(|text| !text.is_empty()) {
            let colon = attribute.iter().position(|&byte| byte == b':');
            let name = attribute[..colon.unwrap_or(attribute.len())].trim_ascii();
            let name = name.strip_prefix(b"$").unwrap_or(name);
            let value = colon.map_or(&b""[..], |colon| attribute[colon + 1..].trim_ascii());
            let value = match value.strip_prefix(b"$") {
                Some(param) if self.dialect > Dialect::V1 => self.params.get(param)?,
                _ => value,
            };
            let bad = |name| QueryError::AttributeValue { name, value: value.to_vec() };
            match name.to_ascii_lowercase().as_slice() {
                b"weight" => attributes.weight = Some(weight(value).ok_or_else(|| bad("weight"))?),
                b"slop" => attributes.slop = Some(parsed(value).filter(|slop| *slop >= -1).ok_or_else(|| bad("slop"))?),
                b"inorder" => attributes.in_order = Some(boolean(value).ok_or_else(|| bad("inorder"))?),
                b"phonetic" => attributes.phonetic = Some(boolean(value).ok_or_else(|| bad("phonetic"))?),
                _ => return Err(QueryError::UnknownAttribute(name.to_vec())),
            }
        }
        Ok(())
    }
}

fn parsed<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn weight(value: &[u8]) -> Option<f64> {
    parsed(value).filter(|weight: &f64| weight.is_finite() && *weight >= 0.0)
}

fn boolean(value: &[u8]) -> Option<bool> {
    match value.to_ascii_lowercase().as_slice() {
        b"true" | b"1" => Some(true),
        b"false" | b"0" => Some(false),
        _ => None,
    }
}
