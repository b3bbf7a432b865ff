//! From the text of documents and queries to results: the parts of the engine put together.

use engine::collect::{profile, search, Found, Request};
use engine::cursor::budget::{Budget, Stop};
use engine::cursor::plan::Node;
use engine::index::document::{DocumentBuilder, Keep};
use engine::index::{Change, Index, Snapshot};
use engine::ingest::Reader;
use engine::query::{parse, plan, resolve, Clause, Dialect, GeoRadius, GeoUnit, NumericRange, Params, ResolveOptions};
use engine::schema::{FieldDefinition, IndexOptions, Schema};
use engine::score::Scorer;
use engine::text::{Analyser, AnalysisLimits, Language, Synonyms};

const DOCS: [(&str, [&str; 5]); 4] = [
    ("d:1", ["Running Foxes", "the quick brown fox jumps over the lazy dog", "red,Dark Blue", "10", "2.35,48.85"]),
    ("d:2", ["Cats", "a lazy cat sleeps while the dog runs", "blue", "20", "-0.12,51.5"]),
    ("d:3", ["Dogs", "Ünïcode dogs jump quickly", "", "30", "13.4,52.52"]),
    ("d:4", ["Foxes", "brown quick fox", "green", "40", "2.3,48.8"]),
];

struct Fixture {
    schema: Schema,
    options: IndexOptions,
    synonyms: Synonyms,
    index: Index,
}

fn fixture() -> Fixture {
    let mut tag = FieldDefinition::tag("colour");
    tag.index_missing = true;
    let fields = vec![
        FieldDefinition::text("title"),
        FieldDefinition::text("body"),
        tag,
        FieldDefinition::numeric("size").sortable(false),
        FieldDefinition::geo("place"),
    ];
    let fixture = Fixture {
        schema: Schema::with_fields(fields, false).expect("a schema"),
        options: IndexOptions::default(),
        synonyms: Synonyms::default(),
        index: Index::default(),
    };
    for (key, values) in DOCS {
        let value = |name: &[u8]| {
            let at = fixture.schema.fields().iter().position(|field| field.identifier() == name)?;
            Some(values[at].as_bytes()).filter(|value| !value.is_empty())
        };
        let document = fixture.reader().document(key.as_bytes(), value).expect("good values");
        fixture.index.apply_now(Change::Upsert(Box::new(document))).expect("in order");
    }
    fixture
}

impl Fixture {
    fn analyser(&self) -> Analyser<'_> {
        Analyser::new(Language::English, &self.options.stop_words, &self.synonyms, AnalysisLimits::default())
    }

    fn reader(&self) -> Reader<'_> {
        Reader {
            schema: &self.schema,
            options: &self.options,
            synonyms: &self.synonyms,
            limits: AnalysisLimits::default(),
        }
    }

    fn node(&self, text: &str) -> Node {
        let ast = parse(text.as_bytes(), Dialect::V2, &Params::default()).expect("a query");
        let options = ResolveOptions { dialect: Dialect::V2, ..ResolveOptions::default() };
        plan(&resolve(&ast, &self.schema, &self.analyser(), &options).expect("it resolves"))
    }

    fn keys(&self, text: &str) -> Vec<String> {
        let node = self.node(text);
        let snapshot = self.index.latest();
        let found = search(&snapshot, &Request::best(&node, Scorer::Tfidf, 10), &Budget::unlimited());
        keys(&snapshot, &found)
    }
}

fn keys(snapshot: &Snapshot, found: &Found) -> Vec<String> {
    assert_eq!(found.total, found.hits.len() as u64);
    let key = |hit: &engine::collect::Hit| String::from_utf8(snapshot.key(hit.segment, hit.doc)).expect("text");
    let mut keys: Vec<String> = found.hits.iter().map(key).collect();
    keys.sort();
    keys
}

#[test]
fn queries_find_what_they_say() {
    let fixture = fixture();
    for round in 0..3 {
        for (query, expected) in [
            ("fox", "1 4"),
            ("runs", "1 2"),
            ("\"quick brown\"", "1"),
            ("\"running\"", "1"),
            ("quick brown", "1 4"),
            ("@title:foxes", "1 4"),
            ("@title:dogs", "3"),
            ("lazy -cat", "1"),
            ("-fox", "2 3"),
            ("cat | jumps", "1 2 3"),
            ("quick*", "1 3 4"),
            ("*ckly", "3"),
            ("w'?uick'", "1 4"),
            ("%foz%", "1 4"),
            ("@colour:{blue}", "2"),
            ("@colour:{dark blue | green}", "1 4"),
            ("@colour:{*blu*}", "1 2"),
            ("ismissing(@colour)", "3"),
            ("@size:[10 (30]", "1 2"),
            ("@size:[-inf +inf]", "1 2 3 4"),
            ("@place:[2.35 48.85 20 km]", "1 4"),
            ("ÜNÏCODE", "3"),
            ("(quick fox)=>{$slop: 0; $inorder: true}", "4"),
            ("(brown fox)=>{$slop: 0; $inorder: true}", "1"),
            ("*", "1 2 3 4"),
            ("@nofield:x", ""),
            ("the", ""),
        ] {
            let expected: Vec<String> = expected.split_whitespace().map(|number| format!("d:{number}")).collect();
            assert_eq!(fixture.keys(query), expected, "{query} in round {round}");
        }
        match round {
            0 => fixture.index.freeze_live(),
            _ => fixture.index.compact(),
        }
    }
}

#[test]
fn a_score_is_explained() {
    let fixture = fixture();
    let node = fixture.node("lazy dog");
    let snapshot = fixture.index.latest();
    let request = Request { explain: true, ..Request::best(&node, Scorer::Tfidf, 10) };
    let found = search(&snapshot, &request, &Budget::unlimited());
    let explanation = found.hits[0].explanation.as_ref().expect("asked for");
    assert!(explanation.text.starts_with("Final TFIDF : words TFIDF "), "{}", explanation.text);
    assert!(explanation.children[0].text.starts_with("(Weight 1.00 * total children "), "{explanation:?}");
    assert_eq!(explanation.children[0].children.len(), 2);
}

#[test]
fn a_query_that_is_stopped_says_so_and_ends() {
    let index = Index::default();
    for number in 0..30_000u32 {
        let mut builder = DocumentBuilder::new(&number.to_be_bytes(), Keep::ALL);
        builder.word(0, b"word", 0, 1).word(0, format!("w{}", number % 500).as_bytes(), 1, 1);
        index.apply_now(Change::Upsert(Box::new(builder.finish()))).expect("in order");
    }
    index.compact();
    let snapshot = index.latest();
    let word = || Node::term(b"word");
    let many = || Node::any_of((0..500).map(|number| Node::term(format!("w{number}").as_bytes())).collect());
    for query in [many(), Node::all_of(vec![word(), many()]), Node::not(many())] {
        let asked = std::cell::Cell::new(0);
        let ask = || {
            asked.set(asked.get() + 1);
            (asked.get() > 2).then_some(Stop::Deadline)
        };
        let budget = Budget::new(&ask);
        let found = search(&snapshot, &Request::best(&query, Scorer::Bm25, 10), &budget);
        assert_eq!(found.stopped, Some(Stop::Deadline));
        assert_eq!(asked.get(), 3, "it is asked no more once it has said so");
    }
}

#[test]
fn a_query_reads_its_number_and_no_more() {
    let index = Index::default();
    let put = |key: &[u8], word: &[u8]| {
        let mut builder = DocumentBuilder::new(key, Keep::ALL);
        builder.word(0, word, 0, 1);
        Change::Upsert(Box::new(builder.finish()))
    };
    let count = |snapshot: &Snapshot, word: &[u8]| {
        search(snapshot, &Request::best(&Node::term(word), Scorer::Tfidf, 0), &Budget::unlimited()).total
    };
    index.apply(5, put(b"a", b"old")).expect("in order");
    assert!(index.apply(5, put(b"a", b"again")).is_err());
    let first = index.assign();
    let arrival = index.arrive();
    assert_eq!(arrival.seq(), first);
    assert!(index.snapshot(&arrival).is_none(), "its own write is not applied yet");
    index.apply(first, put(b"b", b"old")).expect("in order");
    index.apply_now(put(b"a", b"new")).expect("in order");
    index.apply_now(Change::Delete(b"b"[..].into())).expect("in order");
    // What the query sees is not merged away before it has its snapshot.
    index.compact();
    let snapshot = index.snapshot(&arrival).expect("applied");
    assert_eq!((count(&snapshot, b"old"), count(&snapshot, b"new")), (2, 0));
    assert!(snapshot.find(b"b").is_some());
    drop(arrival);
    index.compact();
    assert_eq!((count(&snapshot, b"old"), count(&snapshot, b"new")), (2, 0), "a snapshot keeps what it holds");
    let latest = index.latest();
    assert_eq!((count(&latest, b"old"), count(&latest, b"new")), (0, 1));
    assert_eq!(index.figures().versions, 3, "while there is a snapshot, its keys can be found");
    assert!(snapshot.find(b"b").is_some());
    drop(snapshot);
    index.compact();
    assert_eq!(index.figures().versions, 1);
}

#[test]
fn filters_and_keys_restrict_a_whole_query() {
    let fixture = fixture();
    let restricted = |text: &str, filters: Vec<Clause>| {
        let ast = parse(text.as_bytes(), Dialect::V2, &Params::default()).expect("a query");
        let options = ResolveOptions { dialect: Dialect::V2, ..ResolveOptions::default() };
        let query = resolve(&ast, &fixture.schema, &fixture.analyser(), &options).expect("it resolves");
        let query = filters.into_iter().fold(query, |query, filter| query.filtered(filter));
        let snapshot = fixture.index.latest();
        let node = plan(&query);
        keys(&snapshot, &search(&snapshot, &Request::best(&node, Scorer::Tfidf, 10), &Budget::unlimited()))
    };
    let size = |min: f64, max: f64| Clause::numeric(&fixture.schema, b"size", NumericRange::inclusive(min, max));
    let names = |names: &[&str]| Clause::keys(names);
    assert_eq!(restricted("fox | cat", vec![size(15.0, 40.0)]), ["d:2", "d:4"]);
    assert_eq!(restricted("fox | cat", vec![size(15.0, 40.0), names(&["d:4", "d:1", "d:9"])]), ["d:4"]);
    assert_eq!(restricted("-cat", vec![names(&["d:2", "d:3"])]), ["d:3"]);
    assert_eq!(restricted("*", vec![names(&[])]), [""; 0]);
    assert_eq!(
        restricted("fox", vec![Clause::numeric(&fixture.schema, b"title", NumericRange::inclusive(0.0, 1.0))]),
        [""; 0]
    );
    let near = GeoRadius::new(2.35, 48.85, 20.0, GeoUnit::Kilometres).expect("a circle");
    assert_eq!(restricted("fox", vec![Clause::geo(&fixture.schema, b"place", near), size(0.0, 10.0)]), ["d:1"]);
}

#[test]
fn a_profile_says_what_each_clause_did() {
    let fixture = fixture();
    let node = fixture.node("quick fo* -cat ~lazy @size:[0 40] @colour:{green|red}");
    let snapshot = fixture.index.latest();
    let request = Request::best(&node, Scorer::Tfidf, 10);
    let (found, profile) = profile(&snapshot, &request, &Budget::unlimited());
    assert_eq!(keys(&snapshot, &found), ["d:1", "d:4"]);
    assert_eq!((profile.kind, profile.reads), ("INTERSECT", 2));
    let kinds: Vec<_> = profile.children.iter().map(|child| (child.kind, child.origin, child.children.len())).collect();
    let expected = [
        ("UNION", Some("UNION"), 2),
        ("UNION", Some("PREFIX"), 2),
        ("NUMERIC", None, 0),
        ("UNION", Some("UNION"), 2),
        ("OPTIONAL", None, 1),
        ("NOT", None, 1),
    ];
    assert_eq!(kinds, expected);
    let terms =
        |at: usize| profile.children[at].children.iter().filter_map(|child| child.term.as_deref()).collect::<Vec<_>>();
    assert_eq!(terms(0), [&b"quick"[..], b"+quick"]);
    assert_eq!(terms(1), [&b"fox"[..], b"foxes"]);
    assert_eq!(profile.children[2].term.as_deref(), Some(&b"0 - 40"[..]));
    let children = profile.children.iter().map(|child| child.time).max().expect("some");
    assert!(profile.time >= children, "what is inside takes no longer");
}
