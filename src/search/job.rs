//! How does a search run, in either lane?
//!
//! It arrives on the main thread: the index is found, the query is bound to it, and the number of the
//! last change is taken. What follows may happen anywhere, and on two threads if it is long: waiting until that change
//! is applied, matching and ranking over the snapshot without any lock; and reading the rows of the page in slices.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::collect::search::{profile, search, Order, Request as Wanted};
use engine::collect::{Found, Hit};
use engine::columns::SortValue;
use engine::cursor::budget::{Budget, Stop as Ended};
use engine::cursor::profile::Profile;
use engine::index::{Arrival, Snapshot};

use super::flight::Key;
use super::load::{in_documents, Loaded, Loader, Reader};
use super::plan::{Plan, Ranking};
use super::request::Request;
use super::rows::Answer;
use super::snippets::Snippets;
use super::{cost, registry, SearchIndex, View, COUNTERS};
use crate::redis::{read_fields, Held, KeyAccess, Lane};
use crate::settings;
use crate::sync::{CancelToken, Stop};

/// A search that has arrived.
pub struct Search {
    index: Arc<SearchIndex>,
    request: Request,
    view: Arc<View>,
    /// Made when it is first needed.
    plan: OnceCell<Plan>,
    arrival: Arrival,
    /// When its time is over. Set when it begins: the wait for changes before it is not its own time.
    deadline: Cell<Option<Instant>>,
    reader: Reader,
    /// What was measured, when that was asked for.
    report: Option<RefCell<Report>>,
}

/// Where the time of a search went (`FT.PROFILE`).
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// From the query's text to its plan.
    pub planning: Duration,
    /// Until all changes before the search were applied.
    pub waiting: Duration,
    /// Matching and ranking.
    pub matching: Duration,
    /// Documents that were ranked for the page.
    pub ranked: u64,
    /// Reading documents, and what is done with their texts.
    pub loading: Duration,
    /// What each clause did.
    pub clauses: Profile,
}

/// A search whose documents are found; their rows are not read yet.
pub struct Matched {
    snapshot: Snapshot,
    found: Found,
}

/// How much work a search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Less than handing it to a worker.
    Trifle,
    /// Such that others may wait for it.
    Usual,
    /// Such that others should not.
    Long,
}

/// Why a search has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There is no such index, or it was dropped meanwhile.
    NoIndex(String),
    /// Time ran out, and a part is not wanted (`ON_TIMEOUT FAIL`).
    TimedOut,
    /// The user may not.
    Refused(String),
    /// The job must stop.
    Stopped(Stop),
}

impl Failure {
    /// The failure where no index has this name.
    pub fn no_index(name: &[u8]) -> Self {
        Self::NoIndex(String::from_utf8_lossy(name).into_owned())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoIndex(name) => write!(f, "{name}: no such index"),
            Self::TimedOut => f.write_str(TIMED_OUT),
            Self::Refused(reason) => f.write_str(reason),
            Self::Stopped(stop) => write!(f, "ERR the search was stopped: {stop}"),
        }
    }
}

/// The text of a search whose time ran out, as an error or a warning.
pub const TIMED_OUT: &str = "Timeout limit was reached";

/// The place of `fail` among the words of the option `on-timeout`.
const ON_TIMEOUT_FAIL: i64 = 1;

/// How often documents that have to be left out are replaced by the next best.
const REPLACEMENTS: usize = 4;

/// Bytes of a query up to which it is read on the main thread, so that its errors are answered at once.
const SHORT_QUERY: usize = 4 << 10;

/// Pages that are small enough to be read on the main thread.
const SMALL_PAGE: usize = 32;

impl Search {
    /// Takes a search in on the main thread; one that is to be measured if `profile` is set.
    ///
    /// # Errors
    /// The text for the client.
    pub fn arrive(
        held: &Held<'_>,
        index: &[u8],
        request: Request,
        user: Option<String>,
        profile: bool,
    ) -> Result<Self, String> {
        let index = registry::find(held, index).ok_or_else(|| Failure::no_index(index).to_string())?;
        let view = index.view();
        let reader = user.filter(|user| !KeyAccess::of(held, Some(user)).is_ok_and(|access| access.reads_everything()));
        index.note_dialect(u8::try_from(request.dialect.number()).unwrap_or(1));
        let arrival = index.documents().arrive();
        let report = profile.then(RefCell::default);
        let (plan, deadline) = (OnceCell::new(), Cell::new(None));
        let search = Self { index, request, view, plan, arrival, deadline, reader, report };
        let language = search.request.language.unwrap_or(search.view.options.language);
        if search.request.query.len() <= SHORT_QUERY && language.is_ready() {
            search.plan().map_err(|failure| failure.to_string())?;
        }
        Ok(search)
    }

    /// What the request means in the index. Of a long query that is found out where it runs.
    fn plan(&self) -> Result<&Plan, Failure> {
        if let Some(plan) = self.plan.get() {
            return Ok(plan);
        }
        let make = || Plan::new(&self.request, Arc::clone(&self.view));
        let plan = self.measure(make, |report, time, _| report.planning = time).map_err(Failure::Refused)?;
        Ok(self.plan.get_or_init(|| plan))
    }

    /// What makes it the same as another search that is under way.
    pub fn key(&self, words: &[&[u8]], user: Option<String>, is_resp3: bool) -> Key {
        Key {
            places: (Arc::as_ptr(&self.index) as usize, Arc::as_ptr(&self.view) as usize),
            seq: self.arrival.seq(),
            words: words.iter().map(|word| word.to_vec()).collect(),
            user,
            is_resp3,
        }
    }

    /// How much work it is, as far as that can be told at once.
    pub fn weight(&self) -> Weight {
        let (trifle, long) = (settings::INLINE_COST.get().unsigned_abs(), settings::LONG_COST.get().unsigned_abs());
        let Some(snapshot) = self.index.documents().snapshot(&self.arrival) else { return Weight::Usual };
        let Some(plan) = self.plan.get() else { return Weight::Usual };
        let cost = match plan.ranking {
            Ranking::Engine(_) => cost::estimate(&snapshot, &plan.node),
            Ranking::Stored { .. } => cost::Cost { postings: u64::MAX, looks: u64::MAX },
        };
        if cost.looks <= trifle && trifle > 0 && self.has_small_page() {
            COUNTERS.at_once.add();
            Weight::Trifle
        } else if cost.postings >= long {
            COUNTERS.long.add();
            Weight::Long
        } else {
            Weight::Usual
        }
    }

    /// Runs the search.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn run(&self, lane: &mut Lane) -> Result<Answer, Failure> {
        let matched = self.matched(lane.cancel())?;
        self.rows(lane, matched)
    }

    /// The first half: what matches, found without the server's lock.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn matched(&self, cancel: &CancelToken) -> Result<Matched, Failure> {
        COUNTERS.searches.add();
        let plan = self.plan()?;
        let take = || self.index.snapshot(&self.arrival, cancel);
        let snapshot = self.measure(take, |report, time, _| report.waiting = time).map_err(Failure::Stopped)?;
        self.deadline.set(self.request.timeout.and_then(|limit| Instant::now().checked_add(limit)));
        let (order, wanted) = match &plan.ranking {
            Ranking::Engine(order) => (*order, self.request.offset.saturating_add(self.request.count)),
            Ranking::Stored { .. } => (Order::Score, settings::MAX_SEARCH_RESULTS.count()),
        };
        let wanted = if self.request.count == 0 { 0 } else { wanted };
        let found = self.find(plan, &snapshot, order, wanted, cancel)?;
        if found.stopped.is_some() {
            self.late()?;
        }
        Ok(Matched { snapshot, found })
    }

    /// The second half: the page, read in slices.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn rows(&self, lane: &mut Lane, matched: Matched) -> Result<Answer, Failure> {
        let Matched { snapshot, found } = matched;
        let plan = self.plan()?;
        let loader = self.loader(&snapshot, plan);
        let answer = Answer { total: found.total, rows: Vec::new(), partial: found.stopped.is_some() };
        let answer = match &plan.ranking {
            Ranking::Engine(order) => self.ranked(lane, &loader, *order, found.hits, answer),
            Ranking::Stored { identifier, descending } => {
                self.by_stored(lane, &loader, identifier, *descending, found.hits, answer)
            }
        }?;
        if answer.partial {
            self.late()?;
            COUNTERS.timed_out.add();
        }
        Ok(answer)
    }

    /// Whether the page is likely to be read in a moment: a few documents, and no text to mark or cut, which may be of any
    /// length.
    pub fn has_small_page(&self) -> bool {
        self.request.count <= SMALL_PAGE && !self.has_snippets()
    }

    /// Whether the second half needs no look at the keyspace.
    pub fn needs_no_keys(&self) -> bool {
        let ranked = |plan: &Plan| matches!(plan.ranking, Ranking::Engine(_)) && plan.needs_no_keys();
        self.reader.is_none() && self.plan().is_ok_and(ranked)
    }

    /// The second half, if that is no more than reading a few documents, as they were when they were found.
    ///
    /// # Errors
    /// What matched, for [`Search::rows`], if there is more to do.
    pub fn rows_at_once(&self, lane: &mut Lane, matched: Matched) -> Result<Answer, Matched> {
        let Matched { snapshot, found } = &matched;
        let plan = match self.plan() {
            Ok(plan) if matches!(plan.ranking, Ranking::Engine(_)) && found.stopped.is_none() => plan,
            _ => return Err(matched),
        };
        let page: Vec<Hit> = found.hits.iter().skip(self.request.offset).take(self.request.count).cloned().collect();
        let total = found.total;
        match self.loader(snapshot, plan).load_at_once(lane, page) {
            Some(rows) => Ok(Answer { total, rows, partial: false }),
            None => Err(matched),
        }
    }

    fn has_snippets(&self) -> bool {
        self.request.highlight.is_some() || self.request.summarize.is_some()
    }

    fn loader<'a>(&'a self, snapshot: &'a Snapshot, plan: &'a Plan) -> Loader<'a> {
        Loader {
            index: &self.index,
            snapshot,
            plan,
            reader: &self.reader,
            snippets: Snippets::new(&self.request, plan),
            deadline: self.deadline.get(),
        }
    }

    /// Time has run out: that is an error where a part of the answer is not wanted.
    fn late(&self) -> Result<(), Failure> {
        if !fails_late() {
            return Ok(());
        }
        COUNTERS.timed_out.add();
        Err(Failure::TimedOut)
    }

    /// What was measured, when that was asked for.
    pub fn report(&self) -> Report {
        self.report.as_ref().map(|report| report.borrow().clone()).unwrap_or_default()
    }

    /// Runs `work` and notes how long it took.
    fn measure<R>(&self, work: impl FnOnce() -> R, note: impl FnOnce(&mut Report, Duration, &R)) -> R {
        let Some(report) = &self.report else { return work() };
        let begun = Instant::now();
        let result = work();
        note(&mut report.borrow_mut(), begun.elapsed(), &result);
        result
    }

    /// Finds the first `count` matches.
    fn find(
        &self,
        plan: &Plan,
        snapshot: &Snapshot,
        order: Order,
        count: usize,
        cancel: &CancelToken,
    ) -> Result<Found, Failure> {
        let ask = || {
            if cancel.stopped().is_some() || self.index.is_dropped() {
                Some(Ended::Cancelled)
            } else {
                self.deadline.get().filter(|&deadline| Instant::now() >= deadline).map(|_| Ended::Deadline)
            }
        };
        let wanted = Wanted {
            payload: self.request.payload.as_deref(),
            order,
            scores: self.request.scores,
            explain: self.request.explain,
            ..Wanted::best(&plan.node, self.request.scorer, count)
        };
        let budget = Budget::new(&ask);
        let found = if self.report.is_some() {
            let note = |report: &mut Report, time, (found, clauses): &(Found, Profile)| {
                report.matching += time;
                report.ranked += found.hits.len() as u64;
                report.clauses = clauses.clone();
            };
            self.measure(|| profile(snapshot, &wanted, &budget), note).0
        } else {
            search(snapshot, &wanted, &budget)
        };
        cancel.check().map_err(Failure::Stopped)?;
        if self.index.is_dropped() {
            return Err(Failure::no_index(self.index.name()));
        }
        Ok(found)
    }

    fn load(&self, lane: &mut Lane, loader: &Loader<'_>, page: Vec<Hit>) -> Result<Loaded, Failure> {
        self.measure(|| loader.load(lane, page), |report, time, _| report.loading += time)
    }

    /// The page in the engine's order. What has to be left out is replaced by the next best.
    fn ranked(
        &self,
        lane: &mut Lane,
        loader: &Loader<'_>,
        order: Order,
        mut hits: Vec<Hit>,
        mut answer: Answer,
    ) -> Result<Answer, Failure> {
        let (offset, count) = (self.request.offset, self.request.count);
        let cancel = lane.cancel().clone();
        let mut seen = offset;
        for _ in 0..=REPLACEMENTS {
            let page: Vec<Hit> = hits.drain(..).skip(seen).take(count - answer.rows.len()).collect();
            seen += page.len();
            let loaded = self.load(lane, loader, page)?;
            answer.rows.extend(loaded.rows);
            answer.partial |= loaded.late;
            let missing = count - answer.rows.len();
            if missing == 0 || answer.partial || seen as u64 >= answer.total {
                break;
            }
            // More than are missing: where one document has changed others have too.
            let wanted = seen.saturating_add(missing.saturating_mul(2));
            let found = self.find(loader.plan, loader.snapshot, order, wanted, &cancel)?;
            answer.partial |= found.stopped.is_some();
            hits = found.hits;
        }
        Ok(answer)
    }

    /// The page in the order of a stored text: every match is read.
    fn by_stored(
        &self,
        lane: &mut Lane,
        loader: &Loader<'_>,
        identifier: &[u8],
        descending: bool,
        mut hits: Vec<Hit>,
        mut answer: Answer,
    ) -> Result<Answer, Failure> {
        if !read_sort_values(lane, loader, identifier, &mut hits)? {
            answer.partial = true;
        }
        arrange(&mut hits, descending);
        let mut left = hits.into_iter().skip(self.request.offset);
        while answer.rows.len() < self.request.count {
            let page: Vec<Hit> = left.by_ref().take(self.request.count - answer.rows.len()).collect();
            if page.is_empty() {
                break;
            }
            let loaded = self.load(lane, loader, page)?;
            answer.rows.extend(loaded.rows);
            answer.partial |= loaded.late;
            if loaded.late {
                break;
            }
        }
        Ok(answer)
    }
}

/// Whether a search whose time has run out is an error.
fn fails_late() -> bool {
    settings::ON_TIMEOUT.get() == ON_TIMEOUT_FAIL
}

/// Reads the field by which hits are sorted. Returns false when time ran out.
fn read_sort_values(
    lane: &mut Lane,
    loader: &Loader<'_>,
    identifier: &[u8],
    hits: &mut [Hit],
) -> Result<bool, Failure> {
    let (identifier, mut at) = ([identifier.into()], 0);
    while at < hits.len() {
        if loader.is_late() {
            return Ok(false);
        }
        in_documents(lane, |slice| {
            while let Some(hit) = hits.get_mut(at) {
                let key = loader.snapshot.key(hit.segment, hit.doc);
                let value = read_fields(slice.held(), &key, &identifier).and_then(|mut values| values.pop()?);
                hit.sort = value.map(SortValue::Text);
                at += 1;
                if slice.spent() || loader.is_late() {
                    break;
                }
            }
        })?;
    }
    Ok(true)
}

/// Sorts by value; those without one come last, equals stand by age, in the direction of the sort.
fn arrange(hits: &mut [Hit], descending: bool) {
    fn text(hit: &Hit) -> Option<&[u8]> {
        match &hit.sort {
            Some(SortValue::Text(text)) => Some(text),
            _ => None,
        }
    }
    hits.sort_by_cached_key(|hit| (hit.segment, hit.doc));
    if descending {
        hits.reverse();
    }
    hits.sort_by(|a, b| match (text(a), text(b)) {
        (Some(a), Some(b)) if descending => b.cmp(a),
        (Some(a), Some(b)) => a.cmp(b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    });
}
