//! Readers see whole states while a writer writes and a third thread seals and merges.

use engine::collect::{search, Request};
use engine::cursor::budget::Budget;
use engine::cursor::plan::Node;
use engine::index::document::{DocumentBuilder, Keep};
use engine::index::{Change, Index, Limits};
use engine::score::Scorer;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PAIRS: u32 = 200;
const FLIPS: u32 = 4_000;

fn document(key: &str, word: &str) -> Change {
    let mut builder = DocumentBuilder::new(key.as_bytes(), Keep::ALL);
    builder.word(0, word.as_bytes(), 0, 1).word(0, b"both", 1, 1);
    Change::Upsert(Box::new(builder.finish()))
}

/// Each pair is one `left` and one `right`; a flip exchanges them in two changes with neighbouring
/// numbers, of which queries only ever see both: they take even numbers.
#[test]
fn no_reader_sees_half_a_flip() {
    let index = Index::new(Limits { live_documents: 100, fan_out: 2, ..Limits::default() });
    let mut seq = 0;
    let mut put = |key: String, word: &str| {
        seq += 1;
        index.apply(seq, document(&key, word)).expect("in order");
    };
    for pair in 0..PAIRS {
        put(format!("{pair}:a"), "left");
        put(format!("{pair}:b"), "right");
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seed = 7u32;
            let mut flipped = vec![false; PAIRS as usize];
            for flip in 0..FLIPS {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let pair = (seed >> 8) % PAIRS;
                let state = &mut flipped[pair as usize];
                *state = !*state;
                let words = if *state { ["right", "left"] } else { ["left", "right"] };
                let first = u64::from(PAIRS * 2 + flip * 2 + 1);
                index.apply(first, document(&format!("{pair}:a"), words[0])).expect("in order");
                index.apply(first + 1, document(&format!("{pair}:b"), words[1])).expect("in order");
            }
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                if !index.maintain(&|| false) {
                    std::thread::yield_now();
                }
            }
        });
        for reader in 0..2 {
            let (index, done) = (&index, &done);
            scope.spawn(move || {
                let term = |word: &str| Node::term(word.as_bytes());
                let mut rounds = 0;
                while !done.load(Ordering::Acquire) || rounds == 0 {
                    let arrival = index.arrive();
                    if arrival.seq() % 2 == 1 {
                        // Between the two changes of a flip: the server would not let a query in here.
                        continue;
                    }
                    assert!(index.wait_applied(arrival.seq(), Instant::now() + Duration::from_secs(30)));
                    let snapshot = index.snapshot(&arrival).expect("applied");
                    let count = if reader == 0 { 0 } else { 10 };
                    for (query, expected) in [
                        (term("left"), PAIRS),
                        (term("right"), PAIRS),
                        (term("both"), 2 * PAIRS),
                        (Node::any_of(vec![term("left"), term("right")]), 2 * PAIRS),
                        (Node::all_of(vec![term("both"), Node::not(term("left"))]), PAIRS),
                        (Node::all_of(vec![term("left"), term("right")]), 0),
                    ] {
                        for walk_below in [0, u64::MAX] {
                            let best = Request::best(&query, Scorer::Bm25Std, count);
                            let request = Request { walk_below, ..best };
                            let found = search(&snapshot, &request, &Budget::unlimited());
                            assert_eq!(found.total, u64::from(expected), "{query:?} at {}", snapshot.seq());
                            assert_eq!(found.hits.len() as u64, found.total.min(count as u64));
                        }
                    }
                    rounds += 1;
                }
            });
        }
    });
    while index.maintain(&|| false) {}
    assert_eq!(index.figures().documents, u64::from(2 * PAIRS));
    index.compact();
    assert_eq!(index.figures().versions, u64::from(2 * PAIRS), "merging drops what is dead");
}
