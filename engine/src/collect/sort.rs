//! Which are the first by a column?
//!
//! Numbers are ranked as they are. Texts are ranked within each segment by their rank there, and
//! the first of each segment are then compared by their bytes. Documents without a value come last
//! in both directions; equals stand by age, in the direction of the sort.

use super::count::each_window;
use super::topk::{ordered, Ties, TopK};
use crate::columns::numeric::NumericColumn;
use crate::columns::sort::NO_RANK;
use crate::columns::SortValue;
use crate::cursor::window::each_bit;
use crate::cursor::BoxCursor;
use crate::schema::FieldId;
use crate::segment::visible::Visibility;
use crate::segment::{DocId, Segment};

/// The key of a document without a value: below all others.
const NONE: u64 = 0;

/// A sort by one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortBy {
    /// The field.
    pub field: FieldId,
    /// Whether it is numeric.
    pub numeric: bool,
    /// Whether the greatest comes first.
    pub descending: bool,
}

impl SortBy {
    /// Which of two equals comes first.
    pub fn ties(self) -> Ties {
        if self.descending {
            Ties::Last
        } else {
            Ties::First
        }
    }

    /// A document's value.
    pub fn value(self, segment: &Segment, doc: DocId) -> Option<SortValue> {
        if self.numeric {
            Some(segment.number(self.field, doc)).filter(|value| !value.is_nan()).map(SortValue::Number)
        } else {
            segment.sort_text(self.field, doc).map(|text| SortValue::Text(text.into()))
        }
    }

    fn number_key(self, value: f64) -> u64 {
        if value.is_nan() {
            NONE
        } else if self.descending {
            ordered(value)
        } else {
            !ordered(value)
        }
    }
}

/// Ranks all matches of one segment by number. Returns how many there were.
pub fn by_number(
    sort: SortBy,
    cursor: &mut BoxCursor<'_>,
    (number, segment): (usize, &Segment),
    visible: &Visibility<'_>,
    top: &mut TopK,
) -> u64 {
    let mut matches = vec![0u64; (segment.len() as usize).div_ceil(64)];
    let mut total = 0;
    each_window(cursor, visible, |window| {
        total += window.count();
        window.copy_to(&mut matches);
    });
    let column = match segment {
        Segment::Sealed(sealed) => sealed.columns().numeric(sort.field),
        Segment::Live(_) => None,
    };
    if let Some(first) = column.and_then(|column| first_in_order(sort, column, &matches, total, top)) {
        first.into_iter().for_each(|(key, doc)| top.offer(key, number, doc));
        return total;
    }
    let mut threshold = top.threshold();
    each_bit(&matches, |doc| {
        let value = column.map_or_else(|| segment.number(sort.field, doc), |column| column.value(doc));
        let key = sort.number_key(value);
        if threshold.is_none_or(|threshold| key >= threshold) {
            top.offer(key, number, doc);
            threshold = top.threshold();
        }
    });
    total
}

/// The first matches along a column's order, as many as may be wanted; `None` where looking at all matches is less work.
fn first_in_order(
    sort: SortBy,
    column: &NumericColumn,
    matches: &[u64],
    total: u64,
    top: &TopK,
) -> Option<Vec<(u64, DocId)>> {
    // Along the order a document costs about as much as a match does: if all goes as expected, this is less.
    let expected = top.wanted() as u64 * column.order().len() as u64 / total.max(1);
    if expected > total / 4 {
        return None;
    }
    let mut first: Vec<(u64, DocId)> = Vec::new();
    for at in 0..column.order().len().min(total as usize) {
        let at = if sort.descending { column.order().len() - 1 - at } else { at };
        let doc = column.order()[at];
        if matches[doc as usize / 64] >> (doc % 64) & 1 == 0 {
            continue;
        }
        let key = sort.number_key(column.value(doc));
        // Zeros of both signs are equal, but stand apart in the order.
        let is_tie = first.last().is_some_and(|&(last, _)| last == key && key == sort.number_key(0.0));
        let is_late = first.len() >= top.wanted() || top.threshold().is_some_and(|threshold| key < threshold);
        if is_late && !is_tie {
            return Some(first);
        }
        first.push((key, doc));
    }
    // All that have a value were passed, or it went worse than expected.
    None
}

/// A document with its text.
pub type Texted = (Option<Box<[u8]>>, usize, DocId);

/// Adds the first `k` matches of one segment by text to `first`. Returns how many there were.
pub fn by_text(
    sort: SortBy,
    cursor: &mut BoxCursor<'_>,
    (number, segment): (usize, &Segment),
    visible: &Visibility<'_>,
    k: usize,
    first: &mut Vec<Texted>,
) -> u64 {
    let mut total = 0;
    let Segment::Sealed(sealed) = segment else {
        let start = first.len();
        each_window(cursor, visible, |window| {
            total += window.count();
            window.for_each(|doc| first.push((segment.sort_text(sort.field, doc).map(Into::into), number, doc)));
        });
        let mut here = first.split_off(start);
        arrange(sort, k, &mut here);
        first.append(&mut here);
        return total;
    };
    let column = sealed.columns().sort(sort.field);
    let mut top = TopK::new(k, sort.ties());
    each_window(cursor, visible, |window| {
        total += window.count();
        window.for_each(|doc| {
            let rank = column.map_or(NO_RANK, |column| column.rank(doc));
            let key = match rank {
                NO_RANK => NONE,
                rank if sort.descending => u64::from(rank) + 1,
                rank => u64::MAX - u64::from(rank),
            };
            top.offer(key, number, doc);
        });
    });
    let text = |doc| segment.sort_text(sort.field, doc).map(Into::into);
    first.extend(top.into_sorted().into_iter().map(|(_, _, doc)| (text(doc), number, doc)));
    total
}

/// Sorts documents of several segments and keeps the first `k`.
pub fn arrange(sort: SortBy, k: usize, documents: &mut Vec<Texted>) {
    documents.sort_unstable_by(|a, b| {
        let none_last = a.0.is_none().cmp(&b.0.is_none());
        let forward = a.0.cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2)));
        none_last.then(if sort.descending { forward.reverse() } else { forward })
    });
    documents.truncate(k);
}
