//! Which words of a query does nobody know, and what may have been meant?
//!
//! The index is asked through [`Vocabulary`] ([`crate::terms::Words`]); dictionaries (`FT.DICTADD`) are sets of words.

use crate::dict::pattern::Pattern;
use crate::query::{Ast, Node, NodeKind};
use crate::text::Analyser;
use std::collections::BTreeSet;

/// The words of an index.
pub trait Vocabulary {
    /// How many documents there are.
    fn documents(&self) -> usize;

    /// How many documents have a word; 0 for one that is not in the index.
    fn documents_with(&self, word: &str) -> usize;

    /// Takes note of work done beside it, and says whether all work must stop.
    fn spend(&self, _units: u32) -> bool {
        false
    }

    /// Calls `found` with every word at a Levenshtein distance of at most `distance` code points, and
    /// how many documents have it. Stems, sounds and synonym groups are no words.
    fn similar(&self, word: &str, distance: u8, found: &mut dyn FnMut(&str, usize));
}

/// What comparing two words costs, in postings.
const MATCH: u32 = 64;

/// Words that users add, normalised as terms are.
pub type Dictionary = BTreeSet<Box<str>>;

/// A word that is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct Misspelling {
    /// The word, normalised.
    pub word: Box<str>,
    /// What may have been meant, the likeliest first.
    pub suggestions: Vec<Suggestion>,
}

/// A known word.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// The share of documents that have it; 0 for a word from a dictionary.
    pub score: f64,
    /// The word.
    pub word: Box<str>,
}

/// Checks every word of a query that the index does not know.
///
/// Words that are in one of the `exclude`d dictionaries are known; words of the `include`d ones may
/// be suggested. Each unknown word comes once, in the order of the query, with at least an empty list.
pub fn check(
    query: &Ast,
    analyser: &Analyser<'_>,
    vocabulary: &dyn Vocabulary,
    distance: u8,
    include: &[&Dictionary],
    exclude: &[&Dictionary],
) -> Vec<Misspelling> {
    let unknown = words(query, analyser)
        .into_iter()
        .filter(|word| !exclude.iter().any(|dictionary| dictionary.contains(word)))
        .filter(|word| vocabulary.documents_with(word) == 0);
    unknown.map(|word| Misspelling { suggestions: suggestions(&word, vocabulary, distance, include), word }).collect()
}

/// The words of a query, each once, without stop words. Patterns are not among them.
pub fn words(query: &Ast, analyser: &Analyser<'_>) -> Vec<Box<str>> {
    let mut found = Vec::new();
    if let Some(root) = &query.root {
        collect(root, &mut |text| {
            let term = analyser.word(text).filter(|term| !analyser.is_stop_word(&term.text));
            found.extend(term.map(|term| term.text));
        });
    }
    let mut seen = BTreeSet::new();
    found.retain(|word| seen.insert(word.clone()));
    found
}

/// Known words like `word`: those of the index by their share of documents, then those of
/// dictionaries; equals in alphabetical order.
fn suggestions(word: &str, vocabulary: &dyn Vocabulary, distance: u8, include: &[&Dictionary]) -> Vec<Suggestion> {
    let total = vocabulary.documents().max(1) as f64;
    let mut known = BTreeSet::new();
    let mut list = Vec::new();
    vocabulary.similar(word, distance, &mut |similar, documents| {
        if documents > 0 && known.insert(Box::from(similar)) {
            list.push(Suggestion { score: documents as f64 / total, word: Box::from(similar) });
        }
    });
    let pattern = Pattern::fuzzy(word.as_bytes(), distance);
    for similar in include.iter().flat_map(|dictionary| dictionary.iter()) {
        if vocabulary.spend(MATCH) {
            break;
        }
        if pattern.matches(similar.as_bytes()) && known.insert(similar.clone()) {
            list.push(Suggestion { score: 0.0, word: similar.clone() });
        }
    }
    list.sort_by(|one, other| other.score.total_cmp(&one.score).then_with(|| one.word.cmp(&other.word)));
    list
}

/// Calls `see` with each word of a tree, in the order of the query.
fn collect(node: &Node, see: &mut impl FnMut(&[u8])) {
    match &node.kind {
        NodeKind::Word(word) => see(&word.text),
        NodeKind::Exact(exact) => exact.words.iter().for_each(|word| see(&word.text)),
        NodeKind::And(nodes) | NodeKind::Or(nodes) => nodes.iter().for_each(|node| collect(node, see)),
        NodeKind::Not(node) | NodeKind::Optional(node) => collect(node, see),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{parse, Dialect, Params};
    use crate::text::{AnalysisLimits, Language, StopWords, Synonyms};

    struct Known(&'static [(&'static str, usize)]);

    impl Vocabulary for Known {
        fn documents(&self) -> usize {
            10
        }

        fn documents_with(&self, word: &str) -> usize {
            self.0.iter().find(|(known, _)| *known == word).map_or(0, |(_, documents)| *documents)
        }

        fn similar(&self, word: &str, distance: u8, found: &mut dyn FnMut(&str, usize)) {
            let pattern = Pattern::fuzzy(word.as_bytes(), distance);
            for (known, documents) in self.0 {
                if pattern.matches(known.as_bytes()) {
                    found(known, *documents);
                }
            }
        }
    }

    fn checked(query: &str, include: &[&Dictionary], exclude: &[&Dictionary]) -> Vec<(String, Vec<(String, f64)>)> {
        let vocabulary = Known(&[("hello", 2), ("help", 5), ("hells", 5), ("gone", 0)]);
        let (stop_words, synonyms) = (StopWords::default(), Synonyms::default());
        let analyser = Analyser::new(Language::English, &stop_words, &synonyms, AnalysisLimits::default());
        let ast = parse(query.as_bytes(), Dialect::V2, &Params::default()).unwrap();
        let pairs = |list: Vec<Suggestion>| list.into_iter().map(|one| (one.word.into(), one.score)).collect();
        check(&ast, &analyser, &vocabulary, 1, include, exclude)
            .into_iter()
            .map(|one| (one.word.into(), pairs(one.suggestions)))
            .collect()
    }

    #[test]
    fn unknown_words_get_the_words_of_most_documents_first() {
        let expected = vec![(
            "hell".to_owned(),
            vec![("hells".to_owned(), 0.5), ("help".to_owned(), 0.5), ("hello".to_owned(), 0.2)],
        )];
        assert_eq!(checked("Hell (the -hello) hell", &[], &[]), expected);
        assert_eq!(checked("\"xyzzy help\" hel*", &[], &[]), [("xyzzy".to_owned(), vec![])]);
        assert_eq!(checked("gone", &[], &[]), [("gone".to_owned(), vec![])]);
    }

    #[test]
    fn dictionaries_add_suggestions_or_make_words_known() {
        let extra = Dictionary::from([Box::from("hello"), Box::from("cello")]);
        let shown = checked("yello", &[&extra], &[]);
        assert_eq!(shown, [("yello".to_owned(), vec![("hello".to_owned(), 0.2), ("cello".to_owned(), 0.0)])]);
        assert_eq!(checked("cello", &[], &[&extra]), []);
    }
}
