//! `FT.INFO index`: everything about an index, under the names of RediSearch 2.10 and 1.2.

use std::sync::Arc;

use engine::index::Figures;
use engine::schema::{Field, FieldKind, Sortable};
use engine::text::Language;

use super::{job, unknown_index};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Outcome};
use crate::reply::Reply;
use crate::search::{definition, registry, word_count, Failures, SearchIndex, View};

pub(super) struct Info;

impl Command for Info {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.info",
        flags: c"readonly",
        arity: 2,
        summary: c"Definition and figures of an index",
        args: &[ArgDoc::required(c"index")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let found = invocation.args().first().and_then(|name| registry::find(&invocation.held, name));
        let Some(index) = found else { return Outcome::Reply(Reply::error(unknown_index())) };
        let arrival = index.documents().arrive();
        let is_resp3 = invocation.is_resp3();
        job(move |lane| {
            index.catch_up(&arrival, lane.cancel()).map_err(|stop| format!("ERR {stop}"))?;
            let words = word_count(lane, &index).map_err(|failure| failure.to_string())?;
            Ok(info(&index, words, is_resp3))
        })
    }
}

/// A map whose keys are names of ours.
fn map<const N: usize>(pairs: [(&str, Reply); N]) -> Reply {
    Reply::Map(pairs.into_iter().map(|(name, value)| (status(name), value)).collect())
}

fn status(text: &str) -> Reply {
    Reply::Status(text.into())
}

/// Bytes as megabytes.
fn mb(bytes: usize) -> Reply {
    Reply::Double(bytes as f64 / f64::from(1 << 20))
}

/// A mean; not a number where there is nothing.
fn mean(sum: f64, of: u64) -> Reply {
    Reply::Double(if of == 0 { f64::NAN } else { sum / of as f64 })
}

fn info(index: &Arc<SearchIndex>, words: u64, is_resp3: bool) -> Reply {
    let (view, figures, errors) = (index.view(), index.documents().figures(), index.errors());
    let memory = figures.memory;
    let fields = view.schema.fields();
    let mut reply = vec![
        ("index_name", Reply::bulk(index.name())),
        ("index_options", flags(&view)),
        ("index_definition", rule(index, &view)),
        ("attributes", Reply::Array(fields.iter().map(|field| attribute(field, is_resp3)).collect())),
        // What version 1 called them.
        ("fields", Reply::Array(fields.iter().map(old_field).collect())),
        ("num_docs", Reply::count(figures.documents)),
        ("max_doc_id", Reply::count(figures.versions)),
        ("num_terms", Reply::count(words)),
        ("num_records", Reply::count(figures.postings.records)),
        ("inverted_sz_mb", mb(memory.postings + memory.columns)),
        ("vector_index_sz_mb", mb(0)),
        ("total_inverted_index_blocks", Reply::count(figures.postings.blocks)),
        ("offset_vectors_sz_mb", mb(memory.positions)),
        ("doc_table_size_mb", mb(memory.documents)),
        ("sortable_values_size_mb", mb(memory.sort)),
        ("key_table_size_mb", mb(memory.keys)),
        ("tag_overhead_sz_mb", mb(0)),
        ("text_overhead_sz_mb", mb(memory.dictionary)),
        ("total_index_memory_sz_mb", mb(memory.total() + index.queue().bytes())),
        ("geoshapes_sz_mb", mb(0)),
    ];
    reply.extend(averages(&figures));
    reply.extend([
        ("hash_indexing_failures", Reply::count(errors.total.count)),
        ("total_indexing_time", Reply::Double(index.indexing_time().as_secs_f64() * 1000.0)),
        ("indexing", Reply::Int(i64::from(index.is_scanning()))),
        ("percent_indexed", Reply::Double(index.scan_progress())),
        ("number_of_uses", Reply::count(index.queries())),
        ("cleaning", Reply::Int(0)),
        ("gc_stats", gc_stats()),
        ("cursor_stats", cursor_stats()),
    ]);
    if view.options.stop_words.is_custom() {
        reply.push(("stopwords_list", Reply::bulks(view.options.stop_words.iter())));
    }
    let dialect = |dialect| Reply::Int(i64::from(index.had_dialect(dialect)));
    reply.extend([
        (
            "dialect_stats",
            map([
                ("dialect_1", dialect(1)),
                ("dialect_2", dialect(2)),
                ("dialect_3", dialect(3)),
                ("dialect_4", dialect(4)),
            ]),
        ),
        ("Index Errors", failures(Some(&errors.total))),
        (
            "field statistics",
            Reply::Array(
                fields
                    .iter()
                    .map(|field| {
                        map([
                            ("identifier", Reply::bulk(field.identifier())),
                            ("attribute", Reply::bulk(field.attribute())),
                            ("Index Errors", failures(errors.fields.get(&field.id))),
                        ])
                    })
                    .collect(),
            ),
        ),
    ]);
    Reply::Map(reply.into_iter().map(|(name, value)| (status(name), value)).collect())
}

fn averages(figures: &Figures) -> [(&'static str, Reply); 4] {
    let (postings, memory) = (figures.postings, figures.memory);
    [
        ("records_per_doc_avg", mean(postings.records as f64, figures.documents)),
        ("bytes_per_record_avg", mean(memory.postings as f64, postings.records)),
        ("offsets_per_term_avg", mean(postings.positions as f64, postings.records)),
        ("offset_bits_per_record_avg", mean(memory.positions as f64 * 8.0, postings.positions)),
    ]
}

/// There is no garbage collector: merging of segments drops what is dead.
fn gc_stats() -> Reply {
    map([
        ("bytes_collected", Reply::Int(0)),
        ("total_ms_run", Reply::Int(0)),
        ("total_cycles", Reply::Int(0)),
        ("average_cycle_time_ms", Reply::Double(f64::NAN)),
        ("last_run_time_ms", Reply::Int(0)),
        ("gc_numeric_trees_missed", Reply::Int(0)),
        ("gc_blocks_denied", Reply::Int(0)),
    ])
}

fn cursor_stats() -> Reply {
    map([
        ("global_idle", Reply::Int(0)),
        ("global_total", Reply::Int(0)),
        ("index_capacity", Reply::Int(128)),
        ("index_total", Reply::Int(0)),
    ])
}

fn flags(view: &View) -> Reply {
    let options = &view.options;
    let words = [
        (!options.store_frequencies, "NOFREQS"),
        (!options.store_field_masks, "NOFIELDS"),
        (!options.store_positions, "NOOFFSETS"),
        (!options.store_byte_offsets, "NOHL"),
        (options.wide_fields, "MAXTEXTFIELDS"),
    ];
    Reply::Array(words.into_iter().filter(|(set, _)| *set).map(|(_, word)| status(word)).collect())
}

fn rule(index: &SearchIndex, view: &View) -> Reply {
    let (definition, options) = (index.definition(), &view.options);
    let mut pairs = vec![
        ("key_type", Reply::bulk("HASH")),
        ("prefixes", Reply::bulks(definition.prefixes.iter().map(|prefix| &**prefix))),
    ];
    if let Some(filter) = &definition.filter {
        pairs.push(("filter", Reply::bulk(&**filter)));
    }
    if options.language != Language::English {
        pairs.push(("default_language", Reply::bulk(options.language.name())));
    }
    let named = |field: &Option<Vec<u8>>, unnamed: &[u8]| field.clone().filter(|field| field != unnamed);
    if let Some(field) = named(&options.language_field, definition::LANGUAGE_FIELD) {
        pairs.push(("language_field", Reply::bulk(field)));
    }
    pairs.push(("default_score", Reply::Double(options.score)));
    if let Some(field) = named(&options.score_field, definition::SCORE_FIELD) {
        pairs.push(("score_field", Reply::bulk(field)));
    }
    if let Some(field) = named(&options.payload_field, definition::PAYLOAD_FIELD) {
        pairs.push(("payload_field", Reply::bulk(field)));
    }
    Reply::Map(pairs.into_iter().map(|(name, value)| (status(name), value)).collect())
}

/// The value that belongs to a field's type.
fn parameter(field: &Field) -> Option<(&'static str, Reply)> {
    match &field.definition.kind {
        FieldKind::Text(options) => Some(("WEIGHT", Reply::Double(options.weight))),
        FieldKind::Tag(options) => Some(("SEPARATOR", Reply::bulk([options.separator]))),
        FieldKind::Numeric | FieldKind::Geo => None,
    }
}

fn flag_words(field: &Field) -> Vec<Reply> {
    let definition = &field.definition;
    let (text, tag) = (field.text(), field.tag());
    let suffixes = text.is_some_and(|text| text.suffix_trie) || tag.is_some_and(|tag| tag.suffix_trie);
    let words = [
        (tag.is_some_and(|tag| tag.case_sensitive), "CASESENSITIVE"),
        (definition.sortable != Sortable::No, "SORTABLE"),
        (definition.sortable == Sortable::AsWritten, "UNF"),
        (text.is_some_and(|text| !text.stem), "NOSTEM"),
        (!definition.indexed, "NOINDEX"),
        (suffixes, "WITHSUFFIXTRIE"),
        (definition.index_empty, "INDEXEMPTY"),
        (definition.index_missing, "INDEXMISSING"),
    ];
    words.into_iter().filter(|(set, _)| *set).map(|(_, word)| status(word)).collect()
}

/// A field: in RESP2 its flags stand at the end as bare words.
fn attribute(field: &Field, is_resp3: bool) -> Reply {
    let mut pairs = vec![
        ("identifier", Reply::bulk(field.identifier())),
        ("attribute", Reply::bulk(field.attribute())),
        ("type", status(field.definition.kind.name())),
    ];
    pairs.extend(parameter(field));
    if is_resp3 {
        pairs.push(("flags", Reply::Array(flag_words(field))));
        return Reply::Map(pairs.into_iter().map(|(name, value)| (status(name), value)).collect());
    }
    let words = pairs.into_iter().flat_map(|(name, value)| [status(name), value]);
    Reply::Array(words.chain(flag_words(field)).collect())
}

fn old_field(field: &Field) -> Reply {
    let mut words = vec![Reply::bulk(field.attribute()), status("type"), status(field.definition.kind.name())];
    words.extend(parameter(field).into_iter().flat_map(|(name, value)| [status(name), value]));
    words.extend(flag_words(field));
    Reply::Array(words)
}

fn failures(failures: Option<&Failures>) -> Reply {
    let (text, key) = match failures.and_then(|failures| failures.last.as_ref()) {
        Some((text, key)) => (Reply::bulk(text.as_bytes()), Reply::bulk(&**key)),
        None => (Reply::bulk("N/A"), Reply::bulk("N/A")),
    };
    map([
        ("indexing failures", Reply::count(failures.map_or(0, |failures| failures.count))),
        ("last indexing error", text),
        ("last indexing error key", key),
    ])
}
