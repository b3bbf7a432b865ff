//! What of a field's value goes into the index?
//!
//! One place decides it for every type and option: words with their weights, tags, numbers, points,
//! sort values, and the marks of empty and missing ones.

use super::document::DocumentBuilder;
use crate::error::ValueProblem;
use crate::schema::{Field, FieldKind, Sortable, TextOptions};
use crate::text::{geo_point, normalise, number, tags, Analyser, TermKind};

/// What an occurrence of a stem is worth, as a share of the word's.
const STEM_SHARE: f64 = 0.2;

impl DocumentBuilder {
    /// Adds a field's value, by the field's type and options.
    ///
    /// # Errors
    /// When a number or a point cannot be read. Nothing was added then; the document is not to be
    /// indexed at all.
    pub fn value(&mut self, field: &Field, analyser: &Analyser<'_>, value: &[u8]) -> Result<(), ValueProblem> {
        let indexed = field.definition.indexed;
        match &field.definition.kind {
            FieldKind::Text(options) => {
                if indexed {
                    self.text(field, options, analyser, value);
                }
            }
            FieldKind::Tag(options) => {
                if indexed {
                    let mut any = false;
                    for tag in tags(value, options) {
                        self.tag(field.id, &tag);
                        any = true;
                    }
                    if !any && field.definition.index_empty {
                        self.tag(field.id, b"");
                    }
                }
            }
            FieldKind::Numeric => {
                // A column serves both to search and to sort.
                let number = number(value)?;
                if indexed || field.definition.sortable != Sortable::No {
                    self.number(field.id, number);
                }
            }
            FieldKind::Geo => {
                let point = geo_point(value)?;
                if indexed {
                    self.point(field.id, point.longitude, point.latitude);
                }
            }
        }
        if !matches!(field.definition.kind, FieldKind::Numeric) {
            match field.definition.sortable {
                Sortable::No => {}
                Sortable::Normalised => {
                    self.sort_text(field.id, normalise(value).as_bytes());
                }
                Sortable::AsWritten => {
                    self.sort_text(field.id, value);
                }
            }
        }
        Ok(())
    }

    /// Says that a document has no value for a field, if the index keeps that (`INDEXMISSING`).
    pub fn no_value(&mut self, field: &Field) {
        if field.definition.index_missing {
            self.missing(field.id);
        }
    }

    fn text(&mut self, field: &Field, options: &TextOptions, analyser: &Analyser<'_>, value: &[u8]) {
        let Some(bit) = field.text_bit else { return };
        if value.is_empty() && field.definition.index_empty {
            self.word(bit, b"", 0, 1);
            return;
        }
        // One occurrence counts at least once, whatever the weight.
        let freq = options.weight.max(1.0) as u32;
        let stem_freq = (options.weight * STEM_SHARE).max(1.0) as u32;
        let mut key = Vec::new();
        let mut tokens = analyser.tokens(value, options, 0);
        while let Some(token) = tokens.next_token() {
            token.kind.key_into(token.text, &mut key);
            match token.kind {
                TermKind::Word => self.word(bit, &key, token.position, freq),
                TermKind::Stem => self.derived(bit, &key, token.position, stem_freq),
                TermKind::Phonetic | TermKind::Synonym => self.derived(bit, &key, token.position, freq),
            };
        }
    }
}
