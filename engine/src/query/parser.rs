//! How is the text of a query read?
//!
//! Recursive descent over the symbols of a [`Scanner`]. Both depth and number of clauses are bounded,
//! so any text of any length ends in a tree or in an error. What all dialects share is here and in
//! [`clause`]; sequences, signs and field names, whose reach differs, are in [`first`] for dialect 1
//! and in [`later`] for the others.

mod attributes;
mod clause;
mod field;
mod first;
mod later;

use super::ast::{Ast, Node, NodeKind};
use super::scanner::{Scanner, Symbol, SymbolKind};
use super::{Dialect, Params};
use crate::error::QueryError;
use crate::limits;

/// Reads `query`, which may be any bytes.
///
/// # Errors
/// When it is no query of this dialect, a parameter or an attribute has no fit value, or it is too
/// deep or too long.
pub fn parse(query: &[u8], dialect: Dialect, params: &Params) -> Result<Ast, QueryError> {
    let mut parser = Parser { scanner: Scanner::new(query, dialect), dialect, params, nodes: 0 };
    if parser.scanner.peek().kind == SymbolKind::End {
        return Ok(Ast { root: None });
    }
    let root = parser.group(SymbolKind::End, 0)?;
    match parser.scanner.peek().kind {
        SymbolKind::End => Ok(Ast { root: Some(root) }),
        _ => Err(parser.scanner.error_here()),
    }
}

/// A query that is being read.
struct Parser<'q> {
    scanner: Scanner<'q>,
    dialect: Dialect,
    params: &'q Params,
    nodes: usize,
}

impl Parser<'_> {
    /// The whole query, or the inside of a bracket, up to and without `end`.
    fn group(&mut self, end: SymbolKind, depth: usize) -> Result<Node, QueryError> {
        self.check_depth(depth)?;
        if let Some(all) = self.lone_star(end)? {
            return Ok(all);
        }
        match self.dialect {
            Dialect::V1 => self.first_sequence(depth),
            _ => self.later_union(depth),
        }
    }

    /// `*` by itself; in dialect 1 only as the whole query.
    fn lone_star(&mut self, end: SymbolKind) -> Result<Option<Node>, QueryError> {
        if self.scanner.peek().kind != SymbolKind::Star || (self.dialect == Dialect::V1 && end != SymbolKind::End) {
            return Ok(None);
        }
        let mut ahead = self.scanner.clone();
        ahead.take();
        let next = ahead.peek().kind;
        if next == SymbolKind::Arrow && self.dialect > Dialect::V1 || next == end {
            self.scanner.take();
            let node = self.node(NodeKind::All)?;
            return self.attributed(node).map(Some);
        }
        Ok(None)
    }

    /// A node, counted.
    fn node(&mut self, kind: NodeKind) -> Result<Node, QueryError> {
        self.nodes += 1;
        if self.nodes > limits::MAX_QUERY_NODES {
            return Err(QueryError::TooLong { offset: self.scanner.position() });
        }
        Ok(Node::new(kind))
    }

    /// Several nodes as one. The first, if it is a bare node of the same kind, is taken in: `(a b) c`
    /// is `a b c`.
    fn combined(&mut self, mut nodes: Vec<Node>, kind: fn(Vec<Node>) -> NodeKind) -> Result<Node, QueryError> {
        if nodes.len() == 1 {
            if let Some(node) = nodes.pop() {
                return Ok(node);
            }
        }
        let mut rest = nodes.into_iter();
        let children = match rest.next() {
            Some(Node { kind: NodeKind::And(inner), attributes, fields: None })
                if attributes == Default::default() && matches!(kind(Vec::new()), NodeKind::And(_)) =>
            {
                inner.into_iter().chain(rest).collect()
            }
            Some(Node { kind: NodeKind::Or(inner), attributes, fields: None })
                if attributes == Default::default() && matches!(kind(Vec::new()), NodeKind::Or(_)) =>
            {
                inner.into_iter().chain(rest).collect()
            }
            first => first.into_iter().chain(rest).collect(),
        };
        self.node(kind(children))
    }

    fn check_depth(&self, depth: usize) -> Result<(), QueryError> {
        if depth > limits::MAX_QUERY_DEPTH {
            return Err(QueryError::TooDeep { offset: self.scanner.position() });
        }
        Ok(())
    }

    /// Reads a symbol of a kind.
    fn expect(&mut self, kind: SymbolKind) -> Result<Symbol, QueryError> {
        let symbol = self.scanner.peek();
        if symbol.kind != kind {
            return Err(self.scanner.error(symbol));
        }
        Ok(self.scanner.take())
    }
}
