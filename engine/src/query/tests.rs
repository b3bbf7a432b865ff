//! Queries from text to `FT.EXPLAIN`. Expectations of dialect 1 were observed on RediSearch 1.2.2.

use super::*;
use crate::error::QueryError;
use crate::schema::{FieldDefinition, FieldKind, PhoneticLanguage, Schema, TextOptions};
use crate::text::{Analyser, AnalysisLimits, Language, StopWords, Synonyms};
use proptest::prelude::*;

mod dialects;
mod expansion;
mod hostile;

/// The schema of these tests: `t` and `u` text, `s` text without stems, `p` text with sounds, `n`
/// numeric, `g` and `c` tags (`c` keeps case), `geo` a point, `m` text that may be missing.
fn schema() -> Schema {
    let mut case_sensitive = FieldDefinition::tag("c");
    case_sensitive.kind = FieldKind::Tag(crate::schema::TagOptions { case_sensitive: true, ..Default::default() });
    let mut missing = FieldDefinition::tag("m");
    missing.index_missing = true;
    let text = |name: &str, options| FieldDefinition::new(name, FieldKind::Text(options));
    Schema::with_fields(
        vec![
            FieldDefinition::text("t"),
            FieldDefinition::text("u"),
            text("s", TextOptions { stem: false, ..Default::default() }),
            text("p", TextOptions { phonetic: Some(PhoneticLanguage::English), ..Default::default() }),
            FieldDefinition::numeric("n"),
            FieldDefinition::tag("g"),
            case_sensitive,
            FieldDefinition::geo("geo"),
            missing,
        ],
        false,
    )
    .unwrap()
}

fn query_with(
    text: &[u8],
    params: &[(&str, &str)],
    options: &ResolveOptions,
    synonyms: &Synonyms,
) -> Result<Query, QueryError> {
    let words = params.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
    let ast = parse(text, options.dialect, &Params::from_words(words)?)?;
    let stop_words = StopWords::default();
    let analyser = Analyser::new(Language::English, &stop_words, synonyms, AnalysisLimits::default());
    resolve(&ast, &schema(), &analyser, options)
}

fn query(text: &str, options: &ResolveOptions) -> Result<Query, QueryError> {
    query_with(text.as_bytes(), &[], options, &Synonyms::default())
}

/// `FT.EXPLAIN` on one line, with single spaces.
fn on_one_line(result: Result<Query, QueryError>) -> String {
    match result {
        Ok(query) => explain(&query, &schema()).split_whitespace().collect::<Vec<_>>().join(" "),
        Err(error) => error.to_string(),
    }
}

fn verbatim(dialect: Dialect) -> ResolveOptions {
    ResolveOptions { dialect, verbatim: true, ..Default::default() }
}

/// The tree of a query without expansions.
fn tree(text: &str, dialect: Dialect) -> String {
    on_one_line(query(text, &verbatim(dialect)))
}
