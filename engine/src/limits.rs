//! How much of anything does the engine accept?
//!
//! Every cap and every number without an obvious origin stands here with its reason. What a client
//! can observe follows RediSearch 2.10, so that configurations and documents move over unchanged.

/// Fields in one schema.
pub const MAX_FIELDS: usize = 1024;

/// `TEXT` fields in one schema: one bit each in a [`FieldMask`](crate::schema::FieldMask).
pub const MAX_TEXT_FIELDS: usize = 128;

/// `TEXT` fields that an index may have unless it was declared with `MAXTEXTFIELDS` or had more of
/// them when it was created.
pub const NARROW_TEXT_FIELDS: usize = 32;

/// `SORTABLE` fields in one schema.
pub const MAX_SORTABLE_FIELDS: usize = 1024;

/// Words in one stop word list.
pub const MAX_STOP_WORDS: usize = 1024;

/// Bytes of one normalised term: what is longer is cut (at a character boundary).
pub const MAX_TERM_BYTES: usize = 128;

/// Bytes below which a token is not stemmed (`MINSTEMLEN`).
pub const MIN_STEM_BYTES: usize = 4;

/// Bytes below which a token gets no phonetic code (`MIN_PHONETIC_TERM_LEN`).
pub const MIN_PHONETIC_BYTES: usize = 3;

/// Characters below which a prefix, suffix or infix matches nothing (`MINPREFIX`).
pub const MIN_PREFIX_CHARS: usize = 2;

/// Terms to which one prefix, suffix, infix, wildcard or fuzzy clause expands at most
/// (`MAXPREFIXEXPANSIONS`).
pub const MAX_EXPANSIONS: usize = 200;

/// Levenshtein distance of a fuzzy clause at most.
pub const MAX_FUZZY_DISTANCE: u8 = 3;

/// Levels of brackets, signs and clauses in a query. That is where the parser of RediSearch gives up
/// too (its stack has 100 places), and shallow enough that walking the tree recursively, as cursors
/// do, stays far from the end of a worker's stack.
pub const MAX_QUERY_DEPTH: usize = 100;

/// Nodes in a query's tree. A thousand-term union is usual; this only keeps a hostile query of
/// megabytes from becoming hundreds of megabytes of tree.
pub const MAX_QUERY_NODES: usize = 100_000;

/// Positions between two elements of a multi-value text field (`MULTI_TEXT_SLOP`).
pub const MULTI_TEXT_SLOP: u32 = 100;

/// Latitude, north and south, at which the geographic grid ends (that of web Mercator).
pub const MAX_LATITUDE: f64 = 85.05112878;

/// Bytes of the parts in which a long text is read: some milliseconds of work.
pub const PART_BYTES: usize = 128 << 10;

/// Longitude, east and west.
pub const MAX_LONGITUDE: f64 = 180.0;
