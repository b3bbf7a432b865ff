//! Whatever text arrives, the parser ends, with a tree of bounded depth or with an error.

use super::*;

/// Parses only: what comes after is bounded by the number of clauses.
fn read(text: &[u8]) {
    let params = Params::from_words([&b"p"[..], b"5"]).unwrap();
    for dialect in [Dialect::V1, Dialect::V2] {
        let _ = parse(text, dialect, &params);
    }
}

fn run(text: &[u8]) {
    for dialect in [Dialect::V1, Dialect::V2] {
        let options = ResolveOptions { dialect, ..Default::default() };
        if let Ok(query) = query_with(text, &[("p", "5"), ("q", "a b")], &options, &Synonyms::default()) {
            explain(&query, &schema());
        }
    }
}

#[test]
fn a_megabyte_of_anything_ends() {
    for piece in [
        "(",
        ")",
        "-",
        "~",
        "\"",
        "%",
        "*",
        "@",
        "@t:",
        "@t:(",
        "((a|",
        "(a ",
        "a|",
        "a ",
        "-a ",
        "~a|",
        "[",
        "{",
        "@g:{",
        "@g:{a|",
        "@n:[",
        "=>",
        "a=>{",
        "a=>{$weight:1}",
        "\\",
        "\\\"",
        "'",
        "''",
        "w'",
        "$",
        "$p",
        "ismissing(",
        "\u{e9}",
        "|",
        "3.",
        "@t|",
        "%%a",
        "*a*",
        "-(",
        "\"a\" ",
    ] {
        read(piece.repeat((1 << 20) / piece.len()).as_bytes());
    }
    read(&vec![0xff; 1 << 20]);
    read(&vec![0; 1 << 20]);
}

#[test]
fn nesting_and_length_are_limited() {
    let nested = |depth: usize| tree(&("(".repeat(depth) + "aa" + &")".repeat(depth)), Dialect::V2);
    assert_eq!(nested(100), "aa");
    assert_eq!(nested(101), "Syntax error at offset 101: more than 100 levels of nesting");
    for dialect in [Dialect::V1, Dialect::V2] {
        assert!(tree(&"-".repeat(1000), dialect).contains("levels of nesting"));
        assert!(tree(&("@t:".repeat(1000) + "aa"), dialect).contains("levels of nesting"));
        assert!(tree(&"aa ".repeat(100_001), dialect).contains("more than 100000 clauses"));
        assert_eq!(tree(&"aa|".repeat(1000), dialect), "Syntax error at offset 2999 near |");
        let long = "aa|".repeat(1000) + "aa";
        assert!(
            matches!(query(&long, &verbatim(dialect)).unwrap().root.kind, ClauseKind::Or(list) if list.len() == 1001)
        );
    }
}

/// The deepest trees that are accepted fit on a stack a fraction of a worker's.
#[test]
fn the_deepest_queries_need_little_stack() {
    let deepest = |open: &str, close: &str| {
        let levels = |count: usize| format!("{}aa{}", open.repeat(count), close.repeat(count));
        (1..=100).map(levels).take_while(|text| query(text, &verbatim(Dialect::V2)).is_ok()).last()
    };
    for (open, close) in [("(", ")"), ("-(~", ")"), ("(a @t:(-b|", "))"), ("@t:(a|b -", " c)"), ("~", "")] {
        let text = deepest(open, close).unwrap();
        let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
            for dialect in [Dialect::V1, Dialect::V2] {
                if let Ok(query) = query(&text, &verbatim(dialect)) {
                    plan(&query);
                    explain(&query, &schema());
                    assert_eq!(query.clone(), query);
                }
            }
        });
        thread.unwrap().join().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_bytes_are_a_query_or_an_error(text: Vec<u8>) {
        run(&text);
    }

    #[test]
    fn any_sequence_of_symbols_is_a_query_or_an_error(
        symbols in prop::collection::vec(
            prop::sample::select(vec![
                "(", ")", "|", "-", "~", "*", "%", "%%", "\"", "@", "@t:", "@t|u:", "@n:[1 2]", "@n:[", "]", "@g:{", "}",
                "{", "[", "=>", "=>{$weight:2}", "=>{", "$p", "$q", "$x", "w'", "'", "''", " ", "a", "foo", "the", "5", "-7",
                "3.5", ":", ";", "\\", "ismissing(", "@m", "==", ">=", "é", "running", ",",
            ]),
            0..24,
        )
    ) {
        run(symbols.concat().as_bytes());
    }

    /// Printing a tree and reading it again gives the same tree (the grammar has one meaning).
    #[test]
    fn a_printed_tree_is_read_back(printed in expression(4)) {
        let once = tree(&printed, Dialect::V2);
        prop_assert!(!once.contains("error"), "{} gives {}", printed, once);
        prop_assert_eq!(tree(&format!("({printed})"), Dialect::V2), once);
    }

    /// In both dialects, brackets around each clause leave no room for different readings.
    #[test]
    fn dialects_agree_where_brackets_say_it_all(printed in bracketed(3)) {
        prop_assert_eq!(tree(&printed, Dialect::V1), tree(&printed, Dialect::V2));
    }
}

fn leaf() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["foo", "\"foo bar\"", "fo*", "%foo%", "@n:[1 2]", "@g:{x | y}", "@t:foo"])
        .prop_map(str::to_owned)
}

fn expression(depth: u32) -> impl Strategy<Value = String> {
    leaf().prop_recursive(depth, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|list| list.join(" ")),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|list| format!("({})", list.join("|"))),
            inner.clone().prop_map(|one| format!("-({one})")),
            inner.prop_map(|one| format!("@u:({one})=>{{$weight: 3}}")),
        ]
    })
}

fn bracketed(depth: u32) -> impl Strategy<Value = String> {
    leaf().prop_map(|leaf| format!("({leaf})")).prop_recursive(depth, 24, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|list| format!("({})", list.join(" "))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|list| format!("({})", list.join("|"))),
            inner.clone().prop_map(|one| format!("(-{one})")),
            inner.prop_map(|one| format!("(~{one})")),
        ]
    })
}
