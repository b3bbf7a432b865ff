//! A document whose texts were read in parts is the one that is read at once.

use engine::index::document::Document;
use engine::ingest::Reader;
use engine::schema::{FieldDefinition, FieldKind, IndexOptions, PhoneticLanguage, Schema, TextOptions};
use engine::text::{AnalysisLimits, Language, Synonyms};
use proptest::prelude::*;
use std::time::Instant;

type Values<'a> = [(&'a str, &'a [u8])];

fn get<'v>(values: &Values<'v>, name: &[u8]) -> Option<&'v [u8]> {
    values.iter().find(|(field, _)| field.as_bytes() == name).map(|(_, value)| *value)
}

fn at_once(reader: &Reader<'_>, values: &Values<'_>) -> Document {
    reader.document(b"key", |name| get(values, name)).expect("good values")
}

fn in_parts(reader: &Reader<'_>, size: usize, values: &Values<'_>) -> Document {
    let value = |name: &[u8]| get(values, name);
    let parts = reader.parts(size, value);
    // Threads may end in any order.
    let mut pieces: Vec<_> = parts.iter().enumerate().rev().map(|(at, part)| (at, reader.piece(part, value))).collect();
    pieces.sort_by_key(|(at, _)| *at);
    let pieces = pieces.into_iter().map(|(_, piece)| piece).collect();
    reader.document_from(b"key", value, pieces).expect("good values")
}

fn schema() -> Schema {
    let text = |options| FieldKind::Text(options);
    let sounding = TextOptions { phonetic: Some(PhoneticLanguage::English), stem: false, ..Default::default() };
    let fields = vec![
        FieldDefinition::text("a"),
        FieldDefinition::new("b", text(TextOptions { weight: 2.5, ..Default::default() })),
        FieldDefinition::new("c", text(sounding)),
        FieldDefinition::tag("g"),
        FieldDefinition::numeric("n"),
    ];
    Schema::with_fields(fields, false).expect("fields that fit")
}

fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "running",
        "runs",
        "the",
        "cats",
        "été",
        "a\\,b",
        "\\",
        "\\ ",
        ",",
        " ",
        " ",
        "…",
        "\u{3002}",
        "中文",
        "x",
        "synonym",
        "verylongwordthatisnotcut",
    ]);
    let broken = any::<u8>().prop_map(|byte| vec![byte]);
    let piece = prop_oneof![9 => word.prop_map(|word| word.as_bytes().to_vec()), 1 => broken];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn parts_are_the_whole(
        (a, b, c) in (words(), words(), words()),
        size in 1usize..60,
        (offsets, freqs, masks) in any::<(bool, bool, bool)>(),
        german: bool,
    ) {
        let schema = schema();
        let options = IndexOptions {
            store_positions: offsets,
            store_frequencies: freqs,
            store_field_masks: masks,
            language_field: Some(b"l".to_vec()),
            ..Default::default()
        };
        let mut synonyms = Synonyms::default();
        synonyms.update(b"group", [b"synonym".as_slice(), b"x"]);
        let reader =
            Reader { schema: &schema, options: &options, synonyms: &synonyms, limits: AnalysisLimits::default() };
        let language = if german { Language::German } else { Language::English };
        let values =
            [("a", &*a), ("b", &*b), ("c", &*c), ("g", b"tag,other"), ("n", b"5"), ("l", language.name().as_bytes())];
        let (whole, parts) = (at_once(&reader, &values), in_parts(&reader, size, &values));
        prop_assert_eq!(format!("{whole:?}"), format!("{parts:?}"));
    }
}

#[test]
fn a_text_without_a_place_to_cut_is_one_part_and_a_short_one_none() {
    let (schema, options, synonyms) = (schema(), IndexOptions::default(), Synonyms::default());
    let reader = Reader { schema: &schema, options: &options, synonyms: &synonyms, limits: AnalysisLimits::default() };
    let (long, text) = (vec![b'x'; 1000], b"one two three four".repeat(20));
    let count = |size, values: &Values<'_>| reader.parts(size, |name| get(values, name)).len();
    assert_eq!(count(100, &[("a", &long)]), 1);
    assert_eq!(count(100, &[("a", &text), ("n", &text)]), 4);
    assert_eq!(count(181, &[("a", &text)]), 0);
    assert_eq!(count(0, &[("a", b"a b")]), 2);
}

/// Prints what reading takes; in a release build that tells how much of it is the merging.
#[test]
fn ten_megabytes_in_parts() {
    let (schema, options, synonyms) = (schema(), IndexOptions::default(), Synonyms::default());
    let reader = Reader { schema: &schema, options: &options, synonyms: &synonyms, limits: AnalysisLimits::default() };
    let megabytes = if cfg!(debug_assertions) { 1 } else { 10 };
    let (mut text, mut number) = (Vec::new(), 0u64);
    while text.len() < megabytes << 20 {
        number += 1;
        let rank = (number.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f64 / (1u64 << 24) as f64;
        text.extend_from_slice(format!("word{} ", 100_000f64.powf(rank) as u64).as_bytes());
    }
    let values = [("a", &*text)];
    let value = |name: &[u8]| get(&values, name);
    let begun = Instant::now();
    let whole = at_once(&reader, &values);
    println!("at once: {:?}", begun.elapsed());
    let parts = reader.parts(engine::limits::PART_BYTES, value);
    let begun = Instant::now();
    let pieces: Vec<_> = parts.iter().map(|part| reader.piece(part, value)).collect();
    println!("{} parts: {:?} each", parts.len(), begun.elapsed() / parts.len() as u32);
    let begun = Instant::now();
    let merged = reader.document_from(b"key", value, pieces).expect("good values");
    println!("merged: {:?}", begun.elapsed());
    assert!(parts.len() >= megabytes * 7);
    assert_eq!(format!("{whole:?}"), format!("{merged:?}"));
}
