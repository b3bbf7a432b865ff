//! An index with its schema, filled from texts and asked in the query language.

use engine::collect::{search, Found, Request};
use engine::cursor::budget::Budget;
use engine::error::{QueryError, ValueError};
use engine::index::{Change, Index, Limits};
use engine::ingest::Reader;
use engine::query::{parse, plan, resolve, Dialect, Params, ResolveOptions};
use engine::schema::{FieldDefinition, IndexOptions, Schema};
use engine::score::Scorer;
use engine::text::{Analyser, AnalysisLimits, Synonyms};

pub(crate) struct Shelf {
    pub(crate) schema: Schema,
    pub(crate) options: IndexOptions,
    pub(crate) synonyms: Synonyms,
    pub(crate) index: Index,
}

impl Shelf {
    pub(crate) fn new(fields: Vec<FieldDefinition>) -> Self {
        Self {
            schema: Schema::with_fields(fields, false).expect("fields that fit"),
            options: IndexOptions::default(),
            synonyms: Synonyms::default(),
            index: Index::new(Limits { live_documents: 50, fan_out: 3, ..Limits::default() }),
        }
    }

    pub(crate) fn put(&self, key: &str, values: &[(&str, &str)]) -> Result<(), ValueError> {
        let reader = Reader {
            schema: &self.schema,
            options: &self.options,
            synonyms: &self.synonyms,
            limits: AnalysisLimits::default(),
        };
        let value = |name: &[u8]| values.iter().find(|(field, _)| field.as_bytes() == name).map(|(_, v)| v.as_bytes());
        let document = reader.document(key.as_bytes(), value)?;
        self.index.apply_now(Change::Upsert(Box::new(document))).expect("changes in order");
        Ok(())
    }

    pub(crate) fn ask(&self, query: &str, options: &ResolveOptions) -> Result<Found, QueryError> {
        let analyser =
            Analyser::new(self.options.language, &self.options.stop_words, &self.synonyms, AnalysisLimits::default());
        let ast = parse(query.as_bytes(), options.dialect, &Params::default())?;
        let node = plan(&resolve(&ast, &self.schema, &analyser, options)?);
        let request = Request::best(&node, Scorer::Bm25Std, 1000);
        Ok(search(&self.index.latest(), &request, &Budget::unlimited()))
    }

    /// The keys that a query finds, in alphabetical order.
    pub(crate) fn found_with(&self, query: &str, options: &ResolveOptions) -> Vec<String> {
        let found = self.ask(query, options).expect("a query");
        let snapshot = self.index.latest();
        let mut keys: Vec<_> = found
            .hits
            .iter()
            .map(|hit| String::from_utf8(snapshot.key(hit.segment, hit.doc)).expect("a key of text"))
            .collect();
        assert_eq!(found.total, keys.len() as u64, "the total of {query}");
        keys.sort();
        keys
    }

    /// The same in dialect 2.
    pub(crate) fn found(&self, query: &str) -> Vec<String> {
        self.found_with(query, &ResolveOptions { dialect: Dialect::V2, ..Default::default() })
    }
}
