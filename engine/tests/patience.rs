//! Nothing that is long keeps others waiting: every run asks often whether to stop, and a large document
//! that is being inserted keeps no query out.

use engine::collect::{search, Request};
use engine::columns::numeric::NumericRange;
use engine::cursor::budget::{Budget, Stop};
use engine::cursor::plan::{Node, NodeKind};
use engine::dict::pattern::Pattern;
use engine::dict::Space;
use engine::index::document::{DocumentBuilder, Keep};
use engine::index::{Change, Index, Limits};
use engine::schema::{FieldId, FieldMask};
use engine::score::Scorer;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Far above what is aimed at (5 ms), for slow builds on busy machines.
const PATIENCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 3_000 } else { 300 });

/// How much smaller everything is in a slow build.
const LESS: u32 = if cfg!(debug_assertions) { 6 } else { 1 };

fn word(number: u64) -> String {
    let mut rest = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let mut word = String::new();
    for _ in 0..7 {
        word.push(char::from(b'a' + (rest % 9) as u8));
        rest /= 9;
    }
    word
}

fn library(sealed: bool) -> Index {
    let index = Index::new(Limits { live_documents: (8_000 / LESS) as usize, ..Limits::default() });
    let mut number = 0u64;
    for doc in 0..30_000 / LESS {
        let mut builder = DocumentBuilder::new(format!("d{doc}").as_bytes(), Keep::ALL);
        for at in 0..10 {
            number += 1;
            let rank = (number.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f64 / (1u64 << 24) as f64;
            builder.word(0, word((60_000f64.powf(rank)) as u64).as_bytes(), at, 1);
        }
        builder.number(FieldId(1), f64::from(doc) * 10.0);
        index.apply_now(Change::Upsert(Box::new(builder.finish()))).expect("in order");
    }
    if sealed {
        index.freeze_live();
        while index.maintain(&|| false) {}
    }
    index
}

fn queries() -> Vec<(&'static str, Node)> {
    let expand =
        |pattern, limit| Node::new(NodeKind::Expand { space: Space::Text, pattern, fields: FieldMask::MAX, limit });
    let words = |from: u64, to: u64| (from..to).map(|number| Node::term(word(number).as_bytes())).collect::<Vec<_>>();
    vec![
        ("a thousand words", Node::any_of(words(1, 1000))),
        ("three mistakes", expand(Pattern::fuzzy(word(77).as_bytes(), 3), 200)),
        ("three mistakes in any", expand(Pattern::fuzzy(word(77).as_bytes(), 3), 10_000)),
        ("any word", expand(Pattern::wildcard(b"*"), 10_000)),
        ("rare infix", expand(Pattern::infix(b"zzz"), 200)),
        ("slow wildcard", expand(Pattern::wildcard(b"*a*b*c*d*e*f*g*h*i*"), 200)),
        ("prefix", expand(Pattern::prefix(b"a"), 200)),
        ("a thousand of all", Node::all_of(vec![Node::any_of(words(1, 500)), Node::any_of(words(500, 1000))])),
        ("a thousand not", Node::not(Node::any_of(words(1, 1000)))),
        ("keys", Node::keys((0..100_000).map(|number| format!("d{number}")))),
    ]
}

/// Runs a query whose budget stops it at the `last` question. Returns the longest time between two
/// questions and the time from the last one to the end.
fn run(index: &Index, query: &Node, scorer: Scorer, last: u32) -> (Duration, Duration, bool) {
    let (asked, previous, longest) = (Cell::new(0), Cell::new(Instant::now()), Cell::new(Duration::ZERO));
    let ask = || {
        asked.set(asked.get() + 1);
        longest.set(longest.get().max(previous.get().elapsed()));
        previous.set(Instant::now());
        (asked.get() >= last).then_some(Stop::Deadline)
    };
    let budget = Budget::new(&ask);
    let found = search(&index.latest(), &Request::best(query, scorer, 10), &budget);
    (longest.get(), previous.get().elapsed(), found.stopped.is_some())
}

#[test]
fn every_run_asks_often_whether_to_stop() {
    for sealed in [true, false] {
        let index = library(sealed);
        for (name, query) in queries() {
            for scorer in [Scorer::Bm25Std, Scorer::Tfidf] {
                for last in [u32::MAX, 1, 7] {
                    let started = Instant::now();
                    let (longest, end, stopped) = run(&index, &query, scorer, last);
                    println!(
                        "{name}, {}, sealed {sealed}, stop at {last}: {:?}, longest {longest:?}, end {end:?}",
                        scorer.name(),
                        started.elapsed()
                    );
                    assert!(longest < PATIENCE && end < PATIENCE, "{name}, sealed {sealed}, stop at {last}");
                    assert!(stopped || last > 1);
                }
            }
        }
    }
}

#[test]
fn many_clauses_are_prepared_in_little_time() {
    let index = library(true);
    let range = |number: u32| NodeKind::Range(FieldId(1), NumericRange::inclusive(f64::from(number), 1e9));
    let ranges: Vec<Node> = (0..30_000).map(|number| Node::new(range(number))).collect();
    for query in [Node::all_of(ranges.clone()), Node::any_of(ranges)] {
        for last in [1, 7] {
            let (longest, end, stopped) = run(&index, &query, Scorer::Tfidf, last);
            println!("stop at {last}: longest {longest:?}, end {end:?}");
            assert!(stopped && longest < PATIENCE && end < PATIENCE, "stop at {last}");
        }
    }
}

#[test]
fn a_large_document_keeps_no_query_waiting() {
    let index = Index::default();
    let small = |key: &str| {
        let mut builder = DocumentBuilder::new(key.as_bytes(), Keep::ALL);
        builder.word(0, b"word", 0, 1);
        Change::Upsert(Box::new(builder.finish()))
    };
    index.apply_now(small("small")).expect("in order");
    let mut builder = DocumentBuilder::new(b"large", Keep::ALL);
    for at in 0..1_500_000 / LESS {
        builder.word(0, word(u64::from(at) / 5).as_bytes(), at, 1);
    }
    let started = Instant::now();
    let large = Change::Upsert(Box::new(builder.finish()));
    println!("finished in {:?}", started.elapsed());
    let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            begun.store(true, Ordering::Release);
            let started = Instant::now();
            index.apply_now(large).expect("in order");
            println!("inserted in {:?}", started.elapsed());
            done.store(true, Ordering::Release);
        });
        while !begun.load(Ordering::Acquire) {
            std::thread::yield_now();
        }
        let (mut longest, mut runs) = (Duration::ZERO, 0);
        while !done.load(Ordering::Acquire) {
            let started = Instant::now();
            let query = Node::any_of(vec![Node::term(b"word"), Node::term(word(5).as_bytes())]);
            let found = search(&index.latest(), &Request::best(&query, Scorer::Tfidf, 10), &Budget::unlimited());
            assert!(found.total == 1 || done.load(Ordering::Acquire) || found.total == 2);
            longest = longest.max(started.elapsed());
            runs += 1;
        }
        println!("{runs} queries, longest {longest:?}");
        assert!(runs > 0 && longest < PATIENCE, "{longest:?}");
    });
}
