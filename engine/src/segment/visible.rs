//! Which of a segment's versions does a query see?
//!
//! Versions stand in order of birth, so those not yet born at a query's number are the tail of the
//! segment; those that have died are marked one by one. A query that begins when all changes up to
//! its number are applied sees the same set however long it runs: what is born or dies later has a
//! greater number.

use super::{DocId, Segment, Seq};
use crate::cursor::window::Window;

/// The versions of a segment that a query sees: born at or before its number and not dead by then.
#[derive(Debug, Clone)]
pub struct Visibility<'a> {
    segment: &'a Segment,
    seq: Seq,
    end: DocId,
    all: bool,
    any_dead: bool,
}

impl<'a> Visibility<'a> {
    pub(super) fn new(segment: &'a Segment, seq: Seq) -> Self {
        let end = segment.first_born_from(seq.saturating_add(1));
        let any_dead = segment.deaths() > 0;
        Self { segment, seq, end, all: !any_dead && end == segment.len(), any_dead }
    }

    /// Whether there was nothing hidden when the query began. In a live segment postings of newer
    /// documents may still have been copied, so this is never said of one.
    pub fn all(&self) -> bool {
        self.all && matches!(self.segment, Segment::Sealed(_))
    }

    /// One past the last version born by the query's number.
    pub fn end(&self) -> DocId {
        self.end
    }

    /// Whether a version is seen.
    #[inline]
    pub fn contains(&self, doc: DocId) -> bool {
        doc < self.end && (!self.any_dead || self.lives(doc))
    }

    #[inline]
    fn lives(&self, doc: DocId) -> bool {
        match self.segment {
            Segment::Live(segment) => segment.life(doc).1 > self.seq,
            Segment::Sealed(segment) => segment.docs.lives_at(doc, self.seq),
        }
    }

    /// Takes out of a window the documents that are not seen.
    pub fn restrict(&self, window: &mut Window) {
        window.clear_from(self.end);
        if !self.any_dead {
            return;
        }
        match self.segment {
            Segment::Live(_) => window.retain(|doc| self.lives(doc)),
            Segment::Sealed(segment) => {
                let docs = &segment.docs;
                docs.each_dead(window.start(), window.end(), |doc| {
                    if !docs.lives_at(doc, self.seq) {
                        window.remove(doc);
                    }
                });
            }
        }
    }
}
