//! What is saved is what is read, and damaged bytes are an error.

mod model;

use engine::collect::{search, Request};
use engine::cursor::budget::Budget;
use engine::cursor::plan::{Node, NodeKind};
use engine::dict::pattern::Pattern;
use engine::dict::suffix::Suffixed;
use engine::dict::Space;
use engine::index::document::{DocumentBuilder, Keep};
use engine::index::{Change, Image, Index, Limits, Restored};
use engine::schema::FieldMask;
use engine::score::Scorer;
use model::{Dice, Model, Stats, NUMBER, TAG};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LIMITS: Limits = Limits { live_documents: 200, live_bytes: 64 << 20, fan_out: 3, segment_documents: 8 << 20 };

/// Upserts and deletes drawn from a seed.
fn change(index: &Index, model: &mut Model, dice: &mut Dice, count: u64) {
    for _ in 0..count {
        let key = format!("doc:{}", dice.below(500));
        if dice.below(5) == 0 {
            model.delete(index, &key);
        } else {
            model.upsert(index, &key, dice.doc());
        }
        if dice.below(40) == 0 {
            index.maintain(&|| false);
        }
    }
}

fn bytes(image: &Image) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write([&b"later"[..]], &mut bytes).expect("memory takes everything");
    bytes
}

fn read(bytes: &[u8]) -> Restored {
    Index::read(&mut &bytes[..], LIMITS).expect("what was written")
}

/// Whether some queries give what looking at each document gives.
fn check(index: &Index, model: &Model, dice: &mut Dice) {
    let snapshot = index.latest();
    assert_eq!(snapshot.documents(), model.docs.len() as u64);
    let word = |dice: &mut Dice| Node::term(dice.word().as_bytes());
    for _ in 0..4 {
        let range = engine::columns::numeric::NumericRange::inclusive(2.0, 6.0);
        let query = match dice.below(6) {
            5 => Node::new(NodeKind::Expand {
                space: Space::Text,
                pattern: Pattern::infix(dice.word().as_bytes()),
                fields: FieldMask::MAX,
                limit: 200,
            }),
            0 => Node::new(NodeKind::All),
            1 => Node::any_of(vec![word(dice), word(dice)]),
            2 => Node::all_of(vec![word(dice), Node::not(word(dice))]),
            3 => Node::all_of(vec![word(dice), Node::new(NodeKind::Range(NUMBER, range))]),
            _ => Node::keys((0..60).map(|_| format!("doc:{}", dice.below(500)))),
        };
        for scorer in [Scorer::Bm25Std, Scorer::Tfidf] {
            let found = search(&snapshot, &Request::best(&query, scorer, 1000), &Budget::unlimited());
            let expected = model.search(&query, &Stats { snapshot: &snapshot, scorer });
            let keys: BTreeSet<Vec<u8>> = found.hits.iter().map(|hit| snapshot.key(hit.segment, hit.doc)).collect();
            let expected_keys: BTreeSet<Vec<u8>> = expected.iter().map(|row| row.0.clone().into_bytes()).collect();
            assert_eq!((found.total as usize, keys), (expected.len(), expected_keys), "{query:?}");
            for (hit, want) in found.hits.iter().zip(&expected) {
                assert!((hit.score - want.2).abs() < 1e-9, "{query:?}: {} instead of {}", hit.score, want.2);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_saved_is_read(seed: u64, before in 0u64..900, after in 0u64..200, compact: bool) {
        let (index, mut model, mut dice) = (Index::new(LIMITS), Model::default(), Dice::new(seed));
        index.keep_suffixes(Suffixed { text: FieldMask::MAX, tags: vec![TAG] });
        change(&index, &mut model, &mut dice, before);
        if compact {
            index.compact();
        }
        let image = index.image(Duration::from_secs(10)).expect("nobody else holds a lock");
        prop_assert_eq!((image.seq(), image.left_out()), (index.applied(), 0));
        // What happens afterwards is not in it.
        let mut later = model.clone();
        change(&index, &mut later, &mut dice, after);
        let Restored { index, pending } = read(&bytes(&image));
        prop_assert_eq!(pending, [Box::from(&b"later"[..])]);
        check(&index, &model, &mut dice);
        // The index that was read goes on like any other.
        change(&index, &mut model, &mut dice, after);
        check(&index, &model, &mut dice);
        index.compact();
        check(&index, &model, &mut dice);
        let again = read(&bytes(&index.image(Duration::from_secs(10)).expect("nobody else holds a lock")));
        check(&again.index, &model, &mut dice);
    }

    #[test]
    fn damaged_bytes_are_an_error(seed: u64, changes in vec((any::<prop::sample::Index>(), 1u8..=255), 1..4), cut: prop::sample::Index) {
        let (index, mut model, mut dice) = (Index::new(LIMITS), Model::default(), Dice::new(seed));
        change(&index, &mut model, &mut dice, 60);
        let good = bytes(&index.image(Duration::from_secs(10)).expect("nobody else holds a lock"));
        prop_assert!(Index::read(&mut &good[..cut.index(good.len())], LIMITS).is_err());
        let mut bad = good.clone();
        for (at, flip) in changes {
            bad[at.index(good.len())] ^= flip;
        }
        prop_assert!(bad == good || Index::read(&mut bad.as_slice(), LIMITS).is_err());
    }

    #[test]
    fn any_bytes_are_an_error(tail: Vec<u8>, magic: bool) {
        let head: &[u8] = if magic { b"ILIX\x01\0\0\0" } else { b"" };
        let bytes = [head, &tail].concat();
        prop_assert!(Index::read(&mut bytes.as_slice(), LIMITS).is_err());
    }
}

#[test]
fn another_version_is_named() {
    let error = Index::read(&mut &b"ILIX\x63\0\0\0"[..], LIMITS).expect_err("no such version");
    assert_eq!(error.to_string(), "an index of format version 99, this is version 1");
}

#[test]
fn a_length_that_is_too_large_allocates_nothing() {
    // A section that claims an exabyte.
    let bytes = [&b"ILIX\x01\0\0\0\x01"[..], &(1u64 << 60).to_le_bytes(), &[0; 100]].concat();
    assert!(Index::read(&mut bytes.as_slice(), LIMITS).is_err());
}

#[test]
fn payloads_and_scores_come_back() {
    let index = Index::new(LIMITS);
    for number in 0..100u32 {
        let mut builder = DocumentBuilder::new(format!("d{number}").as_bytes(), Keep::ALL);
        builder.word(0, b"word", 0, 1).score(number as f32 / 100.0);
        if number % 3 == 0 {
            builder.payload(&number.to_le_bytes());
        }
        index.apply_now(Change::Upsert(Box::new(builder.finish()))).expect("in order");
    }
    let restored = read(&bytes(&index.image(Duration::ZERO).expect("nobody else holds a lock"))).index;
    let snapshot = restored.latest();
    for number in 0..100u32 {
        let (at, doc) = snapshot.find(format!("d{number}").as_bytes()).expect("it is there");
        let segment = snapshot.segment(at);
        assert_eq!(segment.facts(doc).score, number as f32 / 100.0);
        assert_eq!(segment.payload(doc), (number % 3 == 0).then_some(&number.to_le_bytes()[..]));
    }
}

/// Whatever a writer is doing: each key is in the image or is named as one to read anew.
#[test]
fn no_key_is_lost_while_others_write() {
    let index = Index::new(LIMITS);
    let put = |number: u64| {
        let mut builder = DocumentBuilder::new(format!("{}", number % 300).as_bytes(), Keep::ALL);
        for at in 0..50u32 {
            builder.word(0, format!("w{}", number + u64::from(at)).as_bytes(), at, 1);
        }
        index.apply_now(Change::Upsert(Box::new(builder.finish()))).expect("in order");
    };
    (0..300).for_each(put);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (300..4_000).for_each(put);
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                index.maintain(&|| false);
            }
        });
        let mut patience = Duration::ZERO;
        while !done.load(Ordering::Acquire) {
            patience = if patience.is_zero() { Duration::from_millis(1) } else { Duration::ZERO };
            let Some(image) = index.image(patience) else { continue };
            let Restored { index: restored, pending } = read(&bytes(&image));
            let snapshot = restored.latest();
            let pending: BTreeSet<&[u8]> = pending.iter().map(|key| &**key).collect();
            for number in 0..300 {
                let key = format!("{number}");
                let found = snapshot.find(key.as_bytes()).is_some();
                assert!(found || pending.contains(key.as_bytes()), "{key} at {}", image.seq());
            }
            let total =
                search(&snapshot, &Request::best(&Node::new(NodeKind::All), Scorer::Tfidf, 0), &Budget::unlimited());
            assert_eq!(total.total, snapshot.documents());
        }
    });
}
