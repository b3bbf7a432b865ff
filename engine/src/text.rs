//! How does text become terms?
//!
//! Documents and queries go through the same steps, so that what was indexed can be found.

mod language;
mod normalise;
mod stop_words;

pub use language::Language;
pub use normalise::{cut, normalise, normalise_into};
pub use stop_words::StopWords;
