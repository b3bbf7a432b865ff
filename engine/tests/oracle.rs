//! Every operator, scorer and order gives what looking at each document gives: on live, sealed,
//! merged and mixed segments, through snapshots that are older than the index, with and without
//! pruning.

mod model;

use engine::collect::search::WALK_BELOW;
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
use model::{Dice, Model, Stats, GEO, NUMBER, SORT, TAG};
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
    let key = 0u16..700;
    let op = prop_oneof![
        6 => (key.clone(), any::<u64>()).prop_map(|(key, seed)| Op::Upsert(key, seed)),
        2 => (100u16..400, any::<u64>()).prop_map(|(count, seed)| Op::Bulk(count, seed)),
        4 => key.prop_map(Op::Delete),
        1 => Just(Op::Freeze),
        2 => Just(Op::Maintain),
        1 => Just(Op::Compact),
        1 => any::<bool>().prop_map(Op::Suffixes),
        1 => Just(Op::Snapshot),
    ];
    vec(op, 1..25)
}

fn node() -> impl Strategy<Value = Node> {
    let weight = || prop_oneof![3 => Just(1.0), 1 => Just(0.5), 1 => Just(3.0)];
    let fields = || prop_oneof![3 => Just(FieldMask::MAX), 1 => Just(1u128), 1 => Just(2u128)];
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
    let leaf = prop_oneof![
        12 => (word(), fields()).prop_map(|(word, fields)| NodeKind::Term { term: word.as_bytes().into(), fields }),
        2 => word().prop_map(|word| NodeKind::Tag { field: TAG, value: word.as_bytes().into() }),
        1 => Just(NodeKind::Missing(TAG)),
        1 => Just(NodeKind::All),
        1 => Just(NodeKind::Empty),
        2 => vec(0u16..700, 0..40)
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
    let leaf = (leaf, weight()).prop_map(|(kind, weight)| Node { kind, weight });
    let within = prop_oneof![
        3 => Just(Within { slop: None, in_order: false }),
        1 => (proptest::option::of(0u32..4), any::<bool>()).prop_map(|(slop, in_order)| Within { slop, in_order }),
    ];
    leaf.prop_recursive(3, 12, 4, move |inner| {
        let kind = prop_oneof![
            3 => (vec(inner.clone(), 1..4), within.clone())
                .prop_map(|(children, within)| NodeKind::Intersect { children, within }),
            3 => vec(inner.clone(), 1..4).prop_map(NodeKind::Union),
            1 => inner.clone().prop_map(|child| NodeKind::Not(Box::new(child))),
            1 => inner.prop_map(|child| NodeKind::Optional(Box::new(child))),
        ];
        (kind, prop_oneof![4 => Just(1.0), 1 => Just(2.0)]).prop_map(|(kind, weight)| Node { kind, weight })
    })
}

/// The weight of a negation or an optional clause has no meaning: the clause inside has one.
fn without_outer_weights(mut node: Node) -> Node {
    node.kind = match node.kind {
        NodeKind::Not(child) => NodeKind::Not(Box::new(without_outer_weights(*child))),
        NodeKind::Optional(child) => NodeKind::Optional(Box::new(without_outer_weights(*child))),
        NodeKind::Intersect { children, within } => {
            NodeKind::Intersect { children: children.into_iter().map(without_outer_weights).collect(), within }
        }
        NodeKind::Union(children) => NodeKind::Union(children.into_iter().map(without_outer_weights).collect()),
        kind => kind,
    };
    node
}

fn scorer() -> impl Strategy<Value = Scorer> {
    prop_oneof![
        3 => Just(Scorer::Bm25Std),
        2 => Just(Scorer::Tfidf),
        1 => Just(Scorer::TfidfDocNorm),
        1 => Just(Scorer::Bm25),
        1 => Just(Scorer::DisMax),
        1 => Just(Scorer::DocScore),
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
                    model.upsert(&index, &format!("doc:{}", dice.below(700)), dice.doc());
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

fn check(snapshot: &Snapshot, model: &Model, request: &Request<'_>) -> Result<(), TestCaseError> {
    let found = search(snapshot, request, &Budget::unlimited());
    let stats = Stats { snapshot, scorer: request.scorer };
    let expected = model.search(request.query, &stats);
    let (profiled, counts) = profile(snapshot, request, &Budget::unlimited());
    prop_assert_eq!((profiled.total, profiled.hits.len()), (found.total, found.hits.len()));
    // What is dead is read too.
    prop_assert!(counts.reads >= found.total, "{:?}", counts);
    prop_assert_eq!(found.total, expected.len() as u64);
    prop_assert_eq!(found.stopped, None);
    prop_assert_eq!(found.hits.len(), request.count.min(expected.len()));
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * (1.0 + a.abs());
    let mut previous: Option<(f64, u64)> = None;
    for (hit, want) in found.hits.iter().zip(&expected) {
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
    Ok(())
}

/// So many that a fault of one operator beside another is met; `ORACLE_CASES` says another number.
fn cases() -> u32 {
    std::env::var("ORACLE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn searches_give_what_looking_at_each_document_gives(
        ops in ops(),
        queries in vec((node(), scorer(), prop_oneof![Just(0usize), 1usize..12, Just(1000)]), 8),
    ) {
        let (_index, snapshots) = play(&ops);
        for (snapshot, model) in &snapshots {
            for (query, scorer, count) in &queries {
                let query = without_outer_weights(query.clone());
                for walk_below in [0, WALK_BELOW] {
                    let request = Request { walk_below, ..Request::best(&query, *scorer, *count) };
                    check(snapshot, model, &request)?;
                }
            }
        }
    }

    #[test]
    fn sorts_give_what_sorting_gives(
        ops in ops(),
        (numeric, descending) in any::<(bool, bool)>(),
        count in 1usize..40,
        query in node(),
    ) {
        let query = without_outer_weights(query);
        let (_index, snapshots) = play(&ops);
        for (snapshot, model) in &snapshots {
            let sort = SortBy { field: if numeric { NUMBER } else { SORT }, numeric, descending };
            let request = Request { order: Order::By(sort), ..Request::best(&query, Scorer::Tfidf, count) };
            let found = search(snapshot, &request, &Budget::unlimited());
            let all = model.search(&query, &Stats { snapshot, scorer: Scorer::Tfidf });
            prop_assert_eq!(found.total, all.len() as u64);
            let value = |key: &str| {
                let doc = &model.docs[key].1;
                match (numeric, doc.number, &doc.sort) {
                    (true, Some(number), _) => Some(SortValue::Number(number)),
                    (false, _, Some(text)) => Some(SortValue::Text(text.as_bytes().into())),
                    _ => None,
                }
            };
            let mut expected: Vec<(Option<SortValue>, u64, f64)> =
                all.iter().map(|(key, born, score)| (value(key), *born, *score)).collect();
            expected.sort_by(|a, b| {
                let values = match (&a.0, &b.0) {
                    (Some(SortValue::Number(a)), Some(SortValue::Number(b))) => a.total_cmp(b),
                    (Some(SortValue::Text(a)), Some(SortValue::Text(b))) => a.cmp(b),
                    (a, b) => return a.is_none().cmp(&b.is_none()),
                };
                let forward = values.then(a.1.cmp(&b.1));
                if descending { forward.reverse() } else { forward }
            });
            // Those without a value, by age in the direction of the sort.
            let with = expected.iter().filter(|row| row.0.is_some()).count();
            expected[with..].sort_by_key(|row| if descending { u64::MAX - row.1 } else { row.1 });
            prop_assert_eq!(found.hits.len(), count.min(expected.len()));
            for (hit, want) in found.hits.iter().zip(&expected) {
                let born = snapshot.segment(hit.segment).life(hit.doc).0;
                prop_assert_eq!((&hit.sort, born), (&want.0, want.1));
                prop_assert!((hit.score - want.2).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn keys_are_found_as_each_snapshot_sees_them(ops in ops(), keys in vec(0u16..700, 1..20)) {
        let (_index, snapshots) = play(&ops);
        for (snapshot, model) in &snapshots {
            let names: Vec<String> = keys.iter().map(|key| format!("doc:{key}")).collect();
            for name in &names {
                let born = snapshot.find(name.as_bytes()).map(|(at, doc)| snapshot.segment(at).life(doc).0);
                prop_assert_eq!(born, model.docs.get(name).map(|doc| doc.0));
            }
            let query = Node::keys(&names);
            check(snapshot, model, &Request::best(&query, Scorer::Tfidf, 100))?;
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
        check(snapshot, model, &Request { walk_below: 0, ..Request::best(&query, Scorer::Bm25Std, 0) })
            .expect("the same");
    }
}
