//! The formulas against values worked out by hand, and ceilings against the values they bound.

use super::*;
use proptest::prelude::*;

fn facts(len: u32, max_freq: u32, score: f32) -> DocFacts {
    DocFacts { len, max_freq, score }
}

fn score(scorer: Scorer, postings: u64, freq: u32, facts: DocFacts) -> f64 {
    let scoring = Scoring::new(scorer, 7, 10.0, None);
    let scale = scoring.scale(facts);
    scoring.result(&scale, scoring.term(1.0, postings).value(freq, &scale), 1.0)
}

#[test]
fn formulas_give_known_values() {
    // idf = floor(log2(1 + 8/2)) = 2.
    assert_eq!(score(Scorer::Tfidf, 2, 3, facts(20, 6, 0.5)), 0.5 * 3.0 * 2.0 / 6.0);
    assert!((score(Scorer::TfidfDocNorm, 2, 3, facts(20, 6, 0.5)) - 0.5 * 3.0 * 2.0 / 20.0).abs() < 1e-12);
    assert_eq!(score(Scorer::DisMax, 2, 3, facts(20, 6, 0.5)), 3.0);
    let bm25 = 0.5 * 2.0 * 3.0 / (3.0 + 1.2 * (0.5 + 0.5 * 10.0));
    assert!((score(Scorer::Bm25, 2, 3, facts(20, 6, 0.5)) - bm25).abs() < 1e-12);
    let idf = (1.0f64 + (7.0 - 2.0 + 0.5) / (2.0 + 0.5)).ln();
    let std = 0.5 * idf * 3.0 * 2.2 / (3.0 + 1.2 * (0.5 + 0.5 * 20.0 / 10.0));
    assert!((score(Scorer::Bm25Std, 2, 3, facts(20, 6, 0.5)) - std).abs() < 1e-12);
}

#[test]
fn hamming_counts_different_bits() {
    let scoring = Scoring::new(Scorer::Hamming, 1, 1.0, Some(b"\x0f\x01".to_vec().into()));
    let of = |payload: Option<&[u8]>| scoring.without_tree(facts(1, 1, 1.0), payload);
    assert_eq!(of(Some(b"\x0f\x01")), 1.0);
    assert_eq!(of(Some(b"\x0e\x03")), 1.0 / 3.0);
    assert_eq!(of(Some(b"\x0f")), 0.0);
    assert_eq!(of(None), 0.0);
}

#[test]
fn names_are_known_both_ways() {
    for name in ["TFIDF", "TFIDF.DOCNORM", "BM25", "BM25STD", "DISMAX", "DOCSCORE", "HAMMING"] {
        assert_eq!(Scorer::by_name(name.as_bytes()).map(Scorer::name), Some(name));
    }
    assert_eq!(Scorer::by_name(b"NONE"), None);
}

fn scorer() -> impl Strategy<Value = Scorer> {
    prop_oneof![
        Just(Scorer::Tfidf),
        Just(Scorer::TfidfDocNorm),
        Just(Scorer::Bm25),
        Just(Scorer::Bm25Std),
        Just(Scorer::DisMax),
    ]
}

proptest! {
    #[test]
    fn no_document_is_above_its_ceiling(
        scorer in scorer(),
        (freq, more) in (1u32..50, 0u32..5),
        (len, less) in (1u32..500, 0u32..500),
        above in 0u32..20,
        score in 0.0f32..=1.0,
        (postings, documents) in (0u64..100, 0u64..100),
    ) {
        let scoring = Scoring::new(scorer, documents, 17.0, None);
        for leaf in [scoring.term(1.5, postings), scoring.filter(2.0), scoring.all(1.0)] {
            let scale = scoring.scale(facts(len, freq + above, score));
            let result = scoring.result(&scale, leaf.value(freq, &scale), 1.0);
            for freq in [freq + more, u32::MAX] {
                let ceiling = scoring.ceiling(&leaf, freq, len.saturating_sub(less)) * scoring.outer_ceiling(score);
                prop_assert!(result <= ceiling, "{result} {ceiling}");
            }
        }
    }
}
