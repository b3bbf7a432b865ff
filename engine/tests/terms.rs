//! What is said about terms is said of living documents.

mod model;

use engine::cursor::budget::{Budget, Stop};
use engine::index::{Index, Limits};
use engine::query::{parse, Dialect, Params};
use engine::spellcheck::{check, Dictionary, Vocabulary};
use engine::terms::{tag_values, Words};
use engine::text::{Analyser, AnalysisLimits, Language, StopWords, Synonyms};
use model::{stem, Dice, Model, TAG};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// An index of some segments in which many versions are dead.
fn library(seed: u64, count: u64) -> (Index, Model) {
    let index = Index::new(Limits { live_documents: 40, fan_out: 3, ..Limits::default() });
    let (mut model, mut dice) = (Model::default(), Dice::new(seed));
    for _ in 0..count {
        let key = format!("doc:{}", dice.below(60));
        match dice.below(12) {
            0..3 => model.delete(&index, &key),
            3 => drop(index.maintain(&|| false)),
            _ => model.upsert(&index, &key, dice.doc()),
        }
    }
    (index, model)
}

fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let least = (diagonal + usize::from(x != y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], least);
        }
    }
    row[b.len()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tags_are_those_of_living_documents(seed: u64, count in 0u64..300) {
        let (index, model) = library(seed, count);
        let expected: BTreeSet<&str> = model.docs.values().flat_map(|(_, doc)| &doc.tags).map(String::as_str).collect();
        let found = tag_values(&index.latest(), TAG, &Budget::unlimited());
        prop_assert!(found.iter().map(|tag| &**tag).eq(expected.iter().map(|tag| tag.as_bytes())), "{:?} {:?}", found, expected);
    }

    #[test]
    fn words_are_counted_and_compared(seed: u64, count in 0u64..300, word in "[abcdé]{1,4}", edits in 1u8..5) {
        let (index, model) = library(seed, count);
        let mut expected: BTreeMap<String, usize> = BTreeMap::new();
        for (_, doc) in model.docs.values() {
            let words: BTreeSet<&String> = doc.texts.iter().flatten().collect();
            words.into_iter().for_each(|word| *expected.entry(word.clone()).or_default() += 1);
        }
        let (snapshot, budget) = (index.latest(), Budget::unlimited());
        let words = Words::new(&snapshot, &budget);
        prop_assert_eq!(words.documents(), model.docs.len());
        prop_assert_eq!(words.documents_with(&word), expected.get(&word).copied().unwrap_or(0));
        let mut found = BTreeMap::new();
        words.similar(&word, edits, &mut |similar, documents| {
            found.insert(similar.to_owned(), documents);
        });
        expected.retain(|known, _| distance(known, &word) <= usize::from(edits));
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_query_is_spell_checked_against_an_index() {
    let (index, model) = library(5, 300);
    let total = model.docs.len() as f64;
    let with =
        |word: &str| model.docs.values().filter(|(_, doc)| doc.texts.iter().flatten().any(|w| w == word)).count();
    let (stop_words, synonyms) = (StopWords::custom([]).unwrap(), Synonyms::default());
    let analyser = Analyser::new(Language::English, &stop_words, &synonyms, AnalysisLimits::default());
    let ast = parse(b"ab cabba|zzzzzz known", Dialect::V2, &Params::default()).unwrap();
    let (snapshot, budget) = (index.latest(), Budget::unlimited());
    let known = Dictionary::from([Box::from("known")]);
    let found = check(&ast, &analyser, &Words::new(&snapshot, &budget), 1, &[], &[&known]);
    let words: Vec<&str> = found.iter().map(|misspelling| &*misspelling.word).collect();
    assert_eq!(words, ["cabba", "zzzzzz"]);
    let suggestions: Vec<(&str, f64)> = found[0].suggestions.iter().map(|one| (&*one.word, one.score)).collect();
    assert_eq!(suggestions, [("caba", with("caba") as f64 / total)]);
    assert!(found[1].suggestions.is_empty());
}

#[test]
fn a_walk_over_terms_can_be_stopped() {
    let (index, _) = library(5, 300);
    let snapshot = index.latest();
    let stop = || Some(Stop::Cancelled);
    let budget = Budget::new(&stop);
    assert!(tag_values(&snapshot, TAG, &budget).len() <= snapshot.segment_count());
    let mut similar = 0;
    Words::new(&snapshot, &budget).similar("ab", 3, &mut |_, _| similar += 1);
    assert!(similar <= snapshot.segment_count());
    assert_eq!(budget.stopped(), Some(Stop::Cancelled));
}

/// The index as it is in a file.
fn saved(index: &Index) -> Index {
    let mut bytes = Vec::new();
    let image = index.image(std::time::Duration::ZERO).expect("an image of an index at rest");
    image.write([], &mut bytes).expect("writing to memory does not fail");
    Index::read(&mut bytes.as_slice(), Limits::default()).expect("what was written").index
}

#[test]
fn a_word_counts_once_however_many_segments_have_it() {
    let index = Index::new(Limits { live_documents: 10, fan_out: 100, ..Limits::default() });
    let (mut model, mut dice) = (Model::default(), Dice::new(3));
    let mut words: BTreeSet<String> = BTreeSet::new();
    for number in 0..100 {
        let key = format!("doc:{number}");
        model.upsert(&index, &key, dice.doc());
        words.extend(model.docs[&key].1.texts.iter().flatten().flat_map(|word| [word.clone(), stem(word)]));
        // Live and frozen segments, then sealed ones too.
        for _ in 0..number / 20 {
            index.maintain(&|| false);
        }
        assert_eq!(index.words(&Budget::unlimited()), words.len() as u64, "after {number}");
        assert_eq!(index.words(&Budget::unlimited()), words.len() as u64, "what was kept, after {number}");
    }
    while index.maintain(&|| false) {}
    assert!(index.figures().segments > 5);
    assert_eq!(index.words(&Budget::unlimited()), words.len() as u64, "sealed");
    assert_eq!(saved(&index).words(&Budget::unlimited()), words.len() as u64, "read back");
    index.compact();
    assert_eq!(index.words(&Budget::unlimited()), words.len() as u64, "one segment");
}

#[test]
fn a_count_that_is_stopped_is_not_kept() {
    let made = || {
        let (index, mut model) = library(5, 300);
        let mut doc = Dice::new(1).doc();
        // In the segment that is looked at last.
        doc.texts[0].push("new".to_owned());
        model.upsert(&index, "doc:new", doc);
        index
    };
    let (index, all) = (made(), made().words(&Budget::unlimited()));
    let stop = || Some(Stop::Cancelled);
    assert!(index.words(&Budget::new(&stop)) < all);
    assert_eq!(index.words(&Budget::unlimited()), all);
}

#[test]
fn figures_count_what_is_held() {
    let (index, mut model, mut dice) = (Index::default(), Model::default(), Dice::new(9));
    for number in 0..700 {
        model.upsert(&index, &format!("doc:{number}"), dice.doc());
    }
    let mut lists: BTreeMap<String, u64> = BTreeMap::new();
    let mut positions = 0;
    for (_, doc) in model.docs.values() {
        // Each word, and its stem where it stands.
        let texts: BTreeSet<String> = doc.texts.iter().flatten().flat_map(|word| [word.clone(), stem(word)]).collect();
        positions += 2 * doc.texts.iter().flatten().count() as u64;
        let tags: BTreeSet<&String> = doc.tags.iter().collect();
        let keys = texts.into_iter().map(|word| format!("word {word}"));
        let keys = keys.chain(tags.iter().map(|tag| format!("tag {tag}")));
        let keys = keys.chain(tags.is_empty().then(|| "missing".to_owned()));
        keys.for_each(|key| *lists.entry(key).or_default() += 1);
    }
    for round in ["live", "sealed", "read back"] {
        let figures = if round == "read back" { saved(&index).figures() } else { index.figures() };
        assert_eq!(figures.postings.records, lists.values().sum::<u64>(), "{round}");
        assert_eq!(figures.postings.positions, positions, "{round}");
        assert_eq!(figures.postings.blocks, lists.values().map(|len| len.div_ceil(128)).sum::<u64>(), "{round}");
        index.compact();
    }
}
