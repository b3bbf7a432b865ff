//! Where does the time of a query go (`FT.PROFILE`)?
//!
//! Each clause's cursors are wrapped in one that counts and measures. Only a query that asks for it has
//! such cursors; no other pays for them.

use super::bind::Bound;
use super::filter::Predicate;
use super::window::Window;
use super::{Bound as ScoreBound, BoxCursor, Cursor};
use crate::dict::Space;
use crate::schema::FieldId;
use crate::score::explain::Explanation;
use crate::score::{Scale, Scoring};
use crate::segment::{DocFacts, DocId, END};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What one clause did, in all segments together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    /// What it is: `INTERSECT`, `UNION`, `TEXT`, `TAG`, `NUMERIC`, `GEO`, `NOT`, `OPTIONAL`, `WILDCARD`,
    /// `ID-LIST`, `EMPTY` or `MISSING`.
    pub kind: &'static str,
    /// Of a union, what it came from: `UNION`, or the kind of a pattern.
    pub origin: Option<&'static str>,
    /// The term, or the range.
    pub term: Option<Box<[u8]>>,
    /// The field, where the clause is of one field that is not text.
    pub field: Option<FieldId>,
    /// Time in it and the clauses in it.
    pub time: Duration,
    /// Documents that it gave.
    pub reads: u64,
    /// About how many it has.
    pub size: u64,
    /// The clauses in it.
    pub children: Vec<Profile>,
}

#[derive(Debug, Default)]
struct Counter {
    reads: Cell<u64>,
    size: Cell<u64>,
    time: Cell<Duration>,
}

impl Counter {
    fn measure<R>(&self, work: impl FnOnce() -> R) -> R {
        let started = Instant::now();
        let result = work();
        self.time.set(self.time.get() + started.elapsed());
        result
    }

    fn read(&self, documents: u64) {
        self.reads.set(self.reads.get() + documents);
    }
}

/// The counters of a query's clauses.
#[derive(Default)]
pub(super) struct Profiler {
    /// By the place of the clause in memory, which does not change while cursors are made.
    counters: RefCell<HashMap<usize, Rc<Counter>>>,
}

impl Profiler {
    fn counter(&self, bound: &Bound<'_>) -> Rc<Counter> {
        Rc::clone(self.counters.borrow_mut().entry(std::ptr::from_ref(bound) as usize).or_default())
    }

    /// Makes a cursor that counts.
    pub(super) fn watch<'a>(
        &self,
        bound: &Bound<'_>,
        size: u64,
        make: impl FnOnce() -> BoxCursor<'a>,
    ) -> BoxCursor<'a> {
        let counter = self.counter(bound);
        counter.size.set(counter.size.get() + size);
        let cursor = counter.measure(make);
        counter.read(u64::from(cursor.doc() != END));
        Box::new(Counted { cursor, counter })
    }

    /// What was counted.
    pub(super) fn report(&self, bound: &Bound<'_>) -> Profile {
        let counter = self.counter(bound);
        let report = |children: &[Bound<'_>]| children.iter().map(|child| self.report(child)).collect::<Vec<_>>();
        let mut profile = Profile {
            kind: "EMPTY",
            time: counter.time.get(),
            reads: counter.reads.get(),
            size: counter.size.get(),
            ..Profile::default()
        };
        match bound {
            Bound::Empty => {}
            Bound::All(_) => profile.kind = "WILDCARD",
            Bound::Term(term) => {
                (profile.kind, profile.field) = match term.space {
                    Space::Text => ("TEXT", None),
                    Space::Tag(field) => ("TAG", Some(field)),
                    Space::Missing(field) => ("MISSING", Some(field)),
                };
                profile.term = Some((&*term.name).into());
            }
            Bound::Intersect { required, optional, excluded, .. } => {
                profile.kind = "INTERSECT";
                profile.children = report(required);
                let beside = |kind, clause: &Bound<'_>| {
                    let child = self.report(clause);
                    let (time, reads, size) = (child.time, child.reads, child.size);
                    Profile { kind, time, reads, size, children: vec![child], ..Profile::default() }
                };
                profile.children.extend(optional.iter().map(|clause| beside("OPTIONAL", clause)));
                profile.children.extend(excluded.iter().map(|clause| beside("NOT", clause)));
            }
            Bound::Union { children, origin, .. } => {
                (profile.kind, profile.origin) = ("UNION", Some(*origin));
                profile.children = report(children);
            }
            Bound::Not(child) => {
                profile.kind = "NOT";
                profile.children = vec![self.report(child)];
            }
            Bound::Optional(child) => {
                profile.kind = "OPTIONAL";
                profile.children = vec![self.report(child)];
            }
            Bound::Filter(Predicate::Range(field, range), _) => {
                (profile.kind, profile.field) = ("NUMERIC", Some(*field));
                profile.term = Some(format!("{} - {}", range.min, range.max).into_bytes().into());
            }
            Bound::Filter(Predicate::Circle(field, _), _) => (profile.kind, profile.field) = ("GEO", Some(*field)),
            Bound::Ids(..) => profile.kind = "ID-LIST",
        }
        profile
    }
}

/// A cursor that counts what another one does.
struct Counted<'a> {
    cursor: BoxCursor<'a>,
    counter: Rc<Counter>,
}

impl Counted<'_> {
    fn moved(&mut self, step: impl FnOnce(&mut dyn Cursor) -> DocId) -> DocId {
        let before = self.cursor.doc();
        let doc = self.counter.measure(|| step(&mut *self.cursor));
        self.counter.read(u64::from(doc != before && doc != END));
        doc
    }
}

impl Cursor for Counted<'_> {
    fn doc(&self) -> DocId {
        self.cursor.doc()
    }

    fn next(&mut self) -> DocId {
        self.moved(|cursor| cursor.next())
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.moved(|cursor| cursor.seek(target))
    }

    fn cost(&self) -> u64 {
        self.cursor.cost()
    }

    fn bound(&mut self, from: DocId) -> ScoreBound {
        self.cursor.bound(from)
    }

    fn score(&mut self, scale: &Scale) -> f64 {
        self.cursor.score(scale)
    }

    fn positions(&mut self, out: &mut Vec<u32>) {
        self.cursor.positions(out);
    }

    fn proximity(&mut self) -> f64 {
        self.cursor.proximity()
    }

    fn fill(&mut self, window: &mut Window) {
        let before = window.count();
        self.counter.measure(|| self.cursor.fill(window));
        self.counter.read(window.count() - before);
    }

    fn fills_fast(&self) -> bool {
        self.cursor.fills_fast()
    }

    fn explain(&mut self, scoring: &Scoring, facts: DocFacts) -> Explanation {
        self.cursor.explain(scoring, facts)
    }
}
