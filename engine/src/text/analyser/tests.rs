use super::*;
use crate::schema::PhoneticLanguage;
use proptest::prelude::*;

fn listed(text: &[u8], options: &TextOptions, synonyms: &Synonyms) -> Vec<(String, u32, Range<usize>)> {
    let stop_words = StopWords::default();
    let analyser = Analyser::new(Language::English, &stop_words, synonyms, AnalysisLimits::default());
    let mut tokens = analyser.tokens(text, options, 1);
    let mut list = Vec::new();
    while let Some(token) = tokens.next_token() {
        list.push((format!("{}{}", token.kind.sign(), token.text), token.position, token.bytes));
    }
    assert!(tokens.next_token().is_none());
    list
}

fn terms(text: &str, options: &TextOptions) -> Vec<(String, u32)> {
    let list = listed(text.as_bytes(), options, &Synonyms::default());
    list.into_iter().map(|(term, position, _)| (term, position)).collect()
}

#[test]
fn stop_words_take_no_position_and_stems_share_one() {
    let expected = [("runners", 1), ("+runner", 1), ("ran", 2), ("fox", 3)];
    let expected: Vec<_> = expected.map(|(term, position)| (term.to_owned(), position)).into();
    assert_eq!(terms("The Runners ran, to the fox", &TextOptions::default()), expected);
}

#[test]
fn short_words_and_nostem_fields_have_no_stems() {
    let nostem = TextOptions { stem: false, ..TextOptions::default() };
    assert_eq!(terms("running", &nostem), [("running".to_owned(), 1)]);
    assert_eq!(terms("dogs ads", &TextOptions::default()).len(), 3);
}

#[test]
fn sounds_and_synonyms_follow_their_word() {
    let options = TextOptions { phonetic: Some(PhoneticLanguage::English), ..TextOptions::default() };
    let mut synonyms = Synonyms::default();
    synonyms.update(b"g", [&b"john"[..], b"jack"]);
    let list: Vec<_> = listed(b"John x", &options, &synonyms).into_iter().map(|(term, at, _)| (term, at)).collect();
    let expected = [("john", 1), ("<JN", 1), ("~g", 1), ("x", 2)].map(|(term, at)| (term.to_owned(), at));
    assert_eq!(list, expected);
}

#[test]
fn byte_ranges_cover_the_word_as_written() {
    let list = listed("Été \\-x".as_bytes(), &TextOptions::default(), &Synonyms::default());
    assert_eq!(list, [("été".to_owned(), 1, 0..5), ("-x".to_owned(), 2, 6..9)]);
}

#[test]
fn long_words_are_cut() {
    let text = "é".repeat(100);
    assert_eq!(terms(&text, &TextOptions { stem: false, ..TextOptions::default() })[0].0.len(), 128);
}

#[test]
fn the_walk_can_stop_and_tells_the_next_position() {
    let (stop_words, synonyms, options) = (StopWords::default(), Synonyms::default(), TextOptions::default());
    let analyser = Analyser::new(Language::English, &stop_words, &synonyms, AnalysisLimits::default());
    let mut tokens = analyser.tokens(b"one two", &options, 5);
    assert_eq!(tokens.next_position(), 5);
    tokens.next_token();
    assert_eq!((tokens.next_position(), tokens.consumed()), (6, 3));
    while tokens.next_token().is_some() {}
    assert_eq!(tokens.next_position(), 7);
}

#[test]
fn keys_of_kinds_never_meet() {
    let keys: Vec<_> = [TermKind::Word, TermKind::Stem, TermKind::Phonetic, TermKind::Synonym]
        .map(|kind| Term::new(kind, "+x").key())
        .into();
    assert_eq!(keys, [&b"\x01+x"[..], b"++x", b"<+x", b"~+x"]);
    assert_eq!(Term::word("x").key(), b"x");
    assert_eq!(TermKind::of_key(b"\x01+x"), (TermKind::Word, &b"+x"[..]));
    assert_eq!(TermKind::of_key(b"+x"), (TermKind::Stem, &b"x"[..]));
    assert_eq!(TermKind::of_key(b"x"), (TermKind::Word, &b"x"[..]));
    assert_eq!(TermKind::of_key(b""), (TermKind::Word, &b""[..]));
}

proptest! {
    #[test]
    fn a_query_word_is_the_term_that_was_indexed(word in "[^\\s\\p{P}\\p{S}]{1,40}") {
        let (stop_words, synonyms) = (StopWords::custom([]).unwrap(), Synonyms::default());
        let options = TextOptions { stem: false, ..TextOptions::default() };
        let analyser = Analyser::new(Language::English, &stop_words, &synonyms, AnalysisLimits::default());
        let mut tokens = analyser.tokens(word.as_bytes(), &options, 0);
        let indexed = tokens.next_token().map(|token| Term::word(token.text));
        prop_assert_eq!(indexed, analyser.word(word.as_bytes()));
    }

    #[test]
    fn any_bytes_are_analysed_and_positions_never_fall(text: Vec<u8>) {
        let mut last = 0;
        for (_, position, bytes) in listed(&text, &TextOptions::default(), &Synonyms::default()) {
            prop_assert!(position == last || position == last + 1);
            prop_assert!(bytes.end <= text.len());
            last = position;
        }
    }
}
