//! How fast does text become terms, and a query a tree?
//!
//! Corpus: one megabyte of comment-like text, words drawn from a vocabulary of 20,000 by Zipf's law
//! (seeded, so every run reads the same). Reported: the best of five rounds.
//! Run: `cargo bench -p engine --bench text`.

use engine::query::{parse, resolve, Dialect, Params, ResolveOptions};
use engine::schema::{FieldDefinition, Schema, TextOptions};
use engine::text::{Analyser, AnalysisLimits, Language, StopWords, Synonyms};
use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    let (stop_words, synonyms) = (StopWords::default(), Synonyms::default());
    let analyser = Analyser::new(Language::English, &stop_words, &synonyms, AnalysisLimits::default());
    let text = corpus(1 << 20, false);
    let accented = corpus(1 << 20, true);
    let stemmed = TextOptions::default();
    let plain = TextOptions { stem: false, ..TextOptions::default() };
    for (name, text, options) in
        [("ascii", &text, &plain), ("ascii, stems", &text, &stemmed), ("accents, stems", &accented, &stemmed)]
    {
        let mut words = 0;
        let time = best(|| {
            words = 0;
            let mut tokens = analyser.tokens(text, options, 0);
            while let Some(token) = tokens.next_token() {
                words += 1;
                black_box(token.text);
            }
        });
        let rate = text.len() as f64 / time.as_secs_f64() / 1e6;
        println!("analyse {name}: {rate:.0} MB/s, {:.0} ns a term", time.as_nanos() as f64 / f64::from(words));
    }
    let schema = Schema::with_fields(vec![FieldDefinition::text("t"), FieldDefinition::numeric("n")], false)
        .expect("the fields do not contradict one another");
    let options = ResolveOptions { dialect: Dialect::V2, ..Default::default() };
    let union = (0..1000).map(|word| format!("word{word}")).collect::<Vec<_>>().join("|");
    for (name, query) in [
        ("one word", "running"),
        ("a usual one", "@t:(fast cars|trucks) -\"second hand\" @n:[10 (20]"),
        ("a thousand words", &union),
    ] {
        let time = best(|| {
            let ast = parse(query.as_bytes(), Dialect::V2, &Params::default()).expect("the query is well-formed");
            let _ = black_box(resolve(&ast, &schema, &analyser, &options));
        });
        println!("parse and resolve {name}: {:.1} us", time.as_nanos() as f64 / 1e3);
    }
}

/// The shortest of a few rounds.
fn best(mut work: impl FnMut()) -> Duration {
    let rounds = (0..5).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed()
    });
    rounds.min().unwrap_or_default()
}

/// Text of about `bytes` bytes.
fn corpus(bytes: usize, accents: bool) -> Vec<u8> {
    let mut seed = 42_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as f64 / (1_u64 << 31) as f64
    };
    let endings = ["ing", "ed", "s", "ation", "ly", "", "", "er"];
    let mut text = String::with_capacity(bytes + 32);
    while text.len() < bytes {
        // Zipf with exponent 1: the logarithm of the rank is uniform.
        let rank = 20_000_f64.powf(random()) as usize;
        let mut rest = rank * 7919 + 13;
        for _ in 0..2 + rank % 3 {
            text.push(char::from(b"bcdfghklmnprstvw"[rest % 16]));
            let vowel = ["a", "e", "i", "o"][rest / 16 % 4];
            text.push_str(if accents && vowel == "e" { "é" } else { vowel });
            rest /= 37;
        }
        text.push_str(endings[rank % endings.len()]);
        text.push_str(if random() < 0.1 { ", " } else { " " });
    }
    text.into_bytes()
}
