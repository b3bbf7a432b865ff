//! Which languages can a document be in, and which of them have a stemmer?

/// A language of documents and queries, as `LANGUAGE` names it.
///
/// The list is that of RediSearch 2.10. Languages without a stemmer here are accepted and indexed
/// unstemmed (see [`Language::has_stemmer`]), so that a client that names one still works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Language {
    Arabic,
    Armenian,
    Basque,
    Catalan,
    Chinese,
    Danish,
    Dutch,
    English,
    Finnish,
    French,
    German,
    Greek,
    Hindi,
    Hungarian,
    Indonesian,
    Irish,
    Italian,
    Lithuanian,
    Nepali,
    Norwegian,
    Portuguese,
    Romanian,
    Russian,
    Serbian,
    Spanish,
    Swedish,
    Tamil,
    Turkish,
    Yiddish,
}

impl Language {
    /// Every language, in alphabetical order.
    pub const ALL: [Language; 29] = [
        Self::Arabic,
        Self::Armenian,
        Self::Basque,
        Self::Catalan,
        Self::Chinese,
        Self::Danish,
        Self::Dutch,
        Self::English,
        Self::Finnish,
        Self::French,
        Self::German,
        Self::Greek,
        Self::Hindi,
        Self::Hungarian,
        Self::Indonesian,
        Self::Irish,
        Self::Italian,
        Self::Lithuanian,
        Self::Nepali,
        Self::Norwegian,
        Self::Portuguese,
        Self::Romanian,
        Self::Russian,
        Self::Serbian,
        Self::Spanish,
        Self::Swedish,
        Self::Tamil,
        Self::Turkish,
        Self::Yiddish,
    ];

    /// The language called `name`, in any case; `None` when there is no such language.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Whether its texts can be read at once: the words of Chinese stand in a dictionary that is loaded when it is
    /// first needed, and that takes a good part of a second.
    pub fn is_ready(self) -> bool {
        self != Self::Chinese || super::chinese::is_loaded()
    }

    /// Its English name in lower case, as `FT.INFO` shows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Arabic => "arabic",
            Self::Armenian => "armenian",
            Self::Basque => "basque",
            Self::Catalan => "catalan",
            Self::Chinese => "chinese",
            Self::Danish => "danish",
            Self::Dutch => "dutch",
            Self::English => "english",
            Self::Finnish => "finnish",
            Self::French => "french",
            Self::German => "german",
            Self::Greek => "greek",
            Self::Hindi => "hindi",
            Self::Hungarian => "hungarian",
            Self::Indonesian => "indonesian",
            Self::Irish => "irish",
            Self::Italian => "italian",
            Self::Lithuanian => "lithuanian",
            Self::Nepali => "nepali",
            Self::Norwegian => "norwegian",
            Self::Portuguese => "portuguese",
            Self::Romanian => "romanian",
            Self::Russian => "russian",
            Self::Serbian => "serbian",
            Self::Spanish => "spanish",
            Self::Swedish => "swedish",
            Self::Tamil => "tamil",
            Self::Turkish => "turkish",
            Self::Yiddish => "yiddish",
        }
    }
}
