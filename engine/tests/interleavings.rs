//! Snapshots under every interleaving of a writer, a reader, and sealing or merging.
//!
//! The scheduler runs each scene again and again, each time with other switches between its threads, at every lock and
//! atomic of the index, and with every value that an atomic may show. Two switches where none is needed are what it
//! tries at most: that finds nearly all, and ends. `cargo test -p engine --features loom --test interleavings`

use engine::collect::{search, Request};
use engine::cursor::budget::Budget;
use engine::cursor::plan::Node;
use engine::index::document::{DocumentBuilder, Keep};
use engine::index::{Change, Index, Limits, Snapshot};
use engine::score::Scorer;
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

/// Plays a scene with all interleavings, or as many as there is time for.
fn play(scene: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.max_branches = 100_000;
    model.max_duration = Some(Duration::from_secs(60));
    model.check(scene);
}

/// An index that freezes its live segment at two documents and merges two segments.
fn index() -> Arc<Index> {
    Arc::new(Index::new(Limits { live_documents: 2, fan_out: 2, ..Limits::default() }))
}

fn put(index: &Index, key: &str, word: &str) {
    let mut builder = DocumentBuilder::new(key.as_bytes(), Keep::ALL);
    builder.word(0, word.as_bytes(), 0, 1);
    change(index, Change::Upsert(Box::new(builder.finish())));
}

fn delete(index: &Index, key: &str) {
    change(index, Change::Delete(key.as_bytes().into()));
}

fn change(index: &Index, change: Change) {
    let seq = index.assign();
    index.apply(seq, change).expect("one writer");
}

fn seal_all(index: &Index) {
    while index.maintain(&|| false) {}
}

/// Checks that a snapshot has exactly these documents: keys and words, in order of the keys.
fn check(snapshot: &Snapshot, expected: &[(&str, &str)]) {
    for word in ["old", "new"] {
        let found =
            search(snapshot, &Request::best(&Node::term(word.as_bytes()), Scorer::Tfidf, 10), &Budget::unlimited());
        let mut keys: Vec<_> = found.hits.iter().map(|hit| snapshot.key(hit.segment, hit.doc)).collect();
        keys.sort();
        let with_word = expected.iter().filter(|(_, its)| *its == word).map(|(key, _)| key.as_bytes().to_vec());
        assert_eq!(keys, with_word.collect::<Vec<_>>(), "{word} at {}", snapshot.seq());
        assert_eq!(found.total, keys.len() as u64);
    }
    for key in ["a", "b", "c"] {
        let is_expected = expected.iter().any(|(its, _)| *its == key);
        assert_eq!(snapshot.find(key.as_bytes()).is_some(), is_expected, "{key} at {}", snapshot.seq());
    }
}

/// Takes a snapshot, if what it waits for is there, and checks it; `at` says what is there at each number.
fn look(index: &Index, at: impl Fn(u64) -> &'static [(&'static str, &'static str)]) -> Option<Snapshot> {
    let arrival = index.arrive();
    let snapshot = index.snapshot(&arrival)?;
    assert_eq!(snapshot.seq(), arrival.seq());
    check(&snapshot, at(snapshot.seq()));
    Some(snapshot)
}

#[test]
fn an_update_while_its_segment_is_sealed() {
    play(|| {
        let at = |seq| -> &'static [_] {
            match seq {
                2 => &[("a", "old"), ("b", "old")],
                _ => &[("a", "new"), ("b", "old")],
            }
        };
        let index = index();
        put(&index, "a", "old");
        put(&index, "b", "old");
        let writer = thread::spawn({
            let index = Arc::clone(&index);
            move || put(&index, "a", "new")
        });
        let sealer = thread::spawn({
            let index = Arc::clone(&index);
            move || index.maintain(&|| false)
        });
        let snapshot = look(&index, at);
        writer.join().expect("no panic");
        sealer.join().expect("no panic");
        // What a snapshot shows does not change.
        if let Some(snapshot) = snapshot {
            check(&snapshot, at(snapshot.seq()));
        }
        check(&index.latest(), at(3));
    });
}

#[test]
fn a_deletion_while_segments_are_merged() {
    play(|| {
        let at = |seq| -> &'static [_] {
            match seq {
                4 => &[("a", "old"), ("b", "new"), ("c", "old")],
                _ => &[("a", "old"), ("b", "new")],
            }
        };
        let index = index();
        for (key, word) in [("a", "old"), ("b", "old"), ("c", "old"), ("b", "new")] {
            put(&index, key, word);
        }
        // Both are sealed; the merging that is left takes the dead version away.
        index.maintain(&|| false);
        index.maintain(&|| false);
        let writer = thread::spawn({
            let index = Arc::clone(&index);
            move || delete(&index, "c")
        });
        let merger = thread::spawn({
            let index = Arc::clone(&index);
            move || seal_all(&index)
        });
        let snapshot = look(&index, at);
        writer.join().expect("no panic");
        merger.join().expect("no panic");
        if let Some(snapshot) = snapshot {
            check(&snapshot, at(snapshot.seq()));
        }
        check(&index.latest(), at(5));
    });
}

#[test]
fn a_query_that_has_arrived_keeps_what_it_will_see() {
    play(|| {
        let index = index();
        put(&index, "a", "old");
        put(&index, "b", "old");
        let worker = thread::spawn({
            let index = Arc::clone(&index);
            move || {
                delete(&index, "a");
                seal_all(&index);
            }
        });
        let arrival = index.arrive();
        thread::yield_now();
        let snapshot = index.snapshot(&arrival);
        if let Some(snapshot) = &snapshot {
            check(snapshot, if snapshot.seq() == 2 { &[("a", "old"), ("b", "old")] } else { &[("b", "old")] });
        }
        worker.join().expect("no panic");
        if let Some(snapshot) = &snapshot {
            check(snapshot, if snapshot.seq() == 2 { &[("a", "old"), ("b", "old")] } else { &[("b", "old")] });
        }
        drop((arrival, snapshot));
        seal_all(&index);
        check(&index.latest(), &[("b", "old")]);
    });
}
