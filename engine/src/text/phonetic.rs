//! How does a word sound?

use rphonetic::{DoubleMetaphone, Encoder};
use unicode_normalization::UnicodeNormalization;

/// The primary double metaphone code (Lawrence Philips, 2000; four letters at most) of a normalised
/// word; `None` for a word without Latin letters. Accents are ignored, but for the `ç`, which the
/// algorithm hears as `s`. All four matcher languages have the same code.
pub fn phonetic_code(word: &str) -> Option<String> {
    // The encoder gets ASCII letters only: it cuts its input at byte positions.
    let letters: String =
        word.chars().map(|c| if c == 'ç' { 's' } else { c }).nfkd().filter(char::is_ascii_alphabetic).collect();
    let code = DoubleMetaphone::default().encode(&letters);
    (!code.is_empty()).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_that_sound_alike_have_one_code() {
        for (one, other) in [
            ("jon", "john"),
            ("garçon", "garson"),
            ("piñata", "pinata"),
            ("smith", "smyth"),
            ("fantasy", "phantasy"),
            ("resume", "résumé"),
        ] {
            assert_eq!(phonetic_code(one), phonetic_code(other), "{one} {other}");
        }
        assert_eq!(phonetic_code("thumb").as_deref(), Some("0M"));
        assert_ne!(phonetic_code("cat"), phonetic_code("dog"));
        assert_eq!(phonetic_code("123"), None);
        assert_eq!(phonetic_code("книга"), None);
    }

    proptest! {
        #[test]
        fn any_word_has_a_code_or_none(word in "\\PC{0,12}", letters in "[A-Za-zçñ]{0,12}") {
            phonetic_code(&word);
            phonetic_code(&letters);
        }
    }
}
