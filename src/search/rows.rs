//! What is one row of an answer?

use engine::columns::SortValue;
use engine::score::explain::Explanation;

/// A document that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its key.
    pub key: Vec<u8>,
    /// Its score.
    pub score: f64,
    /// How its score came about, when that was asked for.
    pub explanation: Option<Explanation>,
    /// Its payload.
    pub payload: Option<Box<[u8]>>,
    /// What it was sorted by.
    pub sort: Option<SortValue>,
    /// Names and values of the fields that are shown.
    pub fields: Vec<Field>,
}

/// Name and value.
pub type Field = (Box<[u8]>, Box<[u8]>);

/// The answer to a search.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// How many documents matched when the query arrived.
    pub total: u64,
    /// The page that was asked for.
    pub rows: Vec<Row>,
    /// Whether time ran out: there may be more, and others before these.
    pub partial: bool,
}

impl Answer {
    /// How many bytes of fields it has.
    pub fn bytes(&self) -> usize {
        self.rows.iter().flat_map(|row| &row.fields).map(|(name, value)| name.len() + value.len()).sum()
    }
}
