//! How is a query shown to its author (`FT.EXPLAIN`)?

use super::{Clause, ClauseKind, Expansion, ExpansionKind, Query, TagMatch};
use crate::error::Shown;
use crate::schema::{FieldMask, Schema, ALL_FIELDS};
use crate::text::Term;
use std::fmt::Write;

/// The tree of `query`: a line for each clause, two spaces for each level, a line break after the
/// last. `FT.EXPLAINCLI` gives the same, split at line breaks.
pub fn explain(query: &Query, schema: &Schema) -> String {
    let mut page = Page { schema, out: String::new() };
    page.clause(&query.root, 0);
    page.out
}

struct Page<'s> {
    schema: &'s Schema,
    out: String,
}

impl Page<'_> {
    fn clause(&mut self, clause: &Clause, depth: usize) {
        self.indent(depth);
        if let ClauseKind::Term { term, expanded } = &clause.kind {
            self.fields(clause.fields);
            self.term(term);
            self.push(if *expanded { "(expanded)" } else { "" });
            if clause.weight != 1.0 {
                self.format(format_args!(" => {{$weight: {};}}", clause.weight));
            }
            self.push("\n");
            return;
        }
        match &clause.kind {
            ClauseKind::Empty => self.push("<empty>"),
            ClauseKind::All => self.push("<WILDCARD>"),
            ClauseKind::Term { .. } => {}
            ClauseKind::Exact(terms) => {
                self.fields(clause.fields);
                self.push("EXACT {\n");
                for term in terms {
                    self.indent(depth + 1);
                    self.fields(clause.fields);
                    self.term(term);
                    self.push("\n");
                }
                self.close(depth);
            }
            ClauseKind::Expansion(expansion) => {
                self.fields(clause.fields);
                self.expansion(expansion);
            }
            ClauseKind::And { children, .. } => {
                self.fields(clause.fields);
                self.group("INTERSECT {\n", children, depth);
            }
            ClauseKind::Or(children) => {
                self.fields(clause.fields);
                self.group("UNION {\n", children, depth);
            }
            ClauseKind::Not(child) => {
                self.fields(clause.fields);
                self.group("NOT{\n", std::slice::from_ref(&**child), depth);
            }
            ClauseKind::Optional(child) => {
                self.fields(clause.fields);
                self.group("OPTIONAL{\n", std::slice::from_ref(&**child), depth);
            }
            ClauseKind::Numeric { name, range, .. } => {
                let sign = |exclusive| if exclusive { "<" } else { "<=" };
                self.format(format_args!(
                    "NUMERIC {{{:.6} {} @{} {} {:.6}}}",
                    range.min,
                    sign(range.min_exclusive),
                    Shown(name),
                    sign(range.max_exclusive),
                    range.max
                ));
            }
            ClauseKind::Geo { name, circle, .. } => self.format(format_args!(
                "GEO {}:{{{:.6},{:.6} --> {:.6} {}}}",
                Shown(name),
                circle.centre.longitude,
                circle.centre.latitude,
                circle.radius,
                circle.unit.name()
            )),
            ClauseKind::Tag { name, values, .. } => {
                self.format(format_args!("TAG:@{} {{\n", Shown(name)));
                for value in values {
                    self.indent(depth + 1);
                    match value {
                        TagMatch::Is(tag) => self.format(format_args!("{}", Shown(tag))),
                        TagMatch::Like(expansion) => self.expansion(expansion),
                    }
                    self.push("\n");
                }
                self.close(depth);
            }
            ClauseKind::Missing { name, .. } => self.format(format_args!("ISMISSING{{{}}}", Shown(name))),
            ClauseKind::Keys(keys) => {
                self.push("IDS {");
                keys.iter().for_each(|key| self.format(format_args!(" {}", Shown(key))));
                self.push(" }");
            }
        }
        self.attributes(clause);
        self.push("\n");
    }

    fn group(&mut self, title: &str, children: &[Clause], depth: usize) {
        self.push(title);
        for child in children {
            self.clause(child, depth + 1);
        }
        self.close(depth);
    }

    fn close(&mut self, depth: usize) {
        self.indent(depth);
        self.push("}");
    }

    fn term(&mut self, term: &Term) {
        self.push(term.kind.sign());
        self.push(&term.text);
    }

    fn expansion(&mut self, expansion: &Expansion) {
        match &expansion.kind {
            ExpansionKind::Prefix(part) => self.format(format_args!("PREFIX{{{}*}}", Shown(part))),
            ExpansionKind::Suffix(part) => self.format(format_args!("SUFFIX{{*{}}}", Shown(part))),
            ExpansionKind::Infix(part) => self.format(format_args!("INFIX{{*{}*}}", Shown(part))),
            ExpansionKind::Wildcard { written, .. } => self.format(format_args!("WILDCARD{{{}}}", Shown(written))),
            ExpansionKind::Fuzzy { text, .. } => self.format(format_args!("FUZZY{{{text}}}")),
        }
    }

    /// The restriction to fields, if there is one.
    fn fields(&mut self, mask: FieldMask) {
        if mask == ALL_FIELDS {
            return;
        }
        let names = self.schema.names_in(mask);
        let names: Vec<_> = names.into_iter().map(String::from_utf8_lossy).collect();
        let names = if names.is_empty() { "NULL".to_owned() } else { names.join("|") };
        self.format(format_args!("@{names}:"));
    }

    fn attributes(&mut self, clause: &Clause) {
        let written = &clause.written;
        let slop = written.slop.unwrap_or(-1);
        let in_order = written.in_order.unwrap_or(false);
        let ordered = slop != -1 || in_order;
        if clause.weight == 1.0 && !ordered {
            return;
        }
        self.push(" => {");
        if clause.weight != 1.0 {
            self.format(format_args!(" $weight: {};", clause.weight));
        }
        if ordered {
            self.format(format_args!(" $slop: {slop}; $inorder: {in_order};"));
        }
        self.push(" }");
    }

    fn indent(&mut self, depth: usize) {
        self.out.extend(std::iter::repeat_n("  ", depth));
    }

    fn push(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn format(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.out.write_fmt(text);
    }
}
