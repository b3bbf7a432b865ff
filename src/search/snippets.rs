//! How are the words that were found shown? `HIGHLIGHT` and `SUMMARIZE` of one row.

use engine::highlight::{highlight, summarise, Found, Matcher, Summary, Tags};
use engine::schema::Field as SchemaField;
use engine::text::{Analyser, Language};

use super::analysis_limits;
use super::plan::{Columns, Plan};
use super::request::{Highlight, Request, Summarize};
use super::rows::Field;
use crate::sync::{CancelToken, Stop};

/// Words of a long text that are read between two looks at whether anybody still waits.
const WORDS_PER_LOOK: usize = 4_096;

/// What to do with the texts of rows.
pub(super) struct Snippets<'a> {
    plan: &'a Plan,
    shown: Vec<Shown<'a>>,
}

/// A text field of rows.
struct Shown<'a> {
    name: &'a [u8],
    field: &'a SchemaField,
    matcher: Matcher<'a>,
    highlight: Option<&'a Highlight>,
    summarize: Option<&'a Summarize>,
}

impl<'a> Snippets<'a> {
    /// `None` when texts are shown as they are.
    pub(super) fn new(request: &'a Request, plan: &'a Plan) -> Option<Self> {
        if request.highlight.is_none() && request.summarize.is_none() {
            return None;
        }
        let named: Vec<(&[u8], &SchemaField)> = match &plan.columns {
            Columns::None => Vec::new(),
            Columns::All => plan.view.schema.text_fields().map(|(field, _)| (field.identifier(), field)).collect(),
            Columns::Some(columns) => columns
                .iter()
                .filter_map(|column| {
                    let mut fields = plan.view.schema.by_identifier(&column.identifier);
                    Some((&*column.name, fields.find(|field| field.text_bit.is_some())?))
                })
                .collect(),
        };
        let shown = named.into_iter().filter_map(|(name, field)| {
            let wanted = |names: &[Vec<u8>]| {
                names.is_empty()
                    || names.iter().any(|one| *one == name || *one == field.attribute() || *one == field.identifier())
            };
            let highlight = request.highlight.as_ref().filter(|highlight| wanted(&highlight.fields));
            let summarize = request.summarize.as_ref().filter(|summarize| wanted(&summarize.fields));
            let matcher = Matcher::new(&plan.query, field.mask());
            (highlight.is_some() || summarize.is_some()).then_some(Shown { name, field, matcher, highlight, summarize })
        });
        Some(Self { plan, shown: shown.collect() })
    }

    /// Rewrites the texts of a row. `language` is what the document says of itself.
    pub(super) fn show(&self, fields: &mut [Field], language: Option<&[u8]>, cancel: &CancelToken) -> Result<(), Stop> {
        let view = &self.plan.view;
        let language = language.and_then(Language::parse).unwrap_or(view.options.language);
        let analyser = Analyser::new(language, &view.options.stop_words, &view.synonyms, analysis_limits());
        for (name, value) in fields {
            let Some(shown) = self.shown.iter().find(|shown| *shown.name == **name) else { continue };
            *value = shown.write(value, &analyser, cancel)?;
        }
        Ok(())
    }
}

impl Shown<'_> {
    fn write(&self, text: &[u8], analyser: &Analyser<'_>, cancel: &CancelToken) -> Result<Box<[u8]>, Stop> {
        let Some(options) = self.field.text() else { return Ok(text.into()) };
        let mut found = Found::default();
        let mut tokens = analyser.tokens(text, options, 0);
        while found.read(&mut tokens, &self.matcher, WORDS_PER_LOOK) {
            cancel.check()?;
        }
        let tags = self.highlight.map(|highlight| Tags { open: &highlight.open, close: &highlight.close });
        let written = match (self.summarize, tags) {
            (Some(wanted), tags) => {
                let summary =
                    Summary { fragments: wanted.fragments, words: wanted.words, separator: &wanted.separator };
                summarise(text, &found, &summary, tags)
            }
            (None, Some(tags)) => highlight(text, &found, tags),
            (None, None) => return Ok(text.into()),
        };
        Ok(written.into())
    }
}
