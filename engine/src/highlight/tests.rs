use super::*;
use crate::query::{parse, resolve, Dialect, Params, ResolveOptions};
use crate::schema::{FieldDefinition, Schema, TextOptions};
use crate::text::{Analyser, AnalysisLimits, Language, StopWords, Synonyms};
use proptest::prelude::*;

const FOX: &str = "the quick brown fox jumps over the lazy dog";

fn with_found<T>(query: &str, text: &[u8], then: impl FnOnce(&Found) -> T) -> T {
    let schema = Schema::with_fields(vec![FieldDefinition::text("t"), FieldDefinition::text("u")], false).unwrap();
    let (stop_words, synonyms) = (StopWords::default(), Synonyms::default());
    let analyser = Analyser::new(Language::English, &stop_words, &synonyms, AnalysisLimits::default());
    let ast = parse(query.as_bytes(), Dialect::V2, &Params::default()).unwrap();
    let options = ResolveOptions { dialect: Dialect::V2, ..Default::default() };
    let query = resolve(&ast, &schema, &analyser, &options).unwrap();
    let matcher = Matcher::new(&query, schema.field(crate::schema::FieldId(0)).mask());
    let options = TextOptions::default();
    then(&Found::all(analyser.tokens(text, &options, 0), &matcher))
}

fn highlighted(query: &str, text: &str) -> String {
    let bytes = with_found(query, text.as_bytes(), |found| highlight(text.as_bytes(), found, Tags::default()));
    String::from_utf8(bytes).unwrap()
}

fn summarised(query: &str, text: &str, summary: &Summary<'_>, tags: Option<Tags<'_>>) -> String {
    let bytes = with_found(query, text.as_bytes(), |found| summarise(text.as_bytes(), found, summary, tags));
    String::from_utf8(bytes).unwrap()
}

#[test]
fn found_words_are_tagged_as_they_are_written() {
    assert_eq!(highlighted("fox", FOX), "the quick brown <b>fox</b> jumps over the lazy dog");
    assert_eq!(highlighted("jumping", "Jumps, JUMPED!"), "<b>Jumps</b>, <b>JUMPED</b>!");
    assert_eq!(highlighted("qui* %foxx% -dog", FOX), "the <b>quick</b> brown <b>fox</b> jumps over the lazy dog");
    assert_eq!(highlighted("\"lazy dog\"", FOX), "the quick brown fox jumps over the <b>lazy</b> <b>dog</b>");
    assert_eq!(highlighted("straße", "Die STRASSE"), "Die <b>STRASSE</b>");
    assert_eq!(highlighted("@u:fox @t:dog", FOX), "the quick brown fox jumps over the lazy <b>dog</b>");
    assert_eq!(highlighted("fox", ""), "");
}

#[test]
fn tags_may_be_any_text() {
    let tags = Tags { open: b"[", close: b"]]" };
    assert_eq!(with_found("a1", b"a1 a1", |found| highlight(b"a1 a1", found, tags)), b"[a1]] [a1]]");
}

#[test]
fn summaries_are_those_of_the_specification() {
    let summary = Summary::default();
    assert_eq!(
        summarised("fox", FOX, &summary, Some(Tags::default())),
        "quick brown <b>fox</b> jumps over the lazy... "
    );
    let short = Summary { fragments: 1, words: 2, separator: b"|" };
    assert_eq!(summarised("fox", FOX, &short, None), "fox jumps|");
}

#[test]
fn the_best_fragments_come_in_the_order_of_the_text() {
    let filler = "filler ".repeat(30);
    let text = format!("one fox {filler} quick brown fox {filler} fox fox {filler} end");
    let two = Summary { fragments: 2, words: 4, separator: b"|" };
    let shown = summarised("quick|brown|fox", &text, &two, Some(Tags::default()));
    assert_eq!(shown, "filler <b>quick</b> <b>brown</b> <b>fox</b> filler|filler <b>fox</b> <b>fox</b> filler|");
}

#[test]
fn without_hits_the_first_words_are_shown() {
    let summary = Summary { fragments: 2, words: 2, separator: b"|" };
    assert_eq!(summarised("cat", "the  quick\nbrown, fox jumps", &summary, None), "the quick brown, fox");
    assert_eq!(summarised("cat", "", &summary, None), "");
}

proptest! {
    #[test]
    fn without_tags_highlighting_changes_nothing(text: Vec<u8>, word in "[a-c]{1,2}") {
        let none = Tags { open: b"", close: b"" };
        prop_assert_eq!(with_found(&word, &text, |found| highlight(&text, found, none)), text);
    }

    #[test]
    fn any_text_can_be_summarised(
        text in "([a-c]{1,3}[ ,é\n“]{1,3}){0,60}",
        query in "[a-c]{1,2}(\\|[a-c]{1,2}\\*?){0,3}",
        fragments in 0usize..4,
        words in 0usize..12,
    ) {
        let summary = Summary { fragments, words, separator: b"|" };
        let shown = summarised(&query, &text, &summary, Some(Tags::default()));
        prop_assert!(shown.matches('|').count() <= fragments);
        prop_assert_eq!(shown.matches("<b>").count(), shown.matches("</b>").count());
    }
}
