//! What did `FT.CREATE` say?
//!
//! The words of the command are the definition: they are parsed when the command comes, when a file is loaded
//! and on a replica, always by this code, so there is no second form that could disagree. What `FT.ALTER` adds
//! is more words of the schema.

use std::time::Duration;

use engine::schema::{declarations, FieldDefinition, IndexOptions, Schema};
use engine::text::{Language, StopWords};

use super::filter::Filter;

/// Which keys belong to an index, and how it lives. What governs the reading of documents is in
/// [`IndexOptions`] and the schema.
#[derive(Debug, Clone, Default)]
pub struct Definition {
    /// A key belongs to the index when it begins with one of these.
    pub prefixes: Vec<Box<[u8]>>,
    /// And when this expression is true of it.
    pub filter: Option<Box<[u8]>>,
    /// The index goes, with its documents, when it was not used for so long.
    pub temporary: Option<Duration>,
    /// Whether keys that were there before it stay out.
    pub skip_initial_scan: bool,
    /// The words after the index's name, as they came.
    pub words: Vec<Box<[u8]>>,
}

/// A whole `FT.CREATE`.
pub struct Created {
    /// Which keys, for how long.
    pub definition: Definition,
    /// How documents are read.
    pub options: IndexOptions,
    /// The fields.
    pub schema: Schema,
    /// What must be true of a key besides.
    pub filter: Option<Filter>,
}

/// The hash field with a document's language, where `LANGUAGE_FIELD` names none.
pub const LANGUAGE_FIELD: &[u8] = b"__language";
/// The hash field with a document's score, where `SCORE_FIELD` names none.
pub const SCORE_FIELD: &[u8] = b"__score";
/// The hash field with a document's payload, where `PAYLOAD_FIELD` names none.
pub const PAYLOAD_FIELD: &[u8] = b"__payload";

/// The word that is not there.
const MISSING: &str = "Expected an argument, but none provided";
/// A word that is no number.
const NOT_A_NUMBER: &str = "Could not convert argument to expected type";
/// A number that is out of range.
const OUT_OF_BOUNDS: &str = "Value is outside acceptable bounds";

/// Reads the words after the index's name.
///
/// # Errors
/// The text for the client.
pub fn parse(words: &[&[u8]]) -> Result<Created, String> {
    let mut definition = Definition { words: words.iter().map(|&word| word.into()).collect(), ..Definition::default() };
    let mut options = IndexOptions::default();
    let mut reader = Words(words);
    let mut filter = None;
    loop {
        let Some(word) = reader.next() else { return Err("No schema found".to_owned()) };
        match word.to_ascii_uppercase().as_slice() {
            b"SCHEMA" => break,
            b"ON" => match reader.value("ON")? {
                kind if kind.eq_ignore_ascii_case(b"HASH") => {}
                kind if kind.eq_ignore_ascii_case(b"JSON") => {
                    return Err("Invalid rule type: JSON is not supported, only HASH is".to_owned())
                }
                kind => return Err(format!("Invalid rule type: {}", String::from_utf8_lossy(kind))),
            },
            b"PREFIX" => {
                definition.prefixes.extend(reader.list("PREFIX")?.iter().map(|&prefix| Box::from(prefix)));
            }
            b"FILTER" => {
                let text = reader.value("FILTER")?;
                filter = Some(Filter::parse(text).ok_or_else(|| "Invalid expression".to_owned())?);
                definition.filter = Some(text.into());
            }
            b"LANGUAGE" => {
                options.language =
                    Language::parse(reader.value("LANGUAGE")?).ok_or_else(|| "Invalid language".to_owned())?;
            }
            b"LANGUAGE_FIELD" => options.language_field = Some(reader.value("LANGUAGE_FIELD")?.to_vec()),
            b"SCORE" => options.score = score(reader.value("SCORE")?)?,
            b"SCORE_FIELD" => options.score_field = Some(reader.value("SCORE_FIELD")?.to_vec()),
            b"PAYLOAD_FIELD" => options.payload_field = Some(reader.value("PAYLOAD_FIELD")?.to_vec()),
            b"MAXTEXTFIELDS" => options.wide_fields = true,
            b"TEMPORARY" => {
                let seconds = reader.number("TEMPORARY", 1, u64::from(u32::MAX))?;
                definition.temporary = Some(Duration::from_secs(seconds));
            }
            b"NOOFFSETS" => options.without_positions(),
            b"NOHL" => options.store_byte_offsets = false,
            b"NOFIELDS" => options.store_field_masks = false,
            b"NOFREQS" => options.store_frequencies = false,
            b"STOPWORDS" => {
                let words = reader.list("STOPWORDS")?;
                options.stop_words = StopWords::custom(words.iter().copied()).map_err(|error| error.to_string())?;
            }
            b"SKIPINITIALSCAN" => definition.skip_initial_scan = true,
            // The initial scan is always in the background.
            b"ASYNC" => {}
            _ => return Err(format!("Unknown argument `{}`", String::from_utf8_lossy(word))),
        }
    }
    options.language_field.get_or_insert_with(|| LANGUAGE_FIELD.to_vec());
    options.score_field.get_or_insert_with(|| SCORE_FIELD.to_vec());
    options.payload_field.get_or_insert_with(|| PAYLOAD_FIELD.to_vec());
    if definition.prefixes.is_empty() {
        definition.prefixes.push(Box::default());
    }
    let fields = declarations(reader.0).map_err(|error| error.to_string())?;
    let schema = Schema::with_fields(fields, options.wide_fields).map_err(|error| error.to_string())?;
    Ok(Created { definition, options, schema, filter })
}

/// A schema with the fields that `FT.ALTER` declares added to it.
///
/// # Errors
/// The text for the client; nothing was added then.
pub fn extend(schema: &Schema, words: &[&[u8]]) -> Result<Schema, String> {
    let fields: Vec<FieldDefinition> = declarations(words).map_err(|error| error.to_string())?;
    let mut extended = schema.clone();
    for field in fields {
        extended.add(field).map_err(|error| error.to_string())?;
    }
    Ok(extended)
}

fn score(word: &[u8]) -> Result<f64, String> {
    std::str::from_utf8(word)
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|score| (0.0..=1.0).contains(score))
        .ok_or_else(|| "Invalid score".to_owned())
}

/// The words that were not read yet.
struct Words<'w>(&'w [&'w [u8]]);

impl<'w> Words<'w> {
    fn next(&mut self) -> Option<&'w [u8]> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn value(&mut self, option: &str) -> Result<&'w [u8], String> {
        self.next().ok_or_else(|| bad(option, MISSING))
    }

    fn number(&mut self, option: &str, min: u64, max: u64) -> Result<u64, String> {
        let number: i64 = std::str::from_utf8(self.value(option)?)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| bad(option, NOT_A_NUMBER))?;
        u64::try_from(number)
            .ok()
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| bad(option, OUT_OF_BOUNDS))
    }

    /// A count, and as many words.
    fn list(&mut self, option: &str) -> Result<&'w [&'w [u8]], String> {
        let count = self.number(option, 0, u64::from(u32::MAX))? as usize;
        if count > self.0.len() {
            return Err(bad(option, MISSING));
        }
        let (list, rest) = self.0.split_at(count);
        self.0 = rest;
        Ok(list)
    }
}

fn bad(option: &str, reason: &str) -> String {
    format!("Bad arguments for {option}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Created, String> {
        parse(&line.split_whitespace().map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn every_option_is_read() {
        let created = read(
            "on hash PREFIX 2 a: b: LANGUAGE french LANGUAGE_FIELD l SCORE 0.5 SCORE_FIELD s PAYLOAD_FIELD p \
             MAXTEXTFIELDS TEMPORARY 60 NOOFFSETS NOFIELDS NOFREQS STOPWORDS 1 x SKIPINITIALSCAN ASYNC SCHEMA t TEXT",
        )
        .expect("a good command");
        let Created { definition, options, schema, .. } = created;
        assert_eq!(definition.prefixes, [Box::from(*b"a:"), Box::from(*b"b:")]);
        assert_eq!(definition.temporary, Some(Duration::from_secs(60)));
        assert!(definition.skip_initial_scan && options.wide_fields && schema.is_wide());
        assert_eq!((options.language, options.score), (Language::French, 0.5));
        assert!(!options.store_positions && !options.store_byte_offsets && !options.store_frequencies);
        assert!(options.stop_words.contains("x") && !options.stop_words.contains("the"));
        assert_eq!(schema.fields().len(), 1);
    }

    #[test]
    fn without_a_prefix_all_keys_belong() {
        for line in ["SCHEMA t TEXT", "PREFIX 0 SCHEMA t TEXT"] {
            assert_eq!(read(line).map(|created| created.definition.prefixes).ok(), Some(vec![Box::default()]));
        }
    }

    #[test]
    fn errors_have_the_known_texts() {
        for (line, text) in [
            ("", "No schema found"),
            ("SCHEMA", "Fields arguments are missing"),
            ("FOO SCHEMA t TEXT", "Unknown argument `FOO`"),
            ("ON LIST SCHEMA t TEXT", "Invalid rule type: LIST"),
            ("ON", "Bad arguments for ON: Expected an argument, but none provided"),
            ("PREFIX x SCHEMA t TEXT", "Bad arguments for PREFIX: Could not convert argument to expected type"),
            ("PREFIX 9 a SCHEMA t TEXT", "Bad arguments for PREFIX: Expected an argument, but none provided"),
            ("STOPWORDS -1 SCHEMA t TEXT", "Bad arguments for STOPWORDS: Value is outside acceptable bounds"),
            ("SCORE 1.5 SCHEMA t TEXT", "Invalid score"),
            ("SCORE nan SCHEMA t TEXT", "Invalid score"),
            ("LANGUAGE klingon SCHEMA t TEXT", "Invalid language"),
            ("SCHEMA t", "Field `t` does not have a type"),
            ("SCHEMA t TEXT t TEXT", "Duplicate field in schema - t"),
            ("TEMPORARY 0 SCHEMA t TEXT", "Bad arguments for TEMPORARY: Value is outside acceptable bounds"),
        ] {
            assert_eq!(read(line).err().as_deref(), Some(text), "{line}");
        }
    }

    #[test]
    fn fields_are_added_all_or_none() {
        let created = read("SCHEMA t TEXT").expect("a good command");
        assert_eq!(extend(&created.schema, &[b"n", b"NUMERIC"]).map(|schema| schema.fields().len()), Ok(2));
        let refused = extend(&created.schema, &[b"n", b"NUMERIC", b"t", b"TAG"]);
        assert_eq!(refused.err().as_deref(), Some("Duplicate field in schema - t"));
    }
}
