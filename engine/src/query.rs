//! What does a query ask for?
//!
//! Three steps, each with a language of its own:
//! 1. [`parse`] reads the text in one of the [`Dialect`]s and gives an [`Ast`]: what was written, with
//!    parameters filled in, and nothing yet about any index.
//! 2. [`resolve`] binds that to a schema and a language and gives a [`Query`]: a tree of [`Clause`]s
//!    whose fields exist, whose words are terms with their expansions, whose stop words are gone.
//! 3. [`plan()`] translates that into the clauses of [`crate::cursor`], which know keys and columns only.
//!
//! [`explain`] prints a [`Query`] as `FT.EXPLAIN` does. Texts are bytes; see [`crate::text`] for what
//! becomes of bytes that are not UTF-8.

mod ast;
mod clause;
mod explain;
mod params;
mod parser;
mod plan;
mod range;
mod resolve;
mod scanner;

pub use crate::columns::numeric::NumericRange;
pub use ast::{Ast, Attributes, Exact, Node, NodeKind, Pattern, TagValue, Word};
pub use clause::{Clause, ClauseKind, Expansion, ExpansionKind, Query, TagMatch};
pub use explain::explain;
pub use params::{Dialect, Params};
pub use parser::parse;
pub use plan::plan;
pub use range::{GeoRadius, GeoUnit};
pub use resolve::{resolve, Expander, ResolveOptions};

#[cfg(test)]
mod tests;
