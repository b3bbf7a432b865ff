//! What does a document say, field by field?
//!
//! From the raw values of a key to an [`index::document::Document`](crate::index::document::Document)
//! that is ready to be inserted. Runs on an indexing thread; holds no lock and asks nobody.
//!
//! A long text can be read in parts, on several threads at once ([`Reader::parts`]): what comes of it is the same.

use crate::error::ValueError;
use crate::index::document::{Document, DocumentBuilder, Gathered, Keep};
use crate::schema::{Field, FieldKind, IndexOptions, Schema, Sortable, TagOptions, TextOptions};
use crate::text::{cut_from, fold, geo_point, number, tags, Analyser, AnalysisLimits, Language, Synonyms, TermKind};
use std::ops::Range;

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

/// A part of a field's text that can be read by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The field's place in the schema.
    field: usize,
    /// Where the part stands in the field's value.
    bytes: Range<usize>,
}

impl Part {
    /// How long it is.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// What was read in a part of a text.
#[derive(Debug)]
pub struct Piece {
    field: usize,
    /// How many positions it takes.
    positions: u32,
    gathered: Gathered,
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
        self.document_from(key, value, Vec::new())
    }

    /// The parts, of `size` bytes or a little more, of the document's texts that are at least twice as long; in order.
    pub fn parts<'v>(&self, size: usize, value: impl Fn(&[u8]) -> Option<&'v [u8]>) -> Vec<Part> {
        let (size, mut parts) = (size.max(1), Vec::new());
        for (place, field) in self.schema.fields().iter().enumerate() {
            let is_read = field.definition.indexed && matches!(field.definition.kind, FieldKind::Text(_));
            let Some(text) = value(field.identifier()).filter(|text| is_read && text.len() / 2 >= size) else {
                continue;
            };
            let mut start = 0;
            while start < text.len() {
                let end = cut_from(text, start.saturating_add(size));
                parts.push(Part { field: place, bytes: start..end });
                start = end;
            }
        }
        parts
    }

    /// Reads one of [`Reader::parts`].
    pub fn piece<'v>(&self, part: &Part, value: impl Fn(&[u8]) -> Option<&'v [u8]>) -> Piece {
        let analyser = self.analyser(&value);
        // The key is that of the whole document.
        let mut builder = DocumentBuilder::new(b"", Keep::from(self.options));
        let mut positions = 0;
        if let Some(field) = self.schema.fields().get(part.field) {
            let text = value(field.identifier()).and_then(|text| text.get(part.bytes.clone()));
            if let (Some(text), FieldKind::Text(options)) = (text, &field.definition.kind) {
                positions = read_text(field, options, text, &analyser, &mut builder);
            }
        }
        Piece { field: part.field, positions, gathered: builder.gather() }
    }

    /// As [`Reader::document`], with what was read of all the document's [`Reader::parts`], in their order.
    ///
    /// # Errors
    /// As [`Reader::document`].
    pub fn document_from<'v>(
        &self,
        key: &[u8],
        value: impl Fn(&[u8]) -> Option<&'v [u8]>,
        pieces: Vec<Piece>,
    ) -> Result<Document, ValueError> {
        let analyser = self.analyser(&value);
        let mut builder = DocumentBuilder::new(key, Keep::from(self.options));
        let score = self.named(&self.options.score_field, &value).and_then(|score| number(score).ok());
        builder.score(score.filter(|score| (0.0..=1.0).contains(score)).unwrap_or(self.options.score) as f32);
        if let Some(payload) = self.named(&self.options.payload_field, &value) {
            builder.payload(payload);
        }
        let mut pieces = pieces.into_iter().peekable();
        for (place, field) in self.schema.fields().iter().enumerate() {
            let has_pieces = pieces.peek().is_some_and(|piece| piece.field == place);
            match value(field.identifier()) {
                Some(value) => read(field, value, &analyser, &mut builder, has_pieces)
                    .map_err(|reason| ValueError { field: field.id, reason })?,
                None if field.definition.index_missing => {
                    builder.missing(field.id);
                }
                None => {}
            }
            let mut position = 0u32;
            while let Some(piece) = pieces.next_if(|piece| piece.field == place) {
                builder.append(piece.gathered, position);
                position = position.saturating_add(piece.positions);
            }
        }
        Ok(builder.finish())
    }

    fn named<'v>(&self, name: &Option<Vec<u8>>, value: &impl Fn(&[u8]) -> Option<&'v [u8]>) -> Option<&'v [u8]> {
        name.as_ref().and_then(|name| value(name))
    }

    fn analyser<'v>(&self, value: &impl Fn(&[u8]) -> Option<&'v [u8]>) -> Analyser<'_> {
        let language = self.named(&self.options.language_field, value).and_then(Language::parse);
        let language = language.unwrap_or(self.options.language);
        Analyser::new(language, &self.options.stop_words, self.synonyms, self.limits)
    }
}

/// Reads the value of one field; without its text's words when they were `read_in_parts`.
fn read(
    field: &Field,
    value: &[u8],
    analyser: &Analyser<'_>,
    builder: &mut DocumentBuilder,
    read_in_parts: bool,
) -> Result<(), crate::error::ValueProblem> {
    let definition = &field.definition;
    if !definition.indexed && definition.sortable == Sortable::No {
        return Ok(());
    }
    match &definition.kind {
        FieldKind::Text(options) if definition.indexed && !read_in_parts => {
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

/// Reads a text and returns how many positions it takes.
fn read_text(
    field: &Field,
    options: &TextOptions,
    value: &[u8],
    analyser: &Analyser<'_>,
    builder: &mut DocumentBuilder,
) -> u32 {
    let Some(bit) = field.text_bit else { return 0 };
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
    tokens.next_position()
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
