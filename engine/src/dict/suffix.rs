//! Which terms end with this, or contain it? (`WITHSUFFIXTRIE`)
//!
//! The suffixes of all terms in order, as places in the terms' text: those that begin with the clause's
//! literal part stand together, and two binary searches find them, where a walk looks at every term.
//! Sealed segments have them for the fields that ask; live ones are small and are walked.

use super::pattern::Pattern;
use crate::cursor::budget::Budget;
use crate::schema::{FieldId, FieldKind, FieldMask, Schema, ALL_FIELDS};

/// The fields whose suffixes are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suffixed {
    /// The text fields; [`ALL_FIELDS`] when it is all of them.
    pub text: FieldMask,
    /// The tag fields.
    pub tags: Vec<FieldId>,
}

impl Suffixed {
    /// The fields that a schema declares `WITHSUFFIXTRIE`.
    pub fn of(schema: &Schema) -> Self {
        let with = |mask, (field, options): (&crate::schema::Field, &crate::schema::TextOptions)| {
            mask | if options.suffix_trie { field.mask() } else { 0 }
        };
        let text = schema.text_fields().fold(0, with);
        let all = schema.text_field_count() > 0 && schema.text_fields().all(|(_, options)| options.suffix_trie);
        let tags = schema.fields().iter().filter(|field| match &field.definition.kind {
            FieldKind::Tag(options) => options.suffix_trie,
            _ => false,
        });
        Self { text: if all { ALL_FIELDS } else { text }, tags: tags.map(|field| field.id).collect() }
    }
}

/// The suffixes of the terms of one space.
#[derive(Debug)]
pub struct Suffixes {
    /// Terms without any of these fields are left out.
    pub(crate) fields: FieldMask,
    /// Where each term ends in the text.
    pub(crate) ends: Box<[u32]>,
    /// The terms, in order.
    pub(crate) text: Box<[u8]>,
    /// Where each suffix begins, in the order of suffixes.
    pub(crate) order: Box<[u32]>,
}

/// Gathers the terms of one space.
#[derive(Debug, Default)]
pub struct SuffixesBuilder {
    ends: Vec<u32>,
    text: Vec<u8>,
}

impl SuffixesBuilder {
    /// Adds a term; terms come in order.
    pub fn push(&mut self, term: &[u8]) {
        self.text.extend_from_slice(term);
        self.ends.push(self.text.len() as u32);
    }

    /// Puts the suffixes in order. `None` when there is nothing to put in order, more than places can
    /// number, or when `stop` says so.
    pub fn finish(self, fields: FieldMask, stop: &dyn Fn() -> bool) -> Option<Suffixes> {
        let Self { ends, text } = self;
        if text.is_empty() || u32::try_from(text.len()).is_err() {
            return None;
        }
        // By first byte, so that no part takes long and there are questions in between.
        let mut parts: Vec<Vec<(&[u8], u32)>> = vec![Vec::new(); 256];
        let mut start = 0;
        for &end in &ends {
            for at in start..end {
                let suffix = &text[at as usize..end as usize];
                if !is_continuation(suffix[0]) {
                    parts[usize::from(suffix[0])].push((suffix, at));
                }
            }
            start = end;
        }
        let mut order = Vec::with_capacity(parts.iter().map(Vec::len).sum());
        for mut part in parts {
            if stop() {
                return None;
            }
            part.sort_unstable();
            order.extend(part.into_iter().map(|(_, at)| at));
        }
        Some(Suffixes { fields, ends: ends.into(), text: text.into(), order: order.into() })
    }
}

/// Whether a byte is inside a character: no suffix begins there, and no literal part should.
fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

impl Suffixes {
    /// Whether these find everything that a pattern has in `fields`.
    pub fn serve(&self, pattern: &Pattern, fields: FieldMask) -> bool {
        let literal = pattern.literal_part();
        fields & !self.fields == 0 && literal.first().is_some_and(|&byte| !is_continuation(byte))
    }

    /// Calls `visit` with each matching term in order, until it says false or the budget is used up.
    pub fn matching(&self, pattern: &Pattern, budget: &Budget<'_>, mut visit: impl FnMut(&[u8]) -> bool) {
        let literal = pattern.literal_part();
        let start = self.order.partition_point(|at| self.suffix(*at) < literal.as_slice());
        let length = self.order[start..].partition_point(|at| self.suffix(*at).starts_with(&literal));
        let mut terms = Vec::with_capacity(length);
        for chunk in self.order[start..start + length].chunks(256) {
            if budget.spend(8 * 256) {
                return;
            }
            terms.extend(chunk.iter().map(|&at| self.ends.partition_point(|&end| end <= at) as u32));
        }
        terms.sort_unstable();
        terms.dedup();
        for term in terms {
            let term = self.term(term as usize);
            if budget.spend(16 * pattern.step_cost()) || (pattern.matches(term) && !visit(term)) {
                return;
            }
        }
    }

    fn term(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[number] as usize]
    }

    fn suffix(&self, at: u32) -> &[u8] {
        let end = self.ends[self.ends.partition_point(|&end| end <= at)];
        &self.text[at as usize..end as usize]
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        (self.ends.len() + self.order.len()) * size_of::<u32>() + self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn suffixes_find_what_a_scan_finds(
            words in btree_set("[abé語]{0,6}", 1..60),
            text in "[abé]{1,3}",
            wild in "[abé*?]{1,5}",
            limit in 1usize..20,
        ) {
            let mut builder = SuffixesBuilder::default();
            words.iter().for_each(|word| builder.push(word.as_bytes()));
            let Some(suffixes) = builder.finish(1, &|| false) else { return Ok(()) };
            let patterns = [Pattern::suffix(text.as_bytes()), Pattern::infix(text.as_bytes()), Pattern::wildcard(wild.as_bytes())];
            for pattern in patterns {
                prop_assert!(!suffixes.serve(&pattern, 2));
                if !suffixes.serve(&pattern, 1) {
                    prop_assert!(!wild.contains(['a', 'b', 'é']));
                    continue;
                }
                let expected: Vec<&[u8]> =
                    words.iter().map(|word| word.as_bytes()).filter(|word| pattern.matches(word)).take(limit).collect();
                let mut found: Vec<Vec<u8>> = Vec::new();
                suffixes.matching(&pattern, &Budget::unlimited(), |term| {
                    found.push(term.to_vec());
                    found.len() < limit
                });
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn any_bytes_can_be_terms(terms in btree_set(any::<Vec<u8>>(), 0..20), text: Vec<u8>) {
            let mut builder = SuffixesBuilder::default();
            terms.iter().for_each(|term| builder.push(term));
            let Some(suffixes) = builder.finish(ALL_FIELDS, &|| false) else { return Ok(()) };
            let pattern = Pattern::infix(&text);
            if suffixes.serve(&pattern, ALL_FIELDS) {
                let mut found = 0;
                suffixes.matching(&pattern, &Budget::unlimited(), |_| { found += 1; true });
                prop_assert_eq!(found, terms.iter().filter(|term| pattern.matches(term)).count());
            }
        }
    }
}
