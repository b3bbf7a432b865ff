//! Which tags and words does an index have?

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::cursor::budget::{Budget, Stop as Ended};
use engine::index::{Arrival, Snapshot};
use engine::query::Ast;
use engine::schema::FieldId;
use engine::spellcheck::{check, Dictionary, Misspelling};
use engine::terms::{self, Words};
use engine::text::{normalise, Analyser};

use super::{analysis_limits, dictionaries, Failure, SearchIndex, View};
use crate::redis::Lane;
use crate::settings;

/// The tags of a field of all documents, in order.
///
/// # Errors
/// Why there is no answer.
pub fn tag_values(
    lane: &mut Lane,
    index: &Arc<SearchIndex>,
    arrival: &Arrival,
    field: FieldId,
) -> Result<Vec<Box<[u8]>>, Failure> {
    over_snapshot(lane, index, arrival, None, |snapshot, budget| terms::tag_values(snapshot, field, budget))
}

/// How many different words documents have, with what is derived from them.
///
/// # Errors
/// Why there is no answer.
pub fn word_count(lane: &mut Lane, index: &Arc<SearchIndex>) -> Result<u64, Failure> {
    within(lane, index, None, |budget| index.documents().words(budget))
}

/// What FT.SPELLCHECK asks for.
pub struct Spelling {
    /// The query.
    pub query: Ast,
    /// How the index reads words.
    pub view: Arc<View>,
    /// Edits between a word and what may have been meant.
    pub distance: u8,
    /// Lists of words that may be suggested.
    pub include: Vec<Arc<dictionaries::Words>>,
    /// Lists of words that are right.
    pub exclude: Vec<Arc<dictionaries::Words>>,
}

/// The words of a query that the index does not know.
///
/// # Errors
/// Why there is no answer.
pub fn misspelled(
    lane: &mut Lane,
    index: &Arc<SearchIndex>,
    arrival: &Arrival,
    spelling: &Spelling,
) -> Result<Vec<Misspelling>, Failure> {
    let options = &spelling.view.options;
    let analyser = Analyser::new(options.language, &options.stop_words, &spelling.view.synonyms, analysis_limits());
    let [include, exclude] = [&spelling.include, &spelling.exclude]
        .map(|lists| lists.iter().map(|words| normalised(words)).collect::<Vec<Dictionary>>());
    over_snapshot(lane, index, arrival, settings::TIMEOUT.millis(), |snapshot, budget| {
        let words = Words::new(snapshot, budget);
        let (include, exclude): (Vec<_>, Vec<_>) = (include.iter().collect(), exclude.iter().collect());
        check(&spelling.query, &analyser, &words, spelling.distance, &include, &exclude)
    })
}

/// Words of a user's list in the form of terms.
fn normalised(words: &dictionaries::Words) -> Dictionary {
    words.iter().map(|word| normalise(word).into_boxed_str()).collect()
}

/// Runs `work` over what a command sees that has arrived.
fn over_snapshot<R>(
    lane: &mut Lane,
    index: &Arc<SearchIndex>,
    arrival: &Arrival,
    limit: Option<Duration>,
    work: impl FnOnce(&Snapshot, &Budget<'_>) -> R,
) -> Result<R, Failure> {
    let snapshot = index.snapshot(arrival, lane.cancel()).map_err(Failure::Stopped)?;
    within(lane, index, limit, |budget| work(&snapshot, budget))
}

/// Runs `work` until its time is over, the index is dropped or nobody waits any more.
fn within<R>(
    lane: &mut Lane,
    index: &SearchIndex,
    limit: Option<Duration>,
    work: impl FnOnce(&Budget<'_>) -> R,
) -> Result<R, Failure> {
    let cancel = lane.cancel();
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let ask = || {
        if cancel.stopped().is_some() || index.is_dropped() {
            Some(Ended::Cancelled)
        } else {
            deadline.filter(|&deadline| Instant::now() >= deadline).map(|_| Ended::Deadline)
        }
    };
    let budget = Budget::new(&ask);
    let result = work(&budget);
    cancel.check().map_err(Failure::Stopped)?;
    if index.is_dropped() {
        return Err(Failure::no_index(index.name()));
    }
    // A part of an answer would call words unknown that are not.
    if budget.stopped() == Some(Ended::Deadline) {
        return Err(Failure::TimedOut);
    }
    Ok(result)
}
