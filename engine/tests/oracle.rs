//! Every operator, scorer and order gives what looking at each document gives: on live, sealed,
//! merged and mixed segments, through snapshots that are older than the index, with and without
//! pruning.

mod model;

use engine::collect::search::{matches, WALK_BELOW};
use engine::collect::sort::SortBy;
use engine::collect::{profile, search, Order, Request};
use engine::columns::geo::Circle;
use engine::columns::numeric::NumericRange;
use engine::columns::SortValue;
use engine::cursor::budget::Budget;
use engine::cursor::phrase::Within;
use engine::cursor::plan::{Node, NodeKind};
use engine::dict::pattern::Pattern;
use engine::dict::suffix::Suffixed;
use engine::dict::Space;
use engine::index::{Index, Limits, Snapshot};
use engine::schema::FieldMask;
use engine::score::Scorer;
use model::{stem, Dice, Model, Stats, GEO, NUMBER, PAYLOAD, SORT, TAG};
use proptest::collection::vec;
use proptest::prelude::*;

/// What happens to an index.
#[derive(Debug, Clone)]
enum Op {
    Upsert(u16, u64),
    /// Many at once, so that lists have several blocks.
    Bulk(u16, u64),
    Delete(u16),
    Freeze,
    Maintain,
    Compact,
    /// Keeps suffixes of the first text field, or of both, and of tags from now on.
    Suffixes(bool),
    /// Takes a snapshot that is queried at the end.
    Snapshot,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let key = 0u16..900;
    let op = prop_oneof![
        5 => (key.clone(), any::<u64>()).prop_map(|(key, seed)| Op::Upsert(key, seed)),
        3 => (100u16..500, any::<u64>()).prop_map(|(count, seed)| Op::Bulk(count, seed)),
        4 => key.prop_map(Op::Delete),
        1 => Just(Op::Freeze),
        2 => Just(Op::Maintain),
        1 => Just(Op::Compact),
        1 => any::<bool>().prop_map(Op::Suffixes),
        1 => Just(Op::Snapshot),
    ];
    // Most indexes have a segment of several windows and lists with bits, and something behind it.
    let full = (vec(op.clone(), 0..4), any::<u64>(), vec(op.clone(), 0..10)).prop_map(|(mut ops, seed, rest)| {
        ops.extend([Op::Bulk(900, seed), Op::Compact]);
        ops.extend(rest);
        ops
    });
    prop_oneof![1 => vec(op, 1..25), 1 => full]
}

fn weight() -> impl Strategy<Value = f64> {
    prop_oneof![8 => Just(1.0), 2 => Just(0.5), 2 => Just(3.0), 1 => Just(0.0)]
}

fn fields() -> impl Strategy<Value = FieldMask> {
    prop_oneof![3 => Just(FieldMask::MAX), 1 => Just(1u128), 1 => Just(2u128)]
}

/// A word or, now and then, a stem.
fn term() -> impl Strategy<Value = NodeKind> {
    let word = any::<u64>().prop_map(|seed| Dice::new(seed).word());
    (word, 0..4, fields()).prop_map(|(word, kind, fields)| {
        let term = if kind == 0 { stem(&word) } else { word };
        NodeKind::Term { term: term.as_bytes().into(), fields }
    })
}

fn leaf() -> impl Strategy<Value = Node> {
    let word = || any::<u64>().prop_map(|seed| Dice::new(seed).word());
    let range = (0u32..11, 0u32..11, any::<bool>(), any::<bool>()).prop_map(|(a, b, x, y)| NumericRange {
        min: f64::from(a),
        max: f64::from(b),
        min_exclusive: x,
        max_exclusive: y,
    });
    let pattern = (0u8..5, "[abcd]{1,2}", "[ab*?]{1,4}").prop_map(|(kind, text, wild)| match kind {
        0 => Pattern::prefix(text.as_bytes()),
        1 => Pattern::suffix(text.as_bytes()),
        2 => Pattern::infix(text.as_bytes()),
        3 => Pattern::wildcard(wild.as_bytes()),
        _ => Pattern::fuzzy(text.as_bytes(), 1),
    });
    let kind = prop_oneof![
        12 => term(),
        2 => word().prop_map(|word| NodeKind::Tag { field: TAG, value: word.as_bytes().into() }),
        1 => Just(NodeKind::Missing(TAG)),
        1 => Just(NodeKind::All),
        1 => Just(NodeKind::Empty),
        2 => vec(0u16..900, 0..40)
            .prop_map(|keys| Node::keys(keys.iter().map(|key| format!("doc:{key}"))).kind),
        2 => range.prop_map(|range| NodeKind::Range(NUMBER, range)),
        2 => (0.0..5.0f64, 0.0..5.0f64, 0.0..400_000.0f64)
            .prop_map(|(x, y, radius)| NodeKind::Circle(GEO, Circle::new(x, y, radius))),
        2 => (pattern.clone(), fields())
            .prop_map(|(pattern, fields)| NodeKind::Expand { space: Space::Text, pattern, fields, limit: 200 }),
        1 => pattern.prop_map(|pattern| NodeKind::Expand {
            space: Space::Tag(TAG),
            pattern,
            fields: FieldMask::MAX,
            limit: 200
        }),
    ];
    (kind, weight()).prop_map(|(kind, weight)| Node { kind, weight })
}

fn within() -> impl Strategy<Value = Within> {
    prop_oneof![
        3 => Just(Within { slop: None, in_order: false }),
        1 => (proptest::option::of(0u32..4), any::<bool>()).prop_map(|(slop, in_order)| Within { slop, in_order }),
    ]
}

/// Any tree.
fn tree() -> impl Strategy<Value = Node> {
    leaf().prop_recursive(3, 12, 4, move |inner| {
        let kind = prop_oneof![
            3 => (vec(inner.clone(), 1..4), within())
                .prop_map(|(children, within)| NodeKind::Intersect { children, within }),
            3 => vec(inner.clone(), 1..4).prop_map(NodeKind::Union),
            1 => inner.clone().prop_map(|child| NodeKind::Not(Box::new(child))),
            1 => inner.prop_map(|child| NodeKind::Optional(Box::new(child))),
        ];
        (kind, weight()).prop_map(|(kind, weight)| Node { kind, weight })
    })
}

/// An intersection in which clauses of each kind stand beside each other.
fn beside() -> impl Strategy<Value = Node> {
    let phrase = || {
        (vec(term().prop_map(Node::new), 2..4), 0u32..3, any::<bool>()).prop_map(|(children, slop, in_order)| {
            Node::new(NodeKind::Intersect { children, within: Within { slop: Some(slop), in_order } })
        })
    };
    let union = || vec(leaf(), 2..4).prop_map(|children| Node::new(NodeKind::Union(children)));
    let inner = || prop_oneof![3 => leaf(), 1 => phrase(), 1 => union()];
    let clause = prop_oneof![
        4 => leaf(),
        1 => phrase(),
        1 => union(),
        3 => inner().prop_map(|child| Node::new(NodeKind::Not(Box::new(child)))),
        1 => inner().prop_map(|child| Node::new(NodeKind::Optional(Box::new(child)))),
    ];
    (vec(clause, 2..6), within(), weight())
        .prop_map(|(children, within, weight)| Node { kind: NodeKind::Intersect { children, within }, weight })
}

/// A union of so many terms that they are added up one after the other.
fn many() -> impl Strategy<Value = Node> {
    let term = (term(), weight()).prop_map(|(kind, weight)| Node { kind, weight });
    vec(term, 6..14).prop_map(|children| Node::new(NodeKind::Union(children)))
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![4 => tree(), 4 => beside(), 1 => many()]
}

fn count() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(0usize), 4 => 1usize..12, 1 => Just(60), 2 => Just(1000)]
}

fn scorer() -> impl Strategy<Value = Scorer> {
    prop_oneof![
        3 => Just(Scorer::Bm25Std),
        2 => Just(Scorer::Tfidf),
        1 => Just(Scorer::TfidfDocNorm),
        1 => Just(Scorer::Bm25),
        1 => Just(Scorer::DisMax),
        1 => Just(Scorer::DocScore),
        1 => Just(Scorer::Hamming),
    ]
}

fn play(ops: &[Op]) -> (Index, Vec<(Snapshot, Model)>) {
    let index = Index::new(Limits { live_documents: 300, fan_out: 3, ..Limits::default() });
    let mut model = Model::default();
    let mut snapshots = Vec::new();
    for op in ops {
        match op {
            Op::Upsert(key, seed) => model.upsert(&index, &format!("doc:{key}"), Dice::new(*seed).doc()),
            Op::Bulk(count, seed) => {
                let mut dice = Dice::new(*seed);
                for _ in 0..*count {
                    model.upsert(&index, &format!("doc:{}", dice.below(900)), dice.doc());
                }
            }
            Op::Delete(key) => model.delete(&index, &format!("doc:{key}")),
            Op::Freeze => index.freeze_live(),
            Op::Maintain => {
                index.maintain(&|| false);
            }
            Op::Compact => index.compact(),
            Op::Suffixes(both) => {
                let text = if *both { FieldMask::MAX } else { 1 };
                index.keep_suffixes(Suffixed { text, tags: vec![TAG] });
            }
            Op::Snapshot => snapshots.push((index.latest(), model.clone())),
        }
    }
    snapshots.push((index.latest(), model));
    (index, snapshots)
}

/// A document that matches: its key, its number of birth, its score.
type Row = (String, u64, f64);

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * (1.0 + a.abs())
}

/// Whether the best are the best of `expected`, which is in order.
fn check(snapshot: &Snapshot, expected: &[Row], request: &Request<'_>) -> Result<(), TestCaseError> {
    let found = search(snapshot, request, &Budget::unlimited());
    prop_assert_eq!(found.total, expected.len() as u64);
    prop_assert_eq!(found.stopped, None);
    prop_assert_eq!(found.hits.len(), request.count.min(expected.len()));
    let mut previous: Option<(f64, u64)> = None;
    for (hit, want) in found.hits.iter().zip(expected) {
        // Equal but for rounding; within such equals the order is by age.
        prop_assert!(close(hit.score, want.2), "score {} instead of {} of {}", hit.score, want.2, want.0);
        let key = String::from_utf8(snapshot.key(hit.segment, hit.doc)).expect("keys are text");
        let own = expected.iter().find(|other| other.0 == key);
        let own = own.ok_or_else(|| TestCaseError::fail(format!("{key} does not match")))?;
        prop_assert!(close(hit.score, own.2), "{key} has {} instead of {}", hit.score, own.2);
        if let Some((score, born)) = previous {
            prop_assert!(hit.score < score || (hit.score == score && own.1 > born), "order");
        }
        previous = Some((hit.score, own.1));
    }
    // However it is run, it is the same.
    let (profiled, counts) = profile(snapshot, request, &Budget::unlimited());
    prop_assert_eq!((profiled.total, profiled.hits.len()), (found.total, found.hits.len()));
    // What is dead is read too.
    prop_assert!(counts.reads >= found.total, "{:?}", counts);
    let explained = search(snapshot, &Request { explain: true, ..request.clone() }, &Budget::unlimited());
    for hits in [&profiled.hits, &explained.hits] {
        prop_assert!(found.hits.iter().zip(hits).all(|(a, b)| close(a.score, b.score)));
    }
    prop_assert!(explained.hits.iter().all(|hit| hit.explanation.is_some()));
    Ok(())
}

/// Whether the first by a column are the first of `rows`.
fn check_sorted(snapshot: &Snapshot, model: &Model, rows: &[Row], request: &Request<'_>) -> Result<(), TestCaseError> {
    let Order::By(sort) = request.order else { return Ok(()) };
    let found = search(snapshot, request, &Budget::unlimited());
    prop_assert_eq!(found.total, rows.len() as u64);
    let value = |key: &str| {
        let doc = &model.docs[key].1;
        match (sort.numeric, doc.number, &doc.sort) {
            (true, Some(number), _) => Some(SortValue::Number(number)),
            (false, _, Some(text)) => Some(SortValue::Text(text.as_bytes().into())),
            _ => None,
        }
    };
    let mut expected: Vec<(Option<SortValue>, u64, f64)> =
        rows.iter().map(|(key, born, score)| (value(key), *born, *score)).collect();
    expected.sort_by(|a, b| {
        let values = match (&a.0, &b.0) {
            (Some(SortValue::Number(a)), Some(SortValue::Number(b))) => a.total_cmp(b),
            (Some(SortValue::Text(a)), Some(SortValue::Text(b))) => a.cmp(b),
            (a, b) => return a.is_none().cmp(&b.is_none()),
        };
        let forward = values.then(a.1.cmp(&b.1));
        if sort.descending {
            forward.reverse()
        } else {
            forward
        }
    });
    // Those without a value, by age in the direction of the sort.
    let with = expected.iter().filter(|row| row.0.is_some()).count();
    expected[with..].sort_by_key(|row| if sort.descending { u64::MAX - row.1 } else { row.1 });
    prop_assert_eq!(found.hits.len(), request.count.min(expected.len()));
    for (hit, want) in found.hits.iter().zip(&expected) {
        let born = snapshot.segment(hit.segment).life(hit.doc).0;
        prop_assert_eq!((&hit.sort, born), (&want.0, want.1));
        prop_assert!(close(hit.score, want.2));
    }
    Ok(())
}

/// Whether single documents, those of these keys, are known to match or not.
fn check_single(snapshot: &Snapshot, rows: &[Row], query: &Node, keys: &[u16]) -> Result<(), TestCaseError> {
    for key in keys.iter().map(|key| format!("doc:{key}")) {
        if let Some(place) = snapshot.find(key.as_bytes()) {
            let expected = rows.iter().any(|row| row.0 == key);
            prop_assert_eq!(matches(snapshot, query, place, &Budget::unlimited()), expected, "{}", key);
        }
    }
    Ok(())
}

/// So many that a fault of one operator beside another is met; `ORACLE_CASES` says another number.
fn cases() -> u32 {
    std::env::var("ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn searches_give_what_looking_at_each_document_gives(
        ops in ops(),
        queries in vec((node(), scorer(), count(), (any::<(bool, bool)>(), count())), 8),
        keys in vec(0u16..900, 4),
    ) {
        let (_index, snapshots) = play(&ops);
        for (snapshot, model) in &snapshots {
            for (query, scorer, count, ((numeric, descending), sorted)) in &queries {
                let expected = model.search(query, &Stats { snapshot, scorer: *scorer });
                let best = |count| Request { payload: Some(&PAYLOAD), ..Request::best(query, *scorer, count) };
                for walk_below in [0, WALK_BELOW] {
                    check(snapshot, &expected, &Request { walk_below, ..best(*count) })?;
                }
                check(snapshot, &expected, &best(0))?;
                let sort = SortBy { field: if *numeric { NUMBER } else { SORT }, numeric: *numeric, descending: *descending };
                check_sorted(snapshot, model, &expected, &Request { order: Order::By(sort), ..best(*sorted) })?;
                check_single(snapshot, &expected, query, &keys)?;
            }
        }
    }

    #[test]
    fn keys_are_found_as_each_snapshot_sees_them(ops in ops(), keys in vec(0u16..900, 1..20)) {
        let (_index, snapshots) = play(&ops);
        for (snapshot, model) in &snapshots {
            let names: Vec<String> = keys.iter().map(|key| format!("doc:{key}")).collect();
            for name in &names {
                let born = snapshot.find(name.as_bytes()).map(|(at, doc)| snapshot.segment(at).life(doc).0);
                prop_assert_eq!(born, model.docs.get(name).map(|doc| doc.0));
            }
            let query = Node::keys(&names);
            let expected = model.search(&query, &Stats { snapshot, scorer: Scorer::Tfidf });
            check(snapshot, &expected, &Request::best(&query, Scorer::Tfidf, 100))?;
        }
    }
}

#[test]
fn what_an_intersection_has_passed_stays_out() {
    // The frequent word has bits, which also say what the cursor has passed because of the rare one.
    let term = |word: &str| Node::new(NodeKind::Term { term: word.as_bytes().into(), fields: FieldMask::MAX });
    let children = vec![Node::new(NodeKind::Not(Box::new(term("caba")))), term("ab")];
    let query = Node::new(NodeKind::Intersect { children, within: Within { slop: None, in_order: false } });
    for seed in 0..50 {
        let (_index, snapshots) = play(&[Op::Bulk(251, seed), Op::Compact]);
        let (snapshot, model) = &snapshots[0];
        let expected = model.search(&query, &Stats { snapshot, scorer: Scorer::Bm25Std });
        check(snapshot, &expected, &Request { walk_below: 0, ..Request::best(&query, Scorer::Bm25Std, 0) })
            .expect("the same");
    }
}
