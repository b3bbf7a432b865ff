//! What do the document commands of version 1 mean where documents are hashes?
//!
//! `FT.ADD` and its relatives write and read the hash; the index follows it as it follows every other. The score, language
//! and payload of a document are fields of the hash too, which replies leave out.

use std::sync::Arc;

use engine::error::ValueError;
use engine::expression::{Expression, Value};
use engine::text::Language;

use super::{Fields, SearchIndex};
use crate::redis::{call, is_hash, read_value, FieldValue, Held};
use crate::reply::Reply;

/// A document to be written.
pub struct Document {
    /// The key.
    pub key: Vec<u8>,
    /// Between 0 and 1.
    pub score: f64,
    /// What happens to a document that is there.
    pub existing: Existing,
    /// Whether it must be there.
    pub must_exist: bool,
    /// What must be true of the document that is there.
    pub condition: Option<Expression>,
    /// Its language.
    pub language: Option<Language>,
    /// Its payload.
    pub payload: Option<Vec<u8>>,
    /// Names and values in turn.
    pub fields: Vec<Vec<u8>>,
}

/// What happens to a document that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the new one is refused.
    Refuse,
    /// The new one takes its place.
    Replace,
    /// The fields of the new one are added.
    Extend,
}

impl Document {
    /// Whether an index could read it.
    ///
    /// # Errors
    /// The value that is not of its field's type.
    pub fn check(&self, index: &SearchIndex) -> Result<(), ValueError> {
        let view = index.view();
        let value = |name: &[u8]| {
            let mut pairs = self.fields.chunks_exact(2);
            pairs.rfind(|pair| *pair[0] == *name).map(|pair| FieldValue::from(Box::<[u8]>::from(&*pair[1])))
        };
        let values = view.identifiers().iter().map(|name| value(name)).collect();
        Fields { view, values }.document(&self.key).map(drop)
    }

    /// Writes it. The reply is `OK`, `NOADD` where the condition is not true, or an error.
    pub fn write(self, held: &Held<'_>, index: &Arc<SearchIndex>) -> Reply {
        let exists = is_hash(held, &self.key);
        if exists && self.existing == Existing::Refuse {
            return Reply::error("Document already exists");
        }
        if !exists && self.must_exist {
            return Reply::error("Document does not exist");
        }
        if let Some(condition) = &self.condition {
            if !exists || !holds(held, condition, &self.key) {
                return Reply::Status(b"NOADD".to_vec());
            }
        }
        if exists && self.existing == Existing::Replace {
            call(held, &[b"DEL".to_vec(), self.key.clone()]);
        }
        let options = &index.view().options;
        let mut words = vec![b"HSET".to_vec(), self.key];
        words.extend(self.fields);
        let mut also = |field: &Option<Vec<u8>>, value: Option<Vec<u8>>| {
            if let (Some(field), Some(value)) = (field, value) {
                words.extend([field.clone(), value]);
            }
        };
        also(&options.score_field, Some(self.score.to_string().into()));
        also(&options.language_field, self.language.map(|language| language.name().into()));
        also(&options.payload_field, self.payload);
        match call(held, &words) {
            Reply::Error(text) => Reply::Error(text),
            _ => Reply::ok(),
        }
    }
}

/// Whether a condition is true of a hash. What cannot be calculated is not.
fn holds(held: &Held<'_>, condition: &Expression, key: &[u8]) -> bool {
    let (_, fields) = read_value(held, key, Some("hash"));
    let property = |name: &[u8]| value_of(&fields, name).map(|value| Value::Text(value.to_vec()));
    condition.evaluate(&property).is_ok_and(|value| value.is_true())
}

/// A field of a hash that was read as a whole.
fn value_of<'a>(hash: &'a Reply, name: &[u8]) -> Option<&'a [u8]> {
    let Reply::Map(pairs) = hash else { return None };
    pairs.iter().find_map(|pair| match pair {
        (Reply::Bulk(field), Reply::Bulk(value)) if field == name => Some(value.as_slice()),
        _ => None,
    })
}

/// The document's fields without those that are about it, names and values in turn; `None` when it is not in the index.
pub fn read(held: &Held<'_>, index: &SearchIndex, key: &[u8]) -> Option<Vec<Reply>> {
    let known = index.queue().pending(key).is_some() || index.documents().current(key).is_some();
    if !known || !is_hash(held, key) {
        return None;
    }
    let (_, Reply::Map(pairs)) = read_value(held, key, Some("hash")) else { return None };
    let view = index.view();
    let options = &view.options;
    let about = [&options.score_field, &options.language_field, &options.payload_field];
    let hidden = |name: &Reply| about.into_iter().flatten().any(|field| *name == Reply::Bulk(field.clone()));
    Some(pairs.into_iter().filter(|(name, _)| !hidden(name)).flat_map(|(name, value)| [name, value]).collect())
}

/// Sets score and language of a hash that is there, as `FT.ADDHASH` did to index it.
pub fn adopt(
    held: &Held<'_>,
    index: &SearchIndex,
    key: &[u8],
    score: f64,
    language: Option<Language>,
    replace: bool,
) -> Reply {
    if !is_hash(held, key) {
        return Reply::error("Could not load document");
    }
    let view = index.view();
    let Some(field) = &view.options.score_field else { return Reply::ok() };
    let (_, fields) = read_value(held, key, Some("hash"));
    // The score is the mark of a document that was added.
    if !replace && value_of(&fields, field).is_some() {
        return Reply::error("Document already exists");
    }
    let mut words = vec![b"HSET".to_vec(), key.to_vec(), field.clone(), score.to_string().into()];
    if let (Some(field), Some(language)) = (&view.options.language_field, language) {
        words.extend([field.clone(), language.name().into()]);
    }
    done(call(held, &words))
}

/// Sets the payload of a document.
pub fn set_payload(held: &Held<'_>, index: &SearchIndex, key: &[u8], payload: &[u8]) -> Reply {
    if !is_hash(held, key) {
        return Reply::error("Document does not exist");
    }
    match &index.view().options.payload_field {
        Some(field) => done(call(held, &[b"HSET".to_vec(), key.to_vec(), field.clone(), payload.to_vec()])),
        None => Reply::ok(),
    }
}

/// Deletes a document: 1, or 0 when there is none.
pub fn delete(held: &Held<'_>, key: &[u8]) -> Reply {
    call(held, &[b"UNLINK".to_vec(), key.to_vec()])
}

fn done(reply: Reply) -> Reply {
    match reply {
        Reply::Error(text) => Reply::Error(text),
        _ => Reply::ok(),
    }
}
