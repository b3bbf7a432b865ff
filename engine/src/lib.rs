//! The search core of Interlock: what is in an index, and what matches a query?
//!
//! Pure Rust: no server, no Python, no unsafe code. The search commands use it from the module's
//! side; tests, fuzzers and benches use it by itself. The key scan of the ground floor uses Redis's
//! glob patterns ([`glob`]) from here too.
//!
//! From a document to a result:
//!
//! ```
//! use engine::collect::{search, Request};
//! use engine::cursor::budget::Budget;
//! use engine::index::{Change, Index, Limits};
//! use engine::ingest::Reader;
//! use engine::query::{parse, plan, resolve, Dialect, Params, ResolveOptions};
//! use engine::schema::{declarations, IndexOptions, Schema};
//! use engine::score::Scorer;
//! use engine::text::{Analyser, AnalysisLimits, Synonyms};
//!
//! let fields = declarations(&[b"title", b"TEXT", b"price", b"NUMERIC"])?;
//! let schema = Schema::with_fields(fields, false)?;
//! let (options, synonyms, limits) = (IndexOptions::default(), Synonyms::default(), AnalysisLimits::default());
//!
//! // A document is read on any thread and applied in order.
//! let index = Index::new(Limits::default());
//! let reader = Reader { schema: &schema, options: &options, synonyms: &synonyms, limits };
//! let document = reader.document(b"book:1", |field| match field {
//!     b"title" => Some(&b"The running man"[..]),
//!     b"price" => Some(b"7.5"),
//!     _ => None,
//! })?;
//! index.apply_now(Change::Upsert(Box::new(document))).expect("changes come in order");
//!
//! // A query is parsed, bound to the schema, planned, and run over a snapshot.
//! let analyser = Analyser::new(options.language, &options.stop_words, &synonyms, limits);
//! let ast = parse(b"@title:runs @price:[5 10]", Dialect::V2, &Params::default())?;
//! let query = resolve(&ast, &schema, &analyser, &ResolveOptions { dialect: Dialect::V2, ..Default::default() })?;
//! let snapshot = index.latest();
//! let found = search(&snapshot, &Request::best(&plan(&query), Scorer::Tfidf, 10), &Budget::unlimited());
//! assert_eq!(found.total, 1);
//! assert_eq!(snapshot.key(found.hits[0].segment, found.hits[0].doc), b"book:1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod collect;
pub mod columns;
pub mod cursor;
pub mod dict;
pub mod error;
pub mod expression;
pub mod glob;
pub mod highlight;
pub mod index;
pub mod ingest;
pub mod limits;
pub mod postings;
pub mod query;
pub mod schema;
pub mod score;
pub mod sections;
pub mod segment;
pub mod spellcheck;
mod sync;
pub mod terms;
pub mod text;
