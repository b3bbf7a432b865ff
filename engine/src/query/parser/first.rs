//! How far do sequences, signs and field names reach in dialect 1?
//!
//! From the tightest: plain words next to one another; `|`; anything else next to one another;
//! `-`, which takes all that follows up to the next `-`, `~` or phrase; `~`, which takes all up to the
//! next `~`; `@field:`, which takes words and `|` but not what stands next to a bracket. As RediSearch 1.2 does it, by observation of
//! `FT.EXPLAIN`.

use super::Parser;
use crate::error::QueryError;
use crate::query::ast::{Node, NodeKind};
use crate::query::scanner::SymbolKind;

impl Parser<'_> {
    /// All that stands next to one another, up to the end of the group.
    pub(super) fn first_sequence(&mut self, depth: usize) -> Result<Node, QueryError> {
        self.first_items(depth, &[])
    }

    /// As [`Parser::first_sequence`], also up to the next of `ends`.
    fn first_items(&mut self, depth: usize, ends: &[SymbolKind]) -> Result<Node, QueryError> {
        let mut items = Vec::new();
        loop {
            let ended = !self.starts_clause() || ends.contains(&self.scanner.peek().kind);
            if ended && !items.is_empty() {
                return self.combined(items, NodeKind::And);
            }
            items.push(self.first_union(depth)?);
        }
    }

    /// Operands with `|` between them.
    fn first_union(&mut self, depth: usize) -> Result<Node, QueryError> {
        let mut operands = vec![self.first_operand(depth)?];
        while self.scanner.peek().kind == SymbolKind::Bar {
            self.scanner.take();
            operands.push(self.first_operand(depth)?);
        }
        self.combined(operands, NodeKind::Or)
    }

    fn first_operand(&mut self, depth: usize) -> Result<Node, QueryError> {
        self.check_depth(depth)?;
        match self.scanner.peek().kind {
            SymbolKind::Minus => {
                self.scanner.take();
                let ends = [SymbolKind::Minus, SymbolKind::Tilde, SymbolKind::Quote];
                let operand = self.first_items(depth + 1, &ends)?;
                self.node(NodeKind::Not(Box::new(operand)))
            }
            SymbolKind::Tilde => {
                self.scanner.take();
                let operand = self.first_items(depth + 1, &[SymbolKind::Tilde])?;
                self.node(NodeKind::Optional(Box::new(operand)))
            }
            SymbolKind::At => self.field_clause(depth, |parser| parser.first_union(depth + 1)),
            SymbolKind::Word | SymbolKind::Number => self.first_words(depth),
            _ => self.clause(depth),
        }
    }

    /// Plain words next to one another; attributes after them are those of all.
    fn first_words(&mut self, depth: usize) -> Result<Node, QueryError> {
        let first = self.clause_without_attributes(depth)?;
        if !matches!(first.kind, NodeKind::Word(_)) {
            return self.attributed(first);
        }
        let mut words = vec![first];
        while matches!(self.scanner.peek().kind, SymbolKind::Word | SymbolKind::Number) {
            let before = self.scanner.clone();
            let next = self.clause_without_attributes(depth)?;
            if !matches!(next.kind, NodeKind::Word(_)) {
                // A prefix is no plain word: it is the next item.
                self.scanner = before;
                break;
            }
            words.push(next);
        }
        let words = self.combined(words, NodeKind::And)?;
        self.attributed(words)
    }
}
