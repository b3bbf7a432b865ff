//! How is a schema written?
//!
//! The words after `SCHEMA` in `FT.CREATE`, and after `SCHEMA ADD` in `FT.ALTER`: field after field, a
//! name, `AS` and an alias, a type, its options. What is no option of a field is the name of the next
//! one, as in RediSearch 2.10; that explains some of its messages. Keywords are in any case.

use super::{FieldDefinition, FieldKind, PhoneticLanguage, TagOptions, TextOptions};
use crate::error::SchemaError;

/// Reads the declarations of fields.
///
/// # Errors
/// When there is none, one is incomplete or an option has no fit value.
pub fn declarations(words: &[&[u8]]) -> Result<Vec<FieldDefinition>, SchemaError> {
    if words.is_empty() {
        return Err(SchemaError::NoFields);
    }
    let mut reader = Words { words };
    let mut fields = Vec::new();
    while let Some(name) = reader.next() {
        fields.push(declaration(name, &mut reader)?);
    }
    Ok(fields)
}

/// The words that have not been read.
struct Words<'w> {
    words: &'w [&'w [u8]],
}

impl<'w> Words<'w> {
    fn next(&mut self) -> Option<&'w [u8]> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// Reads the next word when it is `keyword`.
    fn take(&mut self, keyword: &str) -> bool {
        let found = self.words.first().is_some_and(|word| word.eq_ignore_ascii_case(keyword.as_bytes()));
        if found {
            self.words = &self.words[1..];
        }
        found
    }

    /// Reads the value of an option.
    fn value(&mut self, option: &'static str) -> Result<&'w [u8], SchemaError> {
        self.next().ok_or(SchemaError::BadArgument(option, "Expected an argument, but none provided"))
    }
}

fn declaration(name: &[u8], words: &mut Words<'_>) -> Result<FieldDefinition, SchemaError> {
    let attribute = if words.take("AS") { words.value("AS")? } else { name };
    let kind = words.next().ok_or_else(|| SchemaError::NoType(name.to_vec()))?;
    let mut field = FieldDefinition::new(name, FieldKind::Numeric).named(attribute);
    field.kind = match kind.to_ascii_uppercase().as_slice() {
        b"TEXT" => text(&mut field, words)?,
        b"TAG" => tag(&mut field, words)?,
        b"NUMERIC" => FieldKind::Numeric,
        b"GEO" => FieldKind::Geo,
        b"VECTOR" => return Err(SchemaError::UnsupportedType(name.to_vec(), "VECTOR")),
        b"GEOSHAPE" => return Err(SchemaError::UnsupportedType(name.to_vec(), "GEOSHAPE")),
        _ => return Err(SchemaError::BadType(name.to_vec())),
    };
    while common(&mut field, words) {}
    field.check()?;
    Ok(field)
}

/// Reads an option that every type has; whether there was one.
fn common(field: &mut FieldDefinition, words: &mut Words<'_>) -> bool {
    if words.take("SORTABLE") {
        let as_written = words.take("UNF");
        *field = field.clone().sortable(as_written);
    } else if words.take("NOINDEX") {
        field.indexed = false;
    } else if words.take("INDEXMISSING") {
        field.index_missing = true;
    } else {
        return false;
    }
    true
}

fn text(field: &mut FieldDefinition, words: &mut Words<'_>) -> Result<FieldKind, SchemaError> {
    field.kind = FieldKind::Text(TextOptions::default());
    let mut options = TextOptions::default();
    loop {
        if words.take("WEIGHT") {
            let weight = words.value("weight")?;
            options.weight = std::str::from_utf8(weight)
                .ok()
                .and_then(|weight| weight.parse().ok())
                .filter(|weight: &f64| weight.is_finite() && *weight >= 0.0)
                .ok_or(SchemaError::BadArgument("weight", "Could not convert argument to expected type"))?;
        } else if words.take("NOSTEM") {
            options.stem = false;
        } else if words.take("PHONETIC") {
            options.phonetic = Some(PhoneticLanguage::parse(words.value("PHONETIC")?)?);
        } else if words.take("WITHSUFFIXTRIE") {
            options.suffix_trie = true;
        } else if words.take("INDEXEMPTY") {
            field.index_empty = true;
        } else if !common(field, words) {
            return Ok(FieldKind::Text(options));
        }
    }
}

fn tag(field: &mut FieldDefinition, words: &mut Words<'_>) -> Result<FieldKind, SchemaError> {
    field.kind = FieldKind::Tag(TagOptions::default());
    let mut options = TagOptions::default();
    loop {
        if words.take("SEPARATOR") {
            options.separator = match words.value("SEPARATOR")? {
                [byte] => *byte,
                other => return Err(SchemaError::TagSeparator(other.to_vec())),
            };
        } else if words.take("CASESENSITIVE") {
            options.case_sensitive = true;
        } else if words.take("WITHSUFFIXTRIE") {
            options.suffix_trie = true;
        } else if words.take("INDEXEMPTY") {
            field.index_empty = true;
        } else if !common(field, words) {
            return Ok(FieldKind::Tag(options));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Sortable;

    fn read(text: &str) -> Result<Vec<FieldDefinition>, SchemaError> {
        declarations(&text.split_whitespace().map(str::as_bytes).collect::<Vec<_>>())
    }

    fn error(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn every_type_and_option_is_read() {
        let fields = read(
            "title TEXT WEIGHT 2.5 nostem PHONETIC dm:fr SORTABLE UNF withsuffixtrie INDEXEMPTY INDEXMISSING \
             $.x AS y tag SEPARATOR ; CASESENSITIVE SORTABLE price NUMERIC SORTABLE NOINDEX p geo sortable",
        )
        .unwrap();
        let text =
            TextOptions { weight: 2.5, stem: false, phonetic: Some(PhoneticLanguage::French), suffix_trie: true };
        let mut title = FieldDefinition::new("title", FieldKind::Text(text)).sortable(true);
        (title.index_empty, title.index_missing) = (true, true);
        let tag = TagOptions { separator: b';', case_sensitive: true, suffix_trie: false };
        let mut price = FieldDefinition::numeric("price").sortable(false);
        price.indexed = false;
        assert_eq!(fields[0], title);
        assert_eq!(fields[1], FieldDefinition::new("$.x", FieldKind::Tag(tag)).named("y").sortable(false));
        assert_eq!(fields[2], price);
        assert_eq!(fields[3], FieldDefinition::geo("p").sortable(false));
        assert_eq!(fields[3].sortable, Sortable::Normalised);
        assert_eq!(fields.len(), 4);
    }

    #[test]
    fn mistakes_are_named_as_clients_expect() {
        assert_eq!(error(""), "Fields arguments are missing");
        assert_eq!(error("x"), "Field `x` does not have a type");
        assert_eq!(error("x TEXT FOO"), "Field `FOO` does not have a type");
        assert_eq!(error("x FOO"), "Invalid field type for field `x`");
        assert_eq!(error("x AS"), "Bad arguments for AS: Expected an argument, but none provided");
        assert_eq!(error("x TEXT WEIGHT"), "Bad arguments for weight: Expected an argument, but none provided");
        assert_eq!(error("x TEXT WEIGHT a"), "Bad arguments for weight: Could not convert argument to expected type");
        assert_eq!(error("x TAG SEPARATOR ab"), "Tag separator must be a single character. Got `ab`");
        assert_eq!(
            error("x TEXT NOINDEX INDEXEMPTY"),
            "'Field `x` cannot be defined with both `NOINDEX` and `INDEXEMPTY`'"
        );
        assert!(error("x TEXT PHONETIC dm:de").starts_with("Matcher Format: "));
        assert_eq!(error("v VECTOR FLAT 6"), "Field `v`: type VECTOR is not supported");
    }
}
