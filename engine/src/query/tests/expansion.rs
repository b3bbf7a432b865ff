//! What words, patterns and options become in one index.

use super::*;
use crate::text::Term;

fn expanded(text: &str, dialect: Dialect) -> String {
    on_one_line(query(text, &ResolveOptions { dialect, ..Default::default() }))
}

#[test]
fn words_get_stems_but_not_in_quotes_or_after_signs() {
    let v2 = Dialect::V2;
    assert_eq!(expanded("@t:hello", v2), "@t:UNION { @t:hello @t:+hello(expanded) }");
    assert_eq!(expanded("@t:running", v2), "@t:UNION { @t:running @t:+run(expanded) @t:run(expanded) }");
    assert_eq!(
        expanded("@t:(\"running shoes\" -jumping ~walking)", v2),
        "@t:INTERSECT { @t:EXACT { @t:running @t:shoes } @t:NOT{ @t:jumping } @t:OPTIONAL{ @t:walking } }"
    );
    assert_eq!(expanded("@t:dog", v2), "@t:dog");
    assert_eq!(expanded("@t:2000", v2), "@t:2000");
    assert_eq!(expanded("@t:hello=>{$weight:2}", v2), "@t:UNION { @t:hello => {$weight: 2;} @t:+hello(expanded) }");
}

#[test]
fn fields_without_stems_are_not_searched_for_them() {
    assert_eq!(expanded("@s:running", Dialect::V2), "@s:running");
    assert_eq!(
        expanded("@t|s:running", Dialect::V2),
        "@t|s:UNION { @t|s:running @t|s:+run(expanded) @t:run(expanded) }"
    );
}

#[test]
fn sounds_are_searched_where_fields_have_them() {
    let v2 = Dialect::V2;
    assert_eq!(expanded("@p:jon", v2), "@p:UNION { @p:jon @p:<JN(expanded) }");
    assert_eq!(expanded("@p:jon=>{$phonetic:false}", v2), "@p:jon");
    assert_eq!(expanded("@p:(jon)=>{$phonetic:true}", v2), "@p:UNION { @p:jon @p:<JN(expanded) }");
    assert_eq!(expanded("@t:jon=>{$phonetic:true}", v2), "field does not support phonetics");
    assert_eq!(expanded("@p:(jon ann)=>{$phonetic:false}", v2), "@p:INTERSECT { @p:jon @p:ann }");
}

#[test]
fn words_of_a_synonym_group_find_the_group() {
    let mut synonyms = Synonyms::default();
    synonyms.update(b"g1", [&b"boy"[..], b"child"]);
    let options = ResolveOptions { dialect: Dialect::V2, ..Default::default() };
    let result = query_with(b"@t:Boy", &[], &options, &synonyms);
    assert_eq!(on_one_line(result), "@t:UNION { @t:boy @t:~g1(expanded) }");
}

#[test]
fn stop_words_stay_when_that_is_asked_for() {
    let options = ResolveOptions { drop_stop_words: false, ..verbatim(Dialect::V2) };
    assert_eq!(on_one_line(query("the fox", &options)), "INTERSECT { the fox }");
}

#[test]
fn infields_restricts_the_whole_query() {
    let options = ResolveOptions { fields: 0b10, ..verbatim(Dialect::V2) };
    assert_eq!(on_one_line(query("foo @t:bar", &options)), "@u:INTERSECT { @u:foo @NULL:bar }");
}

#[test]
fn short_parts_of_words_find_nothing() {
    let limit = |text: &str| match query(text, &verbatim(Dialect::V2)).unwrap().root.kind {
        ClauseKind::Expansion(expansion) => expansion.max_terms,
        other => panic!("{other:?}"),
    };
    assert_eq!((limit("é*"), limit("éé*"), limit("*a"), limit("*ab*")), (0, 200, 0, 200));
    assert_eq!((limit("w'a*'"), limit("%a%")), (200, 200));
}

#[test]
fn slop_and_order_come_from_the_clause_or_the_query() {
    let options = ResolveOptions { slop: Some(3), in_order: true, ..verbatim(Dialect::V2) };
    let and = |text: &str| match query(text, &options).unwrap().root.kind {
        ClauseKind::And { slop, in_order, .. } => (slop, in_order),
        other => panic!("{other:?}"),
    };
    assert_eq!(and("foo bar"), (Some(3), true));
    assert_eq!(and("(foo bar)=>{$slop:1; $inorder:false}"), (Some(1), false));
    assert_eq!(and("(foo bar)=>{$slop:-1}"), (None, true));
}

#[test]
fn filters_join_the_outermost_intersection() {
    let filter = || Clause::new(ClauseKind::All);
    let joined = |text: &str| on_one_line(query(text, &verbatim(Dialect::V2)).map(|query| query.filtered(filter())));
    assert_eq!(joined("foo bar"), "INTERSECT { foo bar <WILDCARD> }");
    assert_eq!(joined("foo|bar"), "INTERSECT { UNION { foo bar } <WILDCARD> }");
    assert_eq!(
        joined("(foo bar)=>{$slop:1}"),
        "INTERSECT { INTERSECT { foo bar } => { $slop: 1; $inorder: false; } <WILDCARD> }"
    );
}

#[test]
fn terms_are_those_that_a_match_can_have() {
    let query = query("foo \"bar baz\" -qux ~zap (foo|hel*)", &verbatim(Dialect::V2)).unwrap();
    let words: Vec<_> = ["bar", "baz", "foo", "zap"].map(Term::word).into();
    assert_eq!(query.terms().into_iter().cloned().collect::<Vec<_>>(), words);
}

#[test]
fn explain_has_a_line_for_each_clause() {
    let query = query("@t:(a1 -b1) @g:{x}", &verbatim(Dialect::V2)).unwrap();
    let page =
        "INTERSECT {\n  @t:INTERSECT {\n    @t:a1\n    @t:NOT{\n      @t:b1\n    }\n  }\n  TAG:@g {\n    x\n  }\n}\n";
    assert_eq!(explain(&query, &schema()), page);
}
