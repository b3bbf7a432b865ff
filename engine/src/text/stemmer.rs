//! What is the stem of a word in its language?

use super::Language;
use std::borrow::Cow;
use waken_snowball::Algorithm;

/// The Snowball stemmer of a language.
#[derive(Debug, Clone, Copy)]
pub struct Stemmer {
    algorithm: Algorithm,
}

impl Language {
    /// Whether words of this language are stemmed. Chinese has no stems, and Serbian text in
    /// Cyrillic is first written in Latin letters by its stemmer.
    pub fn has_stemmer(self) -> bool {
        Stemmer::of(self).is_some()
    }
}

impl Stemmer {
    /// The stemmer of `language`, if there is one.
    pub fn of(language: Language) -> Option<Self> {
        let algorithm = match language {
            Language::Arabic => Algorithm::Arabic,
            Language::Armenian => Algorithm::Armenian,
            Language::Basque => Algorithm::Basque,
            Language::Catalan => Algorithm::Catalan,
            Language::Chinese => return None,
            Language::Danish => Algorithm::Danish,
            Language::Dutch => Algorithm::Dutch,
            Language::English => Algorithm::English,
            Language::Finnish => Algorithm::Finnish,
            Language::French => Algorithm::French,
            Language::German => Algorithm::German,
            Language::Greek => Algorithm::Greek,
            Language::Hindi => Algorithm::Hindi,
            Language::Hungarian => Algorithm::Hungarian,
            Language::Indonesian => Algorithm::Indonesian,
            Language::Irish => Algorithm::Irish,
            Language::Italian => Algorithm::Italian,
            Language::Lithuanian => Algorithm::Lithuanian,
            Language::Nepali => Algorithm::Nepali,
            Language::Norwegian => Algorithm::Norwegian,
            Language::Portuguese => Algorithm::Portuguese,
            Language::Romanian => Algorithm::Romanian,
            Language::Russian => Algorithm::Russian,
            Language::Serbian => Algorithm::Serbian,
            Language::Spanish => Algorithm::Spanish,
            Language::Swedish => Algorithm::Swedish,
            Language::Tamil => Algorithm::Tamil,
            Language::Turkish => Algorithm::Turkish,
            Language::Yiddish => Algorithm::Yiddish,
        };
        Some(Self { algorithm })
    }

    /// The stem of `term`, which is normalised. It may be `term` itself.
    pub fn stem<'t>(&self, term: &'t str) -> Cow<'t, str> {
        waken_snowball::stem(self.algorithm, term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stem(language: Language, word: &str) -> String {
        Stemmer::of(language).unwrap().stem(word).into_owned()
    }

    #[test]
    fn known_words_have_their_stems() {
        for (language, word, expected) in [
            (Language::English, "running", "run"),
            (Language::English, "hello", "hello"),
            (Language::English, "ponies", "poni"),
            (Language::German, "häuser", "haus"),
            (Language::French, "continuellement", "continuel"),
            (Language::Spanish, "corriendo", "corr"),
            (Language::Russian, "книгами", "книг"),
            (Language::Swedish, "flickorna", "flick"),
        ] {
            assert_eq!(stem(language, word), expected, "{word}");
        }
    }

    #[test]
    fn every_language_but_chinese_has_a_stemmer_and_a_name_that_parses() {
        for language in Language::ALL {
            assert_eq!(language.has_stemmer(), language != Language::Chinese);
            assert_eq!(Language::parse(language.name().to_uppercase().as_bytes()), Some(language));
        }
        assert_eq!(Language::parse(b"klingon"), None);
    }

    proptest! {
        // Generated code works on byte positions; whatever text arrives, it must not panic.
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn any_word_can_be_stemmed_in_any_language(word in "\\PC{0,12}", suffix in "(ing|és|ung|ами|ने|ம்|ים|ան|ης|ات|lar|ksi){0,3}") {
            for language in Language::ALL {
                if let Some(stemmer) = Stemmer::of(language) {
                    stemmer.stem(&format!("{word}{suffix}"));
                }
            }
        }
    }
}
