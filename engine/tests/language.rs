//! Queries of the language find what its definition says, on texts of a small vocabulary.
//!
//! The oracle looks at each document's words; it shares nothing with the engine but the stemmer.

mod support;

use engine::query::{Dialect, ResolveOptions};
use engine::schema::{FieldDefinition, FieldKind, TextOptions};
use engine::text::{Language, Stemmer};
use proptest::prelude::*;
use support::Shelf;

const WORDS: [&str; 12] =
    ["cat", "cats", "running", "runs", "runner", "jump", "jumping", "jumped", "blue", "blues", "green", "été"];

/// A clause, as it is meant.
#[derive(Debug, Clone)]
enum Clause {
    Word(&'static str),
    Phrase(Vec<&'static str>),
    Prefix(&'static str),
    Fuzzy(&'static str),
    Tag(&'static str),
    Number(i32, i32),
    And(Vec<Clause>),
    Or(Vec<Clause>),
    Not(Box<Clause>),
    Optional(Box<Clause>),
    /// In the field `t`, `s` (without stems), or in both.
    In(&'static str, Box<Clause>),
}

impl Clause {
    /// In dialect 2.
    fn text(&self) -> String {
        let joined = |clauses: &[Self], sign: &str| clauses.iter().map(Self::text).collect::<Vec<_>>().join(sign);
        match self {
            Self::Word(word) => (*word).to_owned(),
            Self::Phrase(words) => format!("\"{}\"", words.join(" ")),
            Self::Prefix(part) => format!("{part}*"),
            Self::Fuzzy(word) => format!("%{word}%"),
            Self::Tag(tag) => format!("@g:{{{tag}}}"),
            Self::Number(min, max) => format!("@n:[{min} ({max}]"),
            Self::And(clauses) => format!("({})", joined(clauses, " ")),
            Self::Or(clauses) => format!("({})", joined(clauses, "|")),
            Self::Not(clause) => format!("-({})", clause.text()),
            Self::Optional(clause) => format!("~({})", clause.text()),
            Self::In(fields, clause) => format!("@{fields}:({})", clause.text()),
        }
    }

    fn finds(&self, doc: &Doc, fields: [bool; 2], stems: bool) -> bool {
        let texts = || doc.texts.iter().zip(fields).filter(|(_, inside)| *inside).map(|(words, _)| words);
        match self {
            Self::Word(word) => doc.texts.iter().zip(fields).enumerate().any(|(field, (words, inside))| {
                inside && words.iter().any(|found| found == word || (stems && field == 0 && same_stem(word, found)))
            }),
            Self::Phrase(words) => texts().any(|text| text.windows(words.len()).any(|window| window == words)),
            Self::Prefix(part) => texts().flatten().any(|word| word.starts_with(part)),
            Self::Fuzzy(word) => texts().flatten().any(|found| near(word, found)),
            Self::Tag(tag) => doc.tags.contains(tag),
            Self::Number(min, max) => doc.number.is_some_and(|number| number >= *min && number < *max),
            Self::And(clauses) => clauses.iter().all(|clause| clause.finds(doc, fields, stems)),
            Self::Or(clauses) => clauses.iter().any(|clause| clause.finds(doc, fields, stems)),
            Self::Not(clause) => !clause.finds(doc, fields, false),
            Self::Optional(_) => true,
            Self::In(names, clause) => {
                let inside = [fields[0] && names.contains('t'), fields[1] && names.contains('s')];
                clause.finds(doc, inside, stems)
            }
        }
    }
}

/// Whether a document's word is found by another one in a field with stems.
fn same_stem(asked: &str, found: &str) -> bool {
    let stem = |word: &str| match word.len() >= 4 {
        true => Stemmer::of(Language::English).expect("it has stems").stem(word).into_owned(),
        false => word.to_owned(),
    };
    asked.len() >= 4 && stem(asked) == stem(found)
}

/// Whether two words differ by at most one insertion, deletion or replacement.
fn near(one: &str, other: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[same..], &b[same..]);
    let skip = |list: &[char]| list.get(1..).unwrap_or_default().to_vec();
    a == b || skip(a) == b || a == skip(b) || skip(a) == skip(b)
}

#[derive(Debug, Clone)]
struct Doc {
    texts: [Vec<&'static str>; 2],
    tags: Vec<&'static str>,
    number: Option<i32>,
}

fn word() -> impl Strategy<Value = &'static str> {
    prop::sample::select(WORDS.to_vec())
}

fn tag() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["red", "dark red", "x"])
}

fn doc() -> impl Strategy<Value = Doc> {
    let text = || prop::collection::vec(word(), 0..6);
    (text(), text(), prop::collection::vec(tag(), 0..3), prop::option::of(0..6)).prop_map(|(t, s, tags, number)| Doc {
        texts: [t, s],
        tags,
        number,
    })
}

fn clause() -> impl Strategy<Value = Clause> {
    let leaf = prop_oneof![
        4 => word().prop_map(Clause::Word),
        2 => prop::collection::vec(word(), 1..4).prop_map(Clause::Phrase),
        1 => prop::sample::select(vec!["ca", "run", "jum", "ét", "zz"]).prop_map(Clause::Prefix),
        1 => word().prop_map(Clause::Fuzzy),
        1 => tag().prop_map(Clause::Tag),
        1 => (0..6, 0..6).prop_map(|(min, max)| Clause::Number(min, max)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let several = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            several().prop_map(Clause::And),
            several().prop_map(Clause::Or),
            inner.clone().prop_map(|clause| Clause::Not(Box::new(clause))),
            inner.clone().prop_map(|clause| Clause::Optional(Box::new(clause))),
            (prop::sample::select(vec!["t", "s", "t|s"]), inner.clone())
                .prop_map(|(fields, clause)| Clause::In(fields, Box::new(clause))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn queries_find_what_they_say(
        docs in prop::collection::vec(doc(), 1..70),
        clauses in prop::collection::vec(clause(), 1..12),
        sealed: bool,
    ) {
        let unstemmed = FieldKind::Text(TextOptions { stem: false, ..Default::default() });
        let shelf = Shelf::new(vec![
            FieldDefinition::text("t"),
            FieldDefinition::new("s", unstemmed),
            FieldDefinition::tag("g"),
            FieldDefinition::numeric("n"),
        ]);
        for (number, doc) in docs.iter().enumerate() {
            let [t, s] = [0, 1].map(|field: usize| doc.texts[field].join(" the "));
            let tags = doc.tags.join(",");
            let number_text = doc.number.map(|number| number.to_string());
            let mut values = vec![("t", t.as_str()), ("s", s.as_str()), ("g", tags.as_str())];
            values.extend(number_text.as_deref().map(|number| ("n", number)));
            shelf.put(&format!("{number:03}"), &values).unwrap();
        }
        if sealed {
            shelf.index.compact();
        }
        for clause in &clauses {
            let expected: Vec<_> = docs
                .iter()
                .enumerate()
                .filter(|(_, doc)| clause.finds(doc, [true, true], true))
                .map(|(number, _)| format!("{number:03}"))
                .collect();
            prop_assert_eq!(shelf.found(&clause.text()), expected, "{}", clause.text());
        }
        let verbatim = ResolveOptions { dialect: Dialect::V2, verbatim: true, ..Default::default() };
        let first = &clauses[0];
        let expected = docs.iter().filter(|doc| first.finds(doc, [true, true], false)).count();
        prop_assert_eq!(shelf.found_with(&first.text(), &verbatim).len(), expected, "{} verbatim", first.text());
    }
}
