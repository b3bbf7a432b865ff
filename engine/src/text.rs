//! How do text, tags, numbers and points become what is indexed and searched?
//!
//! Documents and queries go through the same steps, so that what was indexed can be found:
//! [`tokeniser`] cuts bytes into words, [`normalise`](normalise()) gives each word its one form, and
//! [`Analyser`] drops stop words and adds what else a word is found by: its stem, its sound, and the
//! synonym groups it is in.

mod analyser;
mod chinese;
mod language;
mod normalise;
mod phonetic;
mod stemmer;
mod stop_words;
mod synonyms;
pub mod tokeniser;
mod value;

pub use analyser::{Analyser, AnalysisLimits, Term, TermKind, Token, Tokens};
pub use language::Language;
pub use normalise::{cut, fold, normalise, normalise_into};
pub use phonetic::phonetic_code;
pub use stemmer::Stemmer;
pub use stop_words::StopWords;
pub use synonyms::Synonyms;
pub use tokeniser::cut_from;
pub use value::{geo_point, normalise_tag, number, tags, Point};
