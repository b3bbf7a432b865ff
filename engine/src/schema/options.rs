//! What does an index keep, and by which rules does it read text?

use crate::text::{Language, StopWords};

/// Options of a whole index, apart from those that say which keys belong to it.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexOptions {
    /// The language of documents that do not name one (`LANGUAGE`).
    pub language: Language,
    /// The hash field that names a document's language (`LANGUAGE_FIELD`).
    pub language_field: Option<Vec<u8>>,
    /// The score of documents that do not name one, 0 to 1 (`SCORE`).
    pub score: f64,
    /// The hash field that holds a document's score (`SCORE_FIELD`).
    pub score_field: Option<Vec<u8>>,
    /// The hash field that holds a document's payload (`PAYLOAD_FIELD`).
    pub payload_field: Option<Vec<u8>>,
    /// Words that are neither indexed nor searched (`STOPWORDS`).
    pub stop_words: StopWords,
    /// False for `NOOFFSETS`: without positions there is no phrase, slop or order.
    pub store_positions: bool,
    /// False for `NOHL`: without byte offsets there is no highlighting.
    pub store_byte_offsets: bool,
    /// False for `NOFIELDS`: without field masks, restricting a clause to fields has no effect.
    pub store_field_masks: bool,
    /// False for `NOFREQS`: each term counts once in a document.
    pub store_frequencies: bool,
    /// `MAXTEXTFIELDS`: whether more than 32 text fields may come.
    pub wide_fields: bool,
}

impl Default for IndexOptions {
    fn default() -> Self {
        Self {
            language: Language::English,
            language_field: None,
            score: 1.0,
            score_field: None,
            payload_field: None,
            stop_words: StopWords::default(),
            store_positions: true,
            store_byte_offsets: true,
            store_field_masks: true,
            store_frequencies: true,
            wide_fields: false,
        }
    }
}

impl IndexOptions {
    /// Sets `NOOFFSETS`, which implies `NOHL`.
    pub fn without_positions(&mut self) {
        self.store_positions = false;
        self.store_byte_offsets = false;
    }
}
