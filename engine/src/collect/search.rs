//! How is a query run?

use super::accumulate::MANY;
use super::count::{count, each_window};
use super::gate::Gate;
use super::prune::{Leaders, Offer};
use super::sort::{arrange, by_number, by_text, SortBy};
use super::topk::{ordered, unordered, Ties, TopK};
use crate::columns::SortValue;
use crate::cursor::budget::{Budget, Stop};
use crate::cursor::build::Prepared;
use crate::cursor::plan::Node;
use crate::cursor::profile::Profile;
use crate::cursor::term::TermCursor;
use crate::cursor::BoxCursor;
use crate::index::Snapshot;
use crate::score::explain::Explanation;
use crate::score::{Scorer, Scoring};
use crate::segment::visible::Visibility;
use crate::segment::{DocId, END};

/// Matches below which a segment is walked once rather than counted and pruned: what it costs to
/// make cursors twice. Measured: benches/query.rs.
pub const WALK_BELOW: u64 = 4_096;

/// What is wanted of a query.
#[derive(Debug, Clone)]
pub struct Request<'q> {
    /// What must match.
    pub query: &'q Node,
    /// What it is worth.
    pub scorer: Scorer,
    /// The query's payload, for [`Scorer::Hamming`].
    pub payload: Option<&'q [u8]>,
    /// Which come first.
    pub order: Order,
    /// How many are wanted: those passed over by `LIMIT`'s offset included.
    pub count: usize,
    /// Whether scores are wanted when they do not order.
    pub scores: bool,
    /// Whether to say how scores came about.
    pub explain: bool,
    /// Matches of a segment below which it is walked once: [`WALK_BELOW`], unless a test wants one
    /// of both ways.
    pub walk_below: u64,
}

/// The order of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By score, the best first; then by age, the first indexed first.
    Score,
    /// By a column.
    By(SortBy),
}

impl<'q> Request<'q> {
    /// The best `count` by score.
    pub fn best(query: &'q Node, scorer: Scorer, count: usize) -> Self {
        Self {
            query,
            scorer,
            payload: None,
            order: Order::Score,
            count,
            scores: true,
            explain: false,
            walk_below: WALK_BELOW,
        }
    }
}

/// One result.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Its segment's place in the snapshot.
    pub segment: usize,
    /// Its place in the segment.
    pub doc: DocId,
    /// Its score; 0 when none was asked for.
    pub score: f64,
    /// Its value in the column that orders.
    pub sort: Option<SortValue>,
    /// How its score came about, when that was asked for.
    pub explanation: Option<Explanation>,
}

/// The outcome of a query.
#[derive(Debug, Clone)]
pub struct Found {
    /// How many documents match: exact unless it was stopped.
    pub total: u64,
    /// The first of them.
    pub hits: Vec<Hit>,
    /// Why it ended early, if it did; then it holds what was found by then.
    pub stopped: Option<Stop>,
}

/// Runs a query over a snapshot.
pub fn search(snapshot: &Snapshot, request: &Request<'_>, budget: &Budget<'_>) -> Found {
    run(snapshot, request, budget, false).0
}

/// Runs a query over a snapshot, document by document, and says what each clause did (`FT.PROFILE`).
pub fn profile(snapshot: &Snapshot, request: &Request<'_>, budget: &Budget<'_>) -> (Found, Profile) {
    let (found, profile) = run(snapshot, request, budget, true);
    (found, profile.unwrap_or_default())
}

fn run(snapshot: &Snapshot, request: &Request<'_>, budget: &Budget<'_>, counting: bool) -> (Found, Option<Profile>) {
    let payload = request.payload.map(Into::into);
    let scoring = Scoring::new(request.scorer, snapshot.documents(), snapshot.mean_len(), payload);
    let run = Run { snapshot, request, scoring: &scoring, counting };
    let mut prepared = Prepared::new(snapshot, request.query, &scoring, budget);
    if counting {
        prepared = prepared.profiled();
    }
    let (total, mut hits) = match request.order {
        Order::Score => run.by_score(&prepared),
        Order::By(sort) => run.by_column(&prepared, sort),
    };
    // What comes after is not part of the search.
    let profile = prepared.profile();
    let late_scores = request.scores && request.order != Order::Score;
    if request.explain || late_scores {
        run.score_hits(&prepared, &mut hits);
    }
    (Found { total, hits, stopped: budget.stopped() }, profile)
}

/// Whether a document of a snapshot matches a query: asked again when it changed meanwhile.
pub fn matches(snapshot: &Snapshot, query: &Node, place: (usize, DocId), budget: &Budget<'_>) -> bool {
    let scoring = Scoring::new(Scorer::DocScore, snapshot.documents(), snapshot.mean_len(), None);
    let prepared = Prepared::new(snapshot, query, &scoring, budget);
    let mut cursor = prepared.cursor(place.0);
    cursor.seek(place.1) == place.1
}

struct Run<'a, 'q> {
    snapshot: &'a Snapshot,
    request: &'a Request<'q>,
    scoring: &'a Scoring,
    /// Whether cursors count: then no way around them is taken.
    counting: bool,
}

impl<'a> Run<'a, '_> {
    /// The segments, each with what the query sees of it.
    fn segments(&self) -> impl Iterator<Item = (usize, Visibility<'a>)> + '_ {
        let numbered = self.snapshot.segments().enumerate();
        numbered.map(|(at, segment)| (at, segment.visible(self.snapshot.seq())))
    }

    fn by_score(&self, prepared: &Prepared<'a>) -> (u64, Vec<Hit>) {
        let mut top = TopK::new(self.request.count, Ties::First);
        let mut total = 0;
        let many =
            self.request.count > 0 && !self.counting && self.scoring.needs_tree() && prepared.term_count() > MANY;
        for (number, visible) in self.segments() {
            let segment = self.snapshot.segment(number);
            let mut offer = Offer { segment, number, visible: &visible, scoring: self.scoring, top: &mut top };
            if let Some(terms) = prepared.term_cursors(number).filter(|_| many) {
                let mut gate = Gate::new(segment, self.scoring, prepared.peaks(number));
                total += offer.many_terms(terms, &mut gate, || prepared.cursor_for_matches(number));
                continue;
            }
            if let Some(mut term) = self.countable_term(prepared, number, &visible) {
                if self.request.count > 0 {
                    let mut gate = Gate::new(segment, self.scoring, prepared.peaks(number));
                    gate.narrow(offer.least());
                    offer.one_term(&mut term, &mut gate);
                }
                total += term.list_len() as u64;
                continue;
            }
            let mut cursor = prepared.cursor(number);
            if cursor.doc() == END {
                continue;
            }
            total += if self.request.count == 0 {
                self.count(prepared, number, &mut cursor, &visible)
            } else if !self.scoring.needs_tree() {
                self.without_tree(&mut cursor, &mut offer)
            } else if self.counting
                || !cursor.fills_fast()
                || cursor.cost() < self.request.walk_below
                || !prepared.prunable()
            {
                walk(&mut cursor, &mut offer)
            } else {
                self.prune(prepared, number, &mut cursor, &mut offer)
            };
        }
        let hit = |(key, segment, doc)| Hit { segment, doc, score: unordered(key), sort: None, explanation: None };
        (total, top.into_sorted().into_iter().map(hit).collect())
    }

    /// The whole query, when it is one term, and how many documents have it is known.
    fn countable_term(
        &self,
        prepared: &Prepared<'a>,
        number: usize,
        visible: &Visibility<'_>,
    ) -> Option<TermCursor<'a>> {
        // Nothing is hidden, so its documents are its postings.
        let countable = visible.all() && !self.counting && prepared.prunable();
        let term = if countable { prepared.term_cursor(number) } else { None };
        term.filter(TermCursor::takes_all)
    }

    /// Counts all matches and offers those that may be among the best.
    fn prune(
        &self,
        prepared: &Prepared<'a>,
        number: usize,
        cursor: &mut BoxCursor<'a>,
        offer: &mut Offer<'a, '_>,
    ) -> u64 {
        let mut gate = Gate::new(offer.segment, self.scoring, prepared.peaks(number));
        gate.narrow(offer.least());
        if let Some(leaf) = prepared.all() {
            offer.all(&leaf, &mut gate);
        } else if let Some(mut term) = prepared.term_cursor(number) {
            offer.one_term(&mut term, &mut gate);
        } else {
            // One tree counts, a second one looks at what the first has found.
            let mut total = 0;
            let mut second = prepared.cursor_for_matches(number);
            let mut sum = prepared.sum(number);
            let terms = prepared.term_cursors(number).filter(|_| !self.scoring.best_branch());
            let mut leaders = terms.map(Leaders::new);
            let documents = offer.segment.len();
            each_window(cursor, offer.visible, |window| {
                total += window.count();
                if let Some(floor) = offer.floor() {
                    leaders.iter_mut().for_each(|leaders| leaders.narrow(window, floor));
                    gate.narrow(offer.least());
                    gate.retain(window);
                }
                match &mut sum {
                    Some(sum) if sum.is_cheaper_for(window.count(), documents) => {
                        offer.summed_window(sum, window, &mut second, &mut gate)
                    }
                    _ => offer.window(&mut second, window, &mut gate),
                }
            });
            return total;
        }
        self.count(prepared, number, cursor, offer.visible)
    }

    fn count(
        &self,
        prepared: &Prepared<'a>,
        number: usize,
        cursor: &mut BoxCursor<'a>,
        visible: &Visibility<'_>,
    ) -> u64 {
        if let Some(term) = self.countable_term(prepared, number, visible) {
            return term.list_len() as u64;
        }
        count(cursor, visible)
    }

    fn without_tree(&self, cursor: &mut BoxCursor<'_>, offer: &mut Offer<'a, '_>) -> u64 {
        let mut total = 0;
        each_window(cursor, offer.visible, |window| {
            total += window.count();
            window.for_each(|doc| {
                let score = self.scoring.without_tree(offer.segment.facts(doc), offer.segment.payload(doc));
                offer.top.offer(ordered(score), offer.number, doc);
            });
        });
        total
    }

    fn by_column(&self, prepared: &Prepared<'a>, sort: SortBy) -> (u64, Vec<Hit>) {
        let mut top = TopK::new(self.request.count, sort.ties());
        let mut texts = Vec::new();
        let mut total = 0;
        for (number, visible) in self.segments() {
            let mut cursor = prepared.cursor(number);
            if cursor.doc() == END {
                continue;
            }
            let segment = (number, self.snapshot.segment(number));
            total += if self.request.count == 0 {
                self.count(prepared, number, &mut cursor, &visible)
            } else if sort.numeric {
                by_number(sort, &mut cursor, segment, &visible, &mut top)
            } else {
                by_text(sort, &mut cursor, segment, &visible, self.request.count, &mut texts)
            };
        }
        arrange(sort, self.request.count, &mut texts);
        let places = top.into_sorted().into_iter().map(|(_, segment, doc)| (segment, doc));
        let places = places.chain(texts.into_iter().map(|(_, segment, doc)| (segment, doc)));
        let hit = |(segment, doc)| Hit {
            segment,
            doc,
            score: 0.0,
            sort: sort.value(self.snapshot.segment(segment), doc),
            explanation: None,
        };
        (total, places.map(hit).collect())
    }

    /// Calculates the scores of documents, and says how if asked.
    fn score_hits(&self, prepared: &Prepared<'a>, hits: &mut [Hit]) {
        let mut in_order: Vec<&mut Hit> = hits.iter_mut().collect();
        in_order.sort_unstable_by_key(|hit| (hit.segment, hit.doc));
        // One tree for each segment, which only goes forward.
        for hits in in_order.chunk_by_mut(|a, b| a.segment == b.segment) {
            let mut cursor = prepared.cursor(hits[0].segment);
            hits.iter_mut().for_each(|hit| self.score_hit(&mut cursor, hit));
        }
    }

    fn score_hit(&self, cursor: &mut BoxCursor<'a>, hit: &mut Hit) {
        let segment = self.snapshot.segment(hit.segment);
        let facts = segment.facts(hit.doc);
        if cursor.seek(hit.doc) != hit.doc {
            // Only when the budget is used up.
            return;
        }
        if !self.scoring.needs_tree() {
            hit.score = self.scoring.without_tree(facts, segment.payload(hit.doc));
            let below = Explanation::leaf(String::new());
            hit.explanation =
                self.request.explain.then(|| self.scoring.explain_result(facts, 0.0, 1.0, hit.score, below));
            return;
        }
        let scale = self.scoring.scale(facts);
        let tree = cursor.score(&scale);
        let proximity = if self.scoring.needs_proximity() { cursor.proximity() } else { 1.0 };
        hit.score = self.scoring.result(&scale, tree, proximity);
        if self.request.explain {
            let below = cursor.explain(self.scoring, facts);
            hit.explanation = Some(self.scoring.explain_result(facts, tree, proximity, hit.score, below));
        }
    }
}

/// Counts and offers each match.
fn walk(cursor: &mut BoxCursor<'_>, offer: &mut Offer<'_, '_>) -> u64 {
    let mut total = 0;
    while cursor.doc() < offer.visible.end() {
        if offer.visible.contains(cursor.doc()) {
            total += 1;
            offer.offer_current(cursor);
        }
        cursor.next();
    }
    total
}
