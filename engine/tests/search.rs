//! From texts to results: documents are read, indexed and found by queries.

mod support;

use engine::query::{Dialect, Expander, ResolveOptions};
use engine::schema::{FieldDefinition, FieldKind, PhoneticLanguage, TagOptions, TextOptions};
use engine::text::StopWords;
use support::Shelf;

fn library() -> Shelf {
    let text = |name: &str, options| FieldDefinition::new(name, FieldKind::Text(options));
    let mut tag = FieldDefinition::tag("tags").named("tag");
    tag.index_missing = true;
    tag.index_empty = true;
    let mut note = FieldDefinition::text("note");
    note.index_empty = true;
    let mut hidden = FieldDefinition::numeric("hidden").sortable(false);
    hidden.indexed = false;
    let mut shelf = Shelf::new(vec![
        FieldDefinition::text("title"),
        text("body", TextOptions { weight: 3.0, ..Default::default() }),
        text("exact", TextOptions { stem: false, ..Default::default() }),
        text("name", TextOptions { phonetic: Some(PhoneticLanguage::English), ..Default::default() }),
        tag,
        FieldDefinition::new(
            "code",
            FieldKind::Tag(TagOptions { case_sensitive: true, separator: b';', ..Default::default() }),
        ),
        FieldDefinition::numeric("price"),
        FieldDefinition::geo("place"),
        note,
        hidden,
    ]);
    shelf.synonyms.update(b"vehicles", [&b"car"[..], b"automobile"]);
    let put = |key: &str, values: &[(&str, &str)]| shelf.put(key, values).expect("values that fit");
    put(
        "fox",
        &[
            ("title", "The quick brown fox"),
            ("body", "jumps over the lazy dog"),
            ("tags", "Animal, Red Fur"),
            ("price", "10"),
            ("place", "2.35,48.85"),
            ("code", "A-1;b"),
        ],
    );
    put(
        "car",
        &[
            ("title", "A fast car"),
            ("body", "cars are running"),
            ("tags", "machine"),
            ("price", "2.5e3"),
            ("place", "-0.12 51.5"),
        ],
    );
    put("auto", &[("title", "Automobile"), ("exact", "running runs"), ("name", "John"), ("price", "-5"), ("tags", "")]);
    put("école", &[("title", "L'ÉCOLE est STRASSE"), ("body", "caf\u{e9} co\\-op"), ("note", ""), ("hidden", "7")]);
    shelf
}

fn check(shelf: &Shelf, cases: &[(&str, &[&str])]) {
    for (query, expected) in cases {
        assert_eq!(shelf.found(query), *expected, "{query}");
    }
}

#[test]
fn words_are_found_in_any_form() {
    check(
        &library(),
        &[
            ("fox", &["fox"]),
            ("FOXES", &["fox"]),
            ("jumping", &["fox"]),
            ("runs", &["auto", "car"]),
            ("@exact:runs", &["auto"]),
            ("@exact:running", &["auto"]),
            ("@exact:runner", &[]),
            ("école", &["école"]),
            ("straße", &["école"]),
            ("@name:jon", &["auto"]),
            ("@title:jon", &[]),
            ("car", &["auto", "car"]),
            ("co\\-op", &["école"]),
            ("the", &[]),
            ("*", &["auto", "car", "fox", "école"]),
            ("", &[]),
        ],
    );
}

#[test]
fn clauses_combine() {
    check(
        &library(),
        &[
            ("quick fox", &["fox"]),
            ("quick car", &[]),
            ("fox|école", &["fox", "école"]),
            ("-fox -car", &["auto", "école"]),
            ("@title:(quick fox) @body:dog", &["fox"]),
            ("@title:dog", &[]),
            ("@title|body:dog", &["fox"]),
            ("@nothing:dog", &[]),
            ("\"brown fox\"", &["fox"]),
            ("\"fox brown\"", &[]),
            ("\"fox jumps\"", &[]),
            ("(quick fox)=>{$slop:0}", &[]),
            ("(quick fox)=>{$slop:1}", &["fox"]),
            ("(fox quick)=>{$slop:1; $inorder:true}", &[]),
            ("(fox quick)=>{$inorder:false; $slop:1}", &["fox"]),
            ("~zebra", &["auto", "car", "fox", "école"]),
            ("~zebra fox", &["fox"]),
        ],
    );
}

#[test]
fn parts_of_words_and_mistakes_are_found() {
    check(
        &library(),
        &[
            ("qui*", &["fox"]),
            ("*ick", &["fox"]),
            ("*uic*", &["fox"]),
            ("w'q?i*k'", &["fox"]),
            ("w'ÉC*'", &["école"]),
            ("éco*", &["école"]),
            ("q*", &[]),
            ("%quikc%", &[]),
            ("%%quikc%%", &["fox"]),
            ("%ecole%", &["école"]),
            ("*unni*", &["auto", "car"]),
            ("vehi*", &[]),
        ],
    );
}

#[test]
fn tags_numbers_points_and_gaps_are_found() {
    check(
        &library(),
        &[
            ("@tag:{animal}", &["fox"]),
            ("@tag:{red  fur | MACHINE}", &["car", "fox"]),
            ("@tag:{mach*|*fur}", &["car", "fox"]),
            ("@tag:{w'*a*i*'}", &["car", "fox"]),
            ("@tag:{\"\"}", &["auto"]),
            ("@tags:{animal}", &[]),
            ("@code:{A\\-1}", &["fox"]),
            ("@code:{a-1}", &[]),
            ("@code:{b}", &["fox"]),
            ("@price:[0 inf]", &["car", "fox"]),
            ("@price:[-5 (10]", &["auto"]),
            ("@price:[5 1]", &[]),
            ("@price>=10 @price!=2500", &["fox"]),
            ("@hidden:[7 7]", &[]),
            ("@title:[1 2]", &[]),
            ("@place:[2.3 48.8 10 km]", &["fox"]),
            ("@place:[2.3 48.8 300 mi]", &["car", "fox"]),
            ("ismissing(@tag)", &["école"]),
            ("-ismissing(@tag)", &["auto", "car", "fox"]),
            ("@note:\"\"", &["école"]),
            ("@title:\"\"", &[]),
        ],
    );
}

#[test]
fn the_deepest_queries_run() {
    let shelf = library();
    for (open, close, expected) in
        [("(", ")", 1), ("-(", ")", 1), ("(quick ", ")", 1), ("(zebra|", ")", 1), ("~(", ")", 4)]
    {
        let levels = if open.starts_with(['-', '~']) { 50 } else { 100 };
        let query = format!("{}fox{}", open.repeat(levels), close.repeat(levels));
        assert_eq!(shelf.found(&query).len(), expected, "{query}");
    }
}

#[test]
fn options_change_what_words_mean() {
    let shelf = library();
    let v2 = ResolveOptions { dialect: Dialect::V2, ..Default::default() };
    let verbatim = ResolveOptions { verbatim: true, ..v2.clone() };
    assert_eq!(shelf.found_with("jumping", &verbatim), [""; 0]);
    assert_eq!(shelf.found_with("car", &verbatim), ["car"]);
    for (name, jumping, car) in [("sbstem", 1, 1), ("Synonym", 0, 2), ("PHONETIC", 0, 1), ("DEFAULT", 1, 2)] {
        let expander = Expander::by_name(name.as_bytes()).unwrap();
        let options = ResolveOptions { expander, ..v2.clone() };
        let found = (shelf.found_with("jumping", &options).len(), shelf.found_with("car", &options).len());
        assert_eq!(found, (jumping, car), "{name}");
    }
    let body = ResolveOptions { fields: shelf.schema.mask_of([&b"body"[..], b"price", b"none"]), ..v2.clone() };
    assert_eq!(shelf.found_with("fox|dog|cars", &body), ["car", "fox"]);
    assert_eq!(shelf.found_with("fox|quick", &body), [""; 0]);
    let few = ResolveOptions { max_expansions: 1, ..v2 };
    assert_eq!(shelf.found("w'*n*'"), ["auto", "car", "fox"]);
    assert_eq!(shelf.found_with("w'*n*'", &few), ["fox"], "only the first such word: brown");
    let v1 = ResolveOptions::default();
    assert_eq!(shelf.found_with("-fox zebra", &v1).len(), 4);
    assert_eq!(shelf.found("-fox zebra").len(), 0);
}

#[test]
fn languages_and_stop_words_are_the_indexs_or_the_documents() {
    let mut shelf = Shelf::new(vec![FieldDefinition::text("t")]);
    shelf.options.stop_words = StopWords::custom([&b"foo"[..]]).unwrap();
    shelf.options.language_field = Some(b"lang".to_vec());
    shelf.put("de", &[("t", "die kinder foo bar"), ("lang", "German")]).unwrap();
    shelf.put("en", &[("t", "the houses"), ("lang", "klingon")]).unwrap();
    assert_eq!((shelf.found("house"), shelf.found("kindern")), (vec!["en".to_owned()], vec![]));
    assert_eq!((shelf.found("foo"), shelf.found("the")), (vec![], vec!["en".to_owned()]));
    assert_eq!(shelf.found("\"kinder bar\""), ["de"], "a stop word takes no place");
    shelf.options.language = engine::text::Language::German;
    assert_eq!(shelf.found("kindern"), ["de"], "a German query has German stems");
}

#[test]
fn a_bad_value_keeps_the_document_out() {
    let shelf = library();
    let error = shelf.put("bad", &[("title", "zebra"), ("price", "ten")]).unwrap_err();
    assert_eq!(error.to_string(), "Invalid numeric value: 'ten'");
    let error = shelf.put("bad", &[("title", "zebra"), ("place", "somewhere")]).unwrap_err();
    assert_eq!(error.to_string(), "Invalid lon/lat format. Use \"lon lat\" or \"lon,lat\"");
    assert_eq!(shelf.found("zebra"), [""; 0]);
}

#[test]
fn weights_and_scores_order_results() {
    let mut shelf = Shelf::new(vec![FieldDefinition::text("t"), FieldDefinition::text("u")]);
    shelf.options.score_field = Some(b"rank".to_vec());
    shelf.put("low", &[("t", "apple"), ("rank", "0.1")]).unwrap();
    shelf.put("high", &[("t", "apple"), ("rank", "0.9")]).unwrap();
    shelf.put("bad", &[("t", "pear"), ("rank", "many")]).unwrap();
    let best = |query: &str| {
        let options = ResolveOptions { dialect: Dialect::V2, ..Default::default() };
        let found = shelf.ask(query, &options).unwrap();
        let snapshot = shelf.index.latest();
        String::from_utf8(snapshot.key(found.hits[0].segment, found.hits[0].doc)).unwrap()
    };
    assert_eq!(best("apple"), "high");
    assert_eq!(best("(apple)=>{$weight:0.01}|pear"), "bad");
    assert_eq!(best("(apple)=>{$weight:100}|pear"), "high");
}

#[test]
fn suffixes_are_for_fields_that_all_have_them_or_none() {
    let with = FieldKind::Text(TextOptions { suffix_trie: true, ..Default::default() });
    let fields = vec![FieldDefinition::new("with", with), FieldDefinition::text("without")];
    let shelf = Shelf::new(fields);
    shelf.put("a", &[("with", "elephant")]).unwrap();
    shelf.put("b", &[("without", "elephant")]).unwrap();
    let v2 = ResolveOptions { dialect: Dialect::V2, ..Default::default() };
    assert_eq!(shelf.found("@with:*phant"), ["a"]);
    assert_eq!(shelf.found("*leph*"), ["a", "b"]);
    assert_eq!(shelf.found("@without:eleph*"), ["b"]);
    for query in ["@without:*phant", "@with|without:*leph*", "fox @without:(a *leph*)"] {
        let error = shelf.ask(query, &v2).unwrap_err();
        assert_eq!(error.to_string(), "Contains query on fields without WITHSUFFIXTRIE support", "{query}");
    }
    let none = Shelf::new(vec![FieldDefinition::text("t")]);
    none.put("a", &[("t", "elephant")]).unwrap();
    assert_eq!(none.found("@t:*phant"), ["a"]);
}
