//! What form do terms have, whatever form they were written in?
//!
//! Unicode NFKC with case folding: `Straße`, `STRASSE` and `ｓｔｒａｓｓｅ` are one term, and so are
//! a composed and a decomposed `é`. Control characters and characters that show nothing (soft
//! hyphen, zero-width joiners, variation selectors, byte order mark) are dropped. The folding is
//! the language-independent one: Turkish `I` becomes `i`.
//!
//! Bytes that are not UTF-8 become U+FFFD, one for each maximal broken sequence. Two words that
//! differ only in such bytes are therefore the same term; nothing is lost in stored documents.

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

/// The normal form of `text`.
pub fn normalise(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    normalise_into(text, &mut out);
    out
}

/// Appends the normal form of `text` to `out`.
pub fn normalise_into(text: &[u8], out: &mut String) {
    let start = out.len();
    if let Some(plain) = std::str::from_utf8(text).ok().filter(|_| text.iter().all(|byte| (b' '..=b'~').contains(byte)))
    {
        out.push_str(plain);
        out[start..].make_ascii_lowercase();
        return;
    }
    let decoded = String::from_utf8_lossy(text);
    for c in decoded.chars() {
        match simple(c) {
            Some(c) => out.push(c),
            None => {
                out.truncate(start);
                normalise_fully(&decoded, out);
                return;
            }
        }
    }
}

/// The normal form by the tables of Unicode.
fn normalise_fully(text: &str, out: &mut String) {
    // Decomposing first lets folding see the letters inside ligatures, full-width and mathematical
    // forms; what folding takes apart is composed again at the end.
    let folded = text.chars().filter(|&c| !is_dropped(c)).nfkd().default_case_fold().nfkc();
    out.extend(folded.filter(|&c| !is_dropped(c)));
}

/// The normal form of a character that has one by itself, whatever stands beside it: letters of
/// common alphabets and ideographs, which is nearly all text. A text of such characters needs no
/// tables.
fn simple(c: char) -> Option<char> {
    match c {
        ' '..='~' => Some(c.to_ascii_lowercase()),
        // Without sharp s.
        'À'..='Ö' | 'Ø'..='Þ' => char::from_u32(u32::from(c) + 32),
        'à'..='ö' | 'ø'..='ÿ' => Some(c),
        // Without what decomposes or folds to two: dotted I, ligature ij, l with a dot, n after an
        // apostrophe, long s.
        'Ā'..='į' | 'Ĵ'..='ľ' | 'Ł'..='ň' | 'Ŋ'..='ž' | 'Ѐ'..='џ' => c.to_lowercase().next(),
        'ぁ'..='ゖ' | 'ァ'..='ヺ' | '\u{4e00}'..='\u{9fff}' | '가'..='힣' => Some(c),
        _ => None,
    }
}

/// Case-folds `text` and leaves everything else as it is, bytes that are not UTF-8 too: the form of
/// tags and of `SORTABLE` text. Composed and decomposed letters become the same (NFC).
pub fn fold(text: &[u8]) -> Vec<u8> {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut folded = String::new();
    for chunk in text.utf8_chunks() {
        folded.clear();
        folded.extend(chunk.valid().nfd().default_case_fold().nfc());
        out.extend_from_slice(folded.as_bytes());
        out.extend_from_slice(chunk.invalid());
    }
    out
}

/// Whether `c` is never part of a term.
fn is_dropped(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Cuts `term` to at most `bytes`, at a character boundary.
pub fn cut(term: &mut String, bytes: usize) {
    if term.len() > bytes {
        let end = (0..=bytes).rev().find(|&end| term.is_char_boundary(end)).unwrap_or(0);
        term.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms_of_one_word_become_one_term() {
        for (written, term) in [
            ("Hello", "hello"),
            ("Straße", "strasse"),
            ("STRASSE", "strasse"),
            ("ｓｔｒ", "str"),
            ("ÉCOLE", "école"),
            ("e\u{301}cole", "école"),
            ("ﬁne", "fine"),
            ("ΟΔΟΣ", "οδοσ"),
            ("οδος", "οδοσ"),
            ("co\u{ad}op", "coop"),
            ("a\u{7}b\u{85}c", "abc"),
            ("𝐁old", "bold"),
        ] {
            assert_eq!(normalise(written.as_bytes()), term, "{written}");
        }
    }

    #[test]
    fn broken_bytes_become_replacement_characters() {
        assert_eq!(normalise(b"caf\xe9s"), "caf\u{fffd}s");
        assert_eq!(normalise(b"\xf0\x9f\xffA"), "\u{fffd}\u{fffd}a");
    }

    #[test]
    fn folding_keeps_what_is_no_letter() {
        assert_eq!(fold(b"A\x01B\xffE\xcc\x81C"), b"a\x01b\xff\xc3\xa9c");
        assert_eq!(fold("① ＡÉ".as_bytes()), "① ａé".as_bytes());
    }

    #[test]
    fn cutting_keeps_whole_characters() {
        let mut term = "aéé".to_owned();
        cut(&mut term, 4);
        assert_eq!(term, "aé");
        cut(&mut term, 3);
        assert_eq!(term, "aé");
        cut(&mut term, 0);
        assert_eq!(term, "");
    }

    #[test]
    fn each_simple_character_is_what_the_tables_say() {
        for c in (0..0x11_0000).filter_map(char::from_u32) {
            if let Some(folded) = simple(c) {
                let mut general = String::new();
                normalise_fully(c.encode_utf8(&mut [0; 4]), &mut general);
                assert_eq!(folded.to_string(), general, "{c:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(text in any::<String>()) {
            let once = normalise(text.as_bytes());
            prop_assert_eq!(normalise(once.as_bytes()), once);
        }

        #[test]
        fn the_ascii_path_agrees_with_the_general_one(text in "[ -~\\x00-\\x1f]{0,20}") {
            let general: String = normalise(format!("é{text}").as_bytes());
            prop_assert_eq!(format!("é{}", normalise(text.as_bytes())), general);
        }

        #[test]
        fn simple_characters_agree_with_the_tables(text in "[ -~À-žЀ-џぁ-ゖァ-ヺ一-十가-깅]{0,20}") {
            let mut general = String::new();
            normalise_fully(&text, &mut general);
            prop_assert_eq!(normalise(text.as_bytes()), general);
        }

        #[test]
        fn any_bytes_are_text(text: Vec<u8>) {
            normalise(&text);
        }
    }
}
