//! Where is an execution, and what came of it? The table behind `RG.DUMPEXECUTIONS` and its family.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use once_cell::sync::Lazy;

use crate::python::host::PlanInfo;
use crate::python::PlanOutcome;
use crate::redis::{node_id, BlockedReply};
use crate::reply::Reply;
use crate::settings;
use crate::sync::{CancelToken, Stop};

/// The state of an execution, by the names that clients know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It waits for a thread.
    Created,
    /// It runs.
    Running,
    /// It has results and errors.
    Done,
    /// It was stopped before it began.
    Aborted,
}

impl Status {
    /// The name in replies.
    pub fn name(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Running => "running",
            Status::Done => "done",
            Status::Aborted => "aborted",
        }
    }

    /// Whether it has ended.
    pub fn is_final(self) -> bool {
        matches!(self, Status::Done | Status::Aborted)
    }
}

/// What an execution left.
#[derive(Debug, Clone, Default)]
pub struct Finished {
    /// One reply to each result record.
    pub results: Vec<Reply>,
    /// One text to each error.
    pub errors: Vec<Vec<u8>>,
    /// How long it took.
    pub total: Duration,
    /// How much of that its reader took.
    pub read: Duration,
    /// How much each step's function took, first step first; nothing unless `ProfileExecutions` is on.
    pub steps: Vec<Duration>,
}

impl From<PlanOutcome> for Finished {
    fn from(outcome: PlanOutcome) -> Self {
        let PlanOutcome { results, errors, read, steps } = outcome;
        Self { results, errors, total: Duration::ZERO, read, steps }
    }
}

impl Finished {
    /// `[results, errors]`.
    pub fn reply(&self) -> Reply {
        Reply::Array(vec![Reply::Array(self.results.clone()), Reply::bulks(self.errors.iter().cloned())])
    }
}

/// One execution.
pub struct Execution {
    /// `<node id>-<number>`.
    pub id: String,
    /// Its reader and steps.
    pub plan: Arc<PlanInfo>,
    /// Whether an event of a registration started it.
    pub registered: bool,
    /// What stops it.
    pub cancel: CancelToken,
    state: Mutex<State>,
}

struct State {
    status: Status,
    started: Option<Instant>,
    finished: Arc<Finished>,
    waiting: Vec<BlockedReply>,
}

impl Execution {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its status now.
    pub fn status(&self) -> Status {
        self.state().status
    }

    /// Its status and what it left; nothing was left while it is not done.
    pub fn snapshot(&self) -> (Status, Arc<Finished>) {
        let state = self.state();
        (state.status, Arc::clone(&state.finished))
    }

    /// Begins to run, unless it was aborted before.
    ///
    /// # Errors
    /// Why it must not.
    pub fn start(&self) -> Result<(), Stop> {
        if let Some(stop) = self.cancel.stopped() {
            self.end(Status::Aborted, Finished::default());
            return Err(stop);
        }
        let mut state = self.state();
        state.status = Status::Running;
        state.started = Some(Instant::now());
        Ok(())
    }

    /// Ends it with what it left, and answers the clients that wait for it.
    pub fn end(&self, status: Status, mut finished: Finished) {
        let (waiting, finished) = {
            let mut state = self.state();
            if state.status.is_final() {
                return;
            }
            finished.total = state.started.map_or(Duration::ZERO, |started| started.elapsed());
            state.status = status;
            state.finished = Arc::new(finished);
            (std::mem::take(&mut state.waiting), Arc::clone(&state.finished))
        };
        // Outside the lock: putting replies together takes time.
        if !waiting.is_empty() {
            let reply = finished.reply();
            waiting.into_iter().for_each(|client| client.finish(&reply));
        }
    }

    /// Answers `client` when it has ended: now, or later.
    pub fn answer_when_ended(&self, client: BlockedReply) {
        let finished = {
            let mut state = self.state();
            if !state.status.is_final() {
                state.waiting.push(client);
                return;
            }
            Arc::clone(&state.finished)
        };
        client.finish(&finished.reply());
    }

    /// Stops it. One that did not begin is aborted; a running one ends soon, with an error.
    pub fn abort(&self) {
        self.cancel.cancel(Stop::Aborted);
        if self.status() == Status::Created {
            self.end(Status::Aborted, Finished::default());
        }
    }
}

/// The executions that are known by id, oldest first.
#[derive(Default)]
pub struct Executions {
    table: Mutex<Table>,
    next: AtomicU64,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<String, Arc<Execution>>,
    order: VecDeque<String>,
}

static EXECUTIONS: Lazy<Executions> = Lazy::new(Executions::default);

/// The executions of this server.
pub fn executions() -> &'static Executions {
    &EXECUTIONS
}

impl Executions {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a new execution; the oldest goes when there are more than `MaxExecutions`.
    pub fn create(&self, plan: Arc<PlanInfo>, cancel: CancelToken, registered: bool) -> Arc<Execution> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let execution = Arc::new(Execution {
            id: format!("{}-{number}", node_id()),
            plan,
            registered,
            cancel,
            state: Mutex::new(State {
                status: Status::Created,
                started: None,
                finished: Arc::default(),
                waiting: Vec::new(),
            }),
        });
        super::COUNTERS.executions.fetch_add(1, Ordering::Relaxed);
        let mut evicted = Vec::new();
        {
            let mut table = self.table();
            table.by_id.insert(execution.id.clone(), Arc::clone(&execution));
            table.order.push_back(execution.id.clone());
            let most = settings::MAX_EXECUTIONS.count();
            while most > 0 && table.by_id.len() > most {
                let Some(oldest) = table.order.pop_front() else {
                    break;
                };
                // Dropped after the lock: results may be many.
                evicted.extend(table.by_id.remove(&oldest));
            }
            // Ids of dropped executions stay in the queue until it is twice as long as the table.
            if table.order.len() > 2 * table.by_id.len() + 16 {
                let Table { by_id, order } = &mut *table;
                order.retain(|id| by_id.contains_key(id));
            }
        }
        execution
    }

    /// The execution of this id.
    pub fn get(&self, id: &str) -> Option<Arc<Execution>> {
        self.table().by_id.get(id).cloned()
    }

    /// Takes an execution from the table; it ends as it would.
    pub fn remove(&self, id: &str) -> Option<Arc<Execution>> {
        self.table().by_id.remove(id)
    }

    /// How many are known.
    pub fn count(&self) -> usize {
        self.table().by_id.len()
    }

    /// All executions, oldest first.
    pub fn all(&self) -> Vec<Arc<Execution>> {
        let table = self.table();
        table.order.iter().filter_map(|id| table.by_id.get(id).cloned()).collect()
    }
}
