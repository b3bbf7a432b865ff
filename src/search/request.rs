//! What did a client ask for? The options of a search as plain data.

use std::time::Duration;

use engine::query::{Dialect, Expander, GeoRadius, NumericRange, Params};
use engine::score::Scorer;
use engine::text::Language;

/// A search, as it was asked for: nothing is known of the index yet.
#[derive(Debug, Clone)]
pub struct Request {
    /// The query's text.
    pub query: Vec<u8>,
    /// `DIALECT`
    pub dialect: Dialect,
    /// `PARAMS`
    pub params: Params,
    /// `LIMIT`: rows passed over.
    pub offset: usize,
    /// `LIMIT`: rows wanted.
    pub count: usize,
    /// `NOCONTENT`, `RETURN`.
    pub content: Content,
    /// `WITHSCORES`
    pub scores: bool,
    /// `EXPLAINSCORE`
    pub explain: bool,
    /// `WITHPAYLOADS`
    pub payloads: bool,
    /// `WITHSORTKEYS`
    pub sort_keys: bool,
    /// `WITHWARNINGS`
    pub warnings: bool,
    /// `VERBATIM`
    pub verbatim: bool,
    /// `EXPANDER`
    pub expander: Expander,
    /// `NOSTOPWORDS`
    pub keep_stop_words: bool,
    /// `SLOP`
    pub slop: Option<i64>,
    /// `INORDER`
    pub in_order: bool,
    /// `INFIELDS`
    pub fields: Option<Vec<Vec<u8>>>,
    /// `INKEYS`
    pub keys: Option<Vec<Vec<u8>>>,
    /// `FILTER`, `GEOFILTER`
    pub filters: Vec<Filter>,
    /// `LANGUAGE`; that of the index when none was given.
    pub language: Option<Language>,
    /// `SCORER`
    pub scorer: Scorer,
    /// `PAYLOAD`
    pub payload: Option<Vec<u8>>,
    /// `SORTBY`
    pub sort: Option<Sort>,
    /// `HIGHLIGHT`
    pub highlight: Option<Highlight>,
    /// `SUMMARIZE`
    pub summarize: Option<Summarize>,
    /// `TIMEOUT`; `None` for no limit.
    pub timeout: Option<Duration>,
}

impl Request {
    /// A search with default options.
    pub fn new(query: &[u8]) -> Self {
        Self {
            query: query.to_vec(),
            dialect: Dialect::default(),
            params: Params::default(),
            offset: 0,
            count: 10,
            content: Content::All,
            scores: false,
            explain: false,
            payloads: false,
            sort_keys: false,
            warnings: false,
            verbatim: false,
            expander: Expander::default(),
            keep_stop_words: false,
            slop: None,
            in_order: false,
            fields: None,
            keys: None,
            filters: Vec::new(),
            language: None,
            scorer: Scorer::default(),
            payload: None,
            sort: None,
            highlight: None,
            summarize: None,
            timeout: None,
        }
    }
}

/// Which fields of a document its row shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// None, only its key.
    None,
    /// All that are stored.
    All,
    /// Some.
    Fields(Vec<Returned>),
}

/// A field of `RETURN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// A field of the schema, or of the hash.
    pub field: Vec<u8>,
    /// What the row calls it (`AS`).
    pub name: Vec<u8>,
}

/// A condition beside the query.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// `FILTER field min max`
    Numeric(Vec<u8>, NumericRange),
    /// `GEOFILTER field longitude latitude radius unit`
    Geo(Vec<u8>, GeoRadius),
}

/// `SORTBY field [ASC|DESC]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The field.
    pub field: Vec<u8>,
    /// Whether the greatest comes first.
    pub descending: bool,
}

/// `HIGHLIGHT [FIELDS n field...] [TAGS open close]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Highlight {
    /// The fields; all text fields that are returned when none is named.
    pub fields: Vec<Vec<u8>>,
    /// What stands before a word that was found.
    pub open: Vec<u8>,
    /// What stands after it.
    pub close: Vec<u8>,
}

/// `SUMMARIZE [FIELDS n field...] [FRAGS n] [LEN n] [SEPARATOR s]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summarize {
    /// The fields; all text fields that are returned when none is named.
    pub fields: Vec<Vec<u8>>,
    /// Fragments at most.
    pub fragments: usize,
    /// Words of one fragment, about.
    pub words: usize,
    /// What follows each fragment.
    pub separator: Vec<u8>,
}
