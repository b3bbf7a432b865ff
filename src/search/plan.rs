//! What does a request mean in one index?
//!
//! The query is parsed, bound to the fields and words of the index, and planned; fields by which rows
//! are sorted and which they show are found. All of it is decided at once, against one view: what
//! `FT.ALTER` does later is of no concern to a query that has arrived.

use std::sync::Arc;

use engine::collect::search::Order;
use engine::collect::sort::SortBy;
use engine::cursor::plan::Node;
use engine::error::QueryError;
use engine::query::{parse, plan, resolve, Clause, Query, ResolveOptions};
use engine::schema::{FieldId, FieldKind, Sortable, ALL_FIELDS};
use engine::text::{Analyser, Language};

use super::request::{Content, Filter, Request};
use super::{analysis_limits, View};
use crate::settings;

/// A request bound to an index.
#[derive(Debug)]
pub struct Plan {
    /// How the index reads documents.
    pub view: Arc<View>,
    /// What must match.
    pub query: Query,
    /// The same, for the engine.
    pub node: Node,
    /// Which come first.
    pub ranking: Ranking,
    /// What a row shows.
    pub columns: Columns,
    /// The hash fields of these columns, in their order.
    pub identifiers: Vec<Box<[u8]>>,
}

/// Which rows come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranking {
    /// As the engine ranks: by score, or by a column.
    Engine(Order),
    /// By the stored text of a field that has no column: all matches are read.
    Stored {
        /// The hash field.
        identifier: Box<[u8]>,
        /// Whether the greatest comes first.
        descending: bool,
    },
}

/// Where the content of a row comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Columns {
    /// A row has none.
    None,
    /// All fields of the hash but those of [`hidden`].
    All,
    /// These fields of the hash, under these names.
    Some(Vec<Column>),
}

impl Columns {
    /// The hash fields of [`Columns::Some`], in their order.
    fn identifiers(&self) -> Vec<Box<[u8]>> {
        match self {
            Self::Some(columns) => columns.iter().map(|column| column.identifier.clone()).collect(),
            Self::None | Self::All => Vec::new(),
        }
    }
}

/// One field of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The hash field.
    pub identifier: Box<[u8]>,
    /// What the row calls it.
    pub name: Box<[u8]>,
    /// The column that holds the text just as it is stored, if there is one.
    pub kept: Option<FieldId>,
}

impl Plan {
    /// Binds a request.
    ///
    /// # Errors
    /// The text for the client.
    pub fn new(request: &Request, view: Arc<View>) -> Result<Self, String> {
        if (request.highlight.is_some() || request.summarize.is_some()) && !view.options.store_byte_offsets {
            // Spelled as clients know it.
            return Err("Cannot use highlight/summarize because NOOFSETS was specified at index level".to_owned());
        }
        let language = request.language.unwrap_or(view.options.language);
        let query = query(request, &view, language).map_err(|error| error.to_string())?;
        let node = plan(&query);
        let ranking = ranking(request, &view)?;
        let columns = columns(request, &view);
        Ok(Self { identifiers: columns.identifiers(), view, query, node, ranking, columns })
    }

    /// Whether rows can be had without a look at the keyspace.
    pub fn needs_no_keys(&self) -> bool {
        match &self.columns {
            Columns::None => true,
            Columns::All => false,
            Columns::Some(columns) => columns.iter().all(|column| column.kept.is_some()),
        }
    }
}

fn query(request: &Request, view: &View, language: Language) -> Result<Query, QueryError> {
    let schema = &view.schema;
    let ast = parse(&request.query, request.dialect, &request.params)?;
    let analyser = Analyser::new(language, &view.options.stop_words, &view.synonyms, analysis_limits());
    let fields = request.fields.as_ref().map_or(ALL_FIELDS, |names| schema.mask_of(names));
    let options = ResolveOptions {
        dialect: request.dialect,
        verbatim: request.verbatim,
        expander: request.expander,
        drop_stop_words: !request.keep_stop_words,
        fields,
        slop: request.slop,
        in_order: request.in_order,
        min_prefix_chars: settings::MIN_PREFIX.count(),
        max_expansions: settings::MAX_PREFIX_EXPANSIONS.count(),
    };
    let query = resolve(&ast, schema, &analyser, &options)?;
    let filters = request.filters.iter().map(|filter| match filter {
        Filter::Numeric(field, range) => Clause::numeric(schema, field, *range),
        Filter::Geo(field, circle) => Clause::geo(schema, field, *circle),
    });
    let keys = request.keys.as_ref().map(Clause::keys);
    Ok(filters.chain(keys).fold(query, Query::filtered))
}

fn ranking(request: &Request, view: &View) -> Result<Ranking, String> {
    let Some(sort) = &request.sort else { return Ok(Ranking::Engine(Order::Score)) };
    let field = view
        .schema
        .by_any_name(&sort.field)
        .ok_or_else(|| format!("Property `{}` not loaded nor in schema", String::from_utf8_lossy(&sort.field)))?;
    let numeric = matches!(field.definition.kind, FieldKind::Numeric);
    let descending = sort.descending;
    if numeric || field.definition.sortable != Sortable::No {
        return Ok(Ranking::Engine(Order::By(SortBy { field: field.id, numeric, descending })));
    }
    Ok(Ranking::Stored { identifier: field.identifier().into(), descending })
}

fn columns(request: &Request, view: &View) -> Columns {
    match &request.content {
        Content::None => Columns::None,
        _ if request.count == 0 => Columns::None,
        Content::All => Columns::All,
        Content::Fields(fields) => {
            let column = |returned: &super::request::Returned| {
                let field = view.schema.by_attribute(&returned.field);
                // A normalised column, and a number, need not be the text that is stored.
                let kept = field.filter(|field| {
                    field.definition.sortable == Sortable::AsWritten
                        && !matches!(field.definition.kind, FieldKind::Numeric)
                });
                Column {
                    identifier: field.map_or(returned.field.as_slice(), |field| field.identifier()).into(),
                    name: returned.name.as_slice().into(),
                    kept: kept.map(|field| field.id),
                }
            };
            Columns::Some(fields.iter().map(column).collect())
        }
    }
}

/// Whether a field of the hash is about the document and not part of it: its language, score and payload
/// are not shown unless they are asked for.
pub(super) fn hidden(view: &View, field: &[u8]) -> bool {
    let options = &view.options;
    [&options.language_field, &options.score_field, &options.payload_field]
        .into_iter()
        .any(|named| named.as_deref() == Some(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::request::{Returned, Sort};
    use engine::schema::{declarations, IndexOptions, Schema};
    use engine::text::Synonyms;

    fn view(words: &str) -> Arc<View> {
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let schema = Schema::with_fields(declarations(&words).unwrap(), false).unwrap();
        Arc::new(View::new(schema, IndexOptions::default(), Synonyms::default(), []))
    }

    #[test]
    fn rows_come_from_columns_only_where_these_hold_the_stored_text() {
        let view = view("a AS x TEXT SORTABLE UNF b TEXT SORTABLE n NUMERIC SORTABLE");
        let plan = |fields: &[&str]| {
            let returned = |field: &&str| Returned { field: (*field).into(), name: (*field).into() };
            let content = Content::Fields(fields.iter().map(returned).collect());
            Plan::new(&Request { content, ..Request::new(b"*") }, Arc::clone(&view)).unwrap()
        };
        assert!(plan(&["x"]).needs_no_keys());
        assert!(!plan(&["x", "b"]).needs_no_keys());
        assert!(!plan(&["n"]).needs_no_keys());
        assert!(!plan(&["a"]).needs_no_keys(), "by its identifier it is a field of the hash");
        let Columns::Some(columns) = plan(&["x"]).columns else { panic!("columns") };
        assert_eq!(&*columns[0].identifier, b"a");
    }

    #[test]
    fn sorting_needs_a_field_of_the_schema() {
        let view = view("t TEXT n NUMERIC s TAG SORTABLE");
        let plan = |field: &str| {
            let sort = Some(Sort { field: field.into(), descending: true });
            Plan::new(&Request { sort, ..Request::new(b"*") }, Arc::clone(&view)).map(|plan| plan.ranking)
        };
        assert!(matches!(plan("n"), Ok(Ranking::Engine(Order::By(SortBy { numeric: true, descending: true, .. })))));
        assert!(matches!(plan("s"), Ok(Ranking::Engine(Order::By(SortBy { numeric: false, .. })))));
        assert!(matches!(plan("t"), Ok(Ranking::Stored { .. })));
        assert_eq!(plan("zz").unwrap_err(), "Property `zz` not loaded nor in schema");
    }
}
