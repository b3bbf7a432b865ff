//! What does a query cost, and saving and reading an index, without a server around them?
//!
//! Corpus: deterministic comment-like documents of 10 to 50 words out of 50,000 with Zipfian
//! frequencies, plus marked words, with the shares that `benches/corpus.py` has: `heavy` in a fifth of the documents,
//! `heavier` in 18 %, both in 6 %, side by side in 2 %, `light` in 500 of a million. A number, a tag out of 24 and a point
//! each, 2.5 % of them in one place. All in sealed segments of the sizes that merging leaves.
//!
//! Run: `cargo bench -p engine --bench query`; `ENGINE_BENCH_DOCS=1000000` for the size of the issue's
//! table (100,000 otherwise).

#![allow(missing_docs)] // criterion_group makes a public function

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use engine::collect::sort::SortBy;
use engine::collect::{search, Order, Request};
use engine::columns::geo::Circle;
use engine::columns::numeric::NumericRange;
use engine::cursor::budget::Budget;
use engine::cursor::plan::{Node, NodeKind};
use engine::dict::pattern::Pattern;
use engine::dict::suffix::Suffixed;
use engine::dict::Space;
use engine::index::document::{DocumentBuilder, Keep};
use engine::index::{Change, Index, Limits};
use engine::schema::{FieldId, FieldMask};
use engine::score::Scorer;
use std::hint::black_box;
use std::time::{Duration, Instant};

const NUMBER: FieldId = FieldId(1);
const TAG: FieldId = FieldId(2);
const GEO: FieldId = FieldId(3);
const SORT: FieldId = FieldId(4);

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % end
    }

    /// A word's rank by a Zipfian law: uniform in the logarithm.
    fn word(&mut self) -> String {
        let uniform = self.below(1 << 40) as f64 / (1u64 << 40) as f64;
        let rank = (50_000f64.powf(uniform)) as u64;
        let mut word = String::from("w");
        let mut rest = rank.wrapping_mul(2_654_435_761) % 100_003;
        while rest > 0 {
            word.push(char::from(b'a' + (rest % 26) as u8));
            rest /= 26;
        }
        word
    }
}

fn document(dice: &mut Dice, number: u64) -> engine::index::document::Document {
    let mut builder = DocumentBuilder::new(format!("doc:{number}").as_bytes(), Keep::ALL);
    let len = 10 + dice.below(41) as u32;
    for at in 0..len {
        builder.word(0, dice.word().as_bytes(), at, 1);
    }
    let (part, at) = (dice.below(1000), dice.below(u64::from(len)) as u32);
    if part < 200 {
        builder.word(0, b"heavy", at, 1);
    }
    if part < 20 {
        builder.word(0, b"heavier", at + 1, 1);
    } else if part < 60 || (200..320).contains(&part) {
        builder.word(0, b"heavier", dice.below(u64::from(len)) as u32, 1);
    }
    if dice.below(2000) == 0 {
        builder.word(0, b"light", len, 1);
    }
    builder.number(NUMBER, dice.below(1_000_000) as f64);
    builder.tag(TAG, format!("tag{}", dice.below(24)).as_bytes());
    let (longitude, latitude) = match dice.below(40) {
        0 => (10.0, 40.0),
        _ => (dice.below(3600) as f64 / 10.0 - 180.0, dice.below(1600) as f64 / 10.0 - 80.0),
    };
    builder.point(GEO, longitude, latitude);
    builder.sort_text(SORT, format!("title {}", dice.below(100_000)).as_bytes());
    builder.finish()
}

fn corpus() -> Index {
    let count: u64 = std::env::var("ENGINE_BENCH_DOCS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    let index = Index::new(Limits::default());
    let mut dice = Dice(42);
    let start = Instant::now();
    let (mut analysed, mut applied) = (0.0, 0.0);
    for number in 0..count {
        let begun = Instant::now();
        let document = document(&mut dice, number);
        let ready = Instant::now();
        index.apply_now(Change::Upsert(Box::new(document))).expect("in order");
        analysed += (ready - begun).as_secs_f64();
        applied += ready.elapsed().as_secs_f64();
        while index.maintain(&|| false) {}
    }
    index.freeze_live();
    while index.maintain(&|| false) {}
    let figures = index.figures();
    eprintln!(
        "{count} documents in {:.1} s: made {:.1} s, inserted {:.1} s, the rest sealing and merging; {} segments, {} bytes a document: {:?}",
        start.elapsed().as_secs_f64(),
        analysed,
        applied,
        figures.segments,
        figures.memory.total() / count as usize,
        figures.memory,
    );
    index
}

fn queries(bench: &mut Criterion) {
    let index = corpus();
    let snapshot = index.latest();
    let mut group = bench.benchmark_group("query");
    group.sample_size(10).warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_millis(700));
    let term = |word: &str| Node::term(word.as_bytes());
    let expand =
        |pattern| Node::new(NodeKind::Expand { space: Space::Text, pattern, fields: FieldMask::MAX, limit: 200 });
    let cases: Vec<(&str, Node)> = vec![
        ("heavy", term("heavy")),
        ("and", Node::all_of(vec![term("heavy"), term("heavier")])),
        ("or", Node::any_of(vec![term("heavy"), term("heavier")])),
        ("not", Node::all_of(vec![term("heavy"), Node::not(term("heavier"))])),
        ("rare and heavy", Node::all_of(vec![term("light"), term("heavy")])),
        ("phrase", Node::phrase(&[b"heavy", b"heavier"])),
        ("prefix", expand(Pattern::prefix(b"waq"))),
        ("infix", expand(Pattern::infix(b"aqz"))),
        ("suffix", expand(Pattern::suffix(b"qz"))),
        ("fuzzy", expand(Pattern::fuzzy(b"heavi", 1))),
        ("fuzzy 2", expand(Pattern::fuzzy(b"waqzt", 2))),
        ("range", Node::new(NodeKind::Range(NUMBER, NumericRange::inclusive(100_000.0, 200_000.0)))),
        ("tag", Node::new(NodeKind::Tag { field: TAG, value: b"tag7"[..].into() })),
        ("circle", Node::new(NodeKind::Circle(GEO, Circle::new(10.0, 40.0, 50_000.0)))),
        ("light", term("light")),
        ("all", Node::new(NodeKind::All)),
    ];
    for scorer in [Scorer::Bm25Std, Scorer::Tfidf] {
        for (name, node) in &cases {
            let request = Request::best(node, scorer, 10);
            let total = search(&snapshot, &request, &Budget::unlimited()).total;
            group.bench_function(format!("{} {name} ({total})", scorer.name()), |bench| {
                bench.iter(|| black_box(search(&snapshot, &request, &Budget::unlimited())));
            });
        }
    }
    for (name, field, numeric) in [("number", NUMBER, true), ("text", SORT, false)] {
        let sort = SortBy { field, numeric, descending: false };
        let node = term("heavy");
        let request = Request { order: Order::By(sort), scores: false, ..Request::best(&node, Scorer::Bm25Std, 10) };
        group.bench_function(format!("heavy sorted by {name}"), |bench| {
            bench.iter(|| black_box(search(&snapshot, &request, &Budget::unlimited())));
        });
    }
    index.keep_suffixes(Suffixed { text: FieldMask::MAX, tags: vec![TAG] });
    index.compact();
    let snapshot = index.latest();
    for (name, pattern) in [("infix", Pattern::infix(b"aqz")), ("suffix", Pattern::suffix(b"qz"))] {
        let query = expand(pattern);
        let request = Request::best(&query, Scorer::Bm25Std, 10);
        group.bench_function(format!("{name} with suffixes"), |bench| {
            bench.iter(|| black_box(search(&snapshot, &request, &Budget::unlimited())));
        });
    }
    group.finish();
    images(bench, &index);
}

/// Saving to memory and reading back.
fn images(bench: &mut Criterion, index: &Index) {
    let image = index.image(Duration::from_secs(1)).expect("nobody writes");
    let save = || {
        let mut bytes = Vec::new();
        image.write([], &mut bytes).expect("memory takes everything");
        bytes
    };
    let bytes = save();
    eprintln!("image: {} bytes, {} a document", bytes.len(), bytes.len() as u64 / index.figures().documents);
    let mut group = bench.benchmark_group("image");
    group.sample_size(10).throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("write", |bench| bench.iter(|| black_box(save())));
    group.bench_function("read", |bench| {
        bench.iter(|| black_box(Index::read(&mut bytes.as_slice(), Limits::default()).expect("what was written")));
    });
    group.finish();
}

criterion_group!(benches, queries);
criterion_main!(benches);
