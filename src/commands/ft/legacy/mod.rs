//! The document commands of version 1: `FT.ADD`, `FT.GET`, `FT.DEL` and their relatives, on hashes.

mod add;
mod addhash;
mod documents;
mod index;

use std::sync::Arc;

use engine::text::Language;

use super::unknown_index;
use crate::redis::{Invocation, Loader};
use crate::reply::Reply;
use crate::search::{registry, SearchIndex};

pub(super) fn register(loader: &Loader) -> Result<(), String> {
    loader.command::<add::Add>()?;
    loader.command::<add::SafeAdd>()?;
    loader.command::<addhash::AddHash>()?;
    loader.command::<addhash::SafeAddHash>()?;
    loader.command::<documents::Get>()?;
    loader.command::<documents::MGet>()?;
    loader.command::<documents::Del>()?;
    loader.command::<documents::SetPayload>()?;
    loader.command::<index::Drop>()?;
    loader.command::<index::Optimize>()
}

/// The index that the first argument names; otherwise the error with this text.
fn index_of(invocation: &Invocation<'_>, unknown: &str) -> Result<Arc<SearchIndex>, Reply> {
    let name = invocation.args().first().copied().unwrap_or_default();
    registry::find(&invocation.held, name).ok_or_else(|| Reply::error(unknown))
}

/// A document's score.
fn score(word: &[u8]) -> Result<f64, String> {
    let score: f64 = std::str::from_utf8(word)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "Could not parse document score".to_owned())?;
    if (0.0..=1.0).contains(&score) {
        Ok(score)
    } else {
        Err("Score must be between 0 and 1".to_owned())
    }
}

fn language(word: &[u8]) -> Result<Language, String> {
    Language::parse(word).ok_or_else(|| "Unsupported language".to_owned())
}
