//! What does a document say, field by field?
//!
//! From the raw values of a key to an [`index::document::Document`](crate::index::document::Document)
//! that is ready to be inserted. Runs on an indexing thread; holds no lock and asks nobody.

use crate::error::ValueError;
use crate::index::document::{Document, DocumentBuilder, Keep};
use crate::schema::{Field, FieldKind, IndexOptions, Schema, Sortable, TagOptions, TextOptions};
use crate::text::{fold, geo_point, number, tags, Analyser, AnalysisLimits, Language, Synonyms, TermKind};

/// What a stem is worth of the weight of its field (RediSearch 2.10).
const STEM_SHARE: f64 = 0.2;

/// What has to be known of an index to read its documents.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// Its fields.
    pub schema: &'a Schema,
    /// Its options.
    pub options: &'a IndexOptions,
    /// Its synonym groups.
    pub synonyms: &'a Synonyms,
    /// The shortest words with stems and sounds.
    pub limits: AnalysisLimits,
}

impl Reader<'_> {
    /// Reads the document `key`, whose field values `value` gives by identifier.
    ///
    /// A language or score that cannot be read is the index's default; language, score and payload
    /// come from the fields that the options name.
    ///
    /// # Errors
    /// The first value that is not of its field's type: such a document is not indexed at all.
    pub fn document<'v>(&self, key: &[u8], value: impl Fn(&[u8]) -> Option<&'v [u8]>) -> Result<Document, ValueError> {
        let named = |name: &Option<Vec<u8>>| name.as_ref().and_then(|name| value(name));
        let language = named(&self.options.language_field).and_then(Language::parse).unwrap_or(self.options.language);
        let analyser = Analyser::new(language, &self.options.stop_words, self.synonyms, self.limits);
        let mut builder = DocumentBuilder::new(key, Keep::from(self.options));
        let score = named(&self.options.score_field).and_then(|score| number(score).ok());
        builder.score(score.filter(|score| (0.0..=1.0).contains(score)).unwrap_or(self.options.score) as f32);
        if let Some(payload) = named(&self.options.payload_field) {
            builder.payload(payload);
        }
        for field in self.schema.fields() {
            match value(field.identifier()) {
                Some(value) => read(field, value, &analyser, &mut builder)
                    .map_err(|reason| ValueError { field: field.id, reason })?,
                None if field.definition.index_missing => {
                    builder.missing(field.id);
                }
                None => {}
            }
        }
        Ok(builder.finish())
    }
}

/// Reads the value of one field.
fn read(
    field: &Field,
    value: &[u8],
    analyser: &Analyser<'_>,
    builder: &mut DocumentBuilder,
) -> Result<(), crate::error::ValueProblem> {
    let definition = &field.definition;
    if !definition.indexed && definition.sortable == Sortable::No {
        return Ok(());
    }
    match &definition.kind {
        FieldKind::Text(options) if definition.indexed => {
            read_text(field, options, value, analyser, builder);
        }
        FieldKind::Tag(options) if definition.indexed => read_tags(field, options, value, builder),
        FieldKind::Text(_) | FieldKind::Tag(_) => {}
        FieldKind::Numeric => {
            builder.number(field.id, number(value)?);
            // The number is the sort value too.
            return Ok(());
        }
        FieldKind::Geo => {
            let point = geo_point(value)?;
            builder.point(field.id, point.longitude, point.latitude);
        }
    }
    match definition.sortable {
        Sortable::No => {}
        Sortable::Normalised => {
            builder.sort_text(field.id, &fold(value));
        }
        Sortable::AsWritten => {
            builder.sort_text(field.id, value);
        }
    }
    Ok(())
}

fn read_text(
    field: &Field,
    options: &TextOptions,
    value: &[u8],
    analyser: &Analyser<'_>,
    builder: &mut DocumentBuilder,
) {
    let Some(bit) = field.text_bit else { return };
    // One occurrence counts the whole part of the weight, and at least once. Floats saturate.
    let worth = |weight: f64| weight.max(1.0) as u32;
    let (whole, stem) = (worth(options.weight), worth(options.weight * STEM_SHARE));
    if value.is_empty() && field.definition.index_empty {
        builder.word(bit, b"", 0, whole);
    }
    let mut tokens = analyser.tokens(value, options, 0);
    let mut key = Vec::new();
    while let Some(token) = tokens.next_token() {
        token.kind.key_into(token.text, &mut key);
        match token.kind {
            TermKind::Word => builder.word(bit, &key, token.position, whole),
            TermKind::Stem => builder.derived(bit, &key, token.position, stem),
            TermKind::Phonetic | TermKind::Synonym => builder.derived(bit, &key, token.position, whole),
        };
    }
}

fn read_tags(field: &Field, options: &TagOptions, value: &[u8], builder: &mut DocumentBuilder) {
    let mut any = false;
    for tag in tags(value, options) {
        builder.tag(field.id, &tag);
        any = true;
    }
    if !any && field.definition.index_empty {
        builder.tag(field.id, b"");
    }
}
