//! How far do sequences, signs and field names reach in dialects 2 and later?
//!
//! A sign or a field name takes the one clause after it. Clauses next to one another bind tighter
//! than `|`.

use super::Parser;
use crate::error::QueryError;
use crate::query::ast::{Node, NodeKind};
use crate::query::scanner::SymbolKind;

impl Parser<'_> {
    /// Sequences with `|` between them.
    pub(super) fn later_union(&mut self, depth: usize) -> Result<Node, QueryError> {
        let mut operands = vec![self.later_sequence(depth)?];
        while self.scanner.peek().kind == SymbolKind::Bar {
            self.scanner.take();
            operands.push(self.later_sequence(depth)?);
        }
        self.combined(operands, NodeKind::Or)
    }

    fn later_sequence(&mut self, depth: usize) -> Result<Node, QueryError> {
        let mut clauses = vec![self.later_unary(depth)?];
        while self.starts_clause() {
            clauses.push(self.later_unary(depth)?);
        }
        self.combined(clauses, NodeKind::And)
    }

    fn later_unary(&mut self, depth: usize) -> Result<Node, QueryError> {
        self.check_depth(depth)?;
        match self.scanner.peek().kind {
            SymbolKind::Minus => {
                self.scanner.take();
                let operand = self.later_unary(depth + 1)?;
                self.node(NodeKind::Not(Box::new(operand)))
            }
            SymbolKind::Tilde => {
                self.scanner.take();
                let operand = self.later_unary(depth + 1)?;
                self.node(NodeKind::Optional(Box::new(operand)))
            }
            SymbolKind::At => self.field_clause(depth, |parser| parser.later_unary(depth + 1)),
            _ => self.clause(depth),
        }
    }
}
