//! Which documents could not be indexed, and why?

use std::collections::BTreeMap;

use engine::schema::FieldId;

/// Documents that could not be indexed: how many, and the last one.
#[derive(Debug, Clone, Default)]
pub struct Failures {
    /// How many.
    pub count: u64,
    /// What was wrong with the last one, and its key.
    pub last: Option<(String, Box<[u8]>)>,
}

/// The failures of an index.
#[derive(Debug, Clone, Default)]
pub struct IndexErrors {
    /// All of them.
    pub total: Failures,
    /// Those of each field that had any.
    pub fields: BTreeMap<FieldId, Failures>,
}

impl IndexErrors {
    pub(super) fn record(&mut self, field: FieldId, text: &str, key: &[u8]) {
        self.total.record(text, key);
        self.fields.entry(field).or_default().record(text, key);
    }
}

impl Failures {
    fn record(&mut self, text: &str, key: &[u8]) {
        self.count += 1;
        self.last = Some((text.to_owned(), key.into()));
    }
}
