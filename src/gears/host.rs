//! What does a script see of the server?

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{commit, config, executions, registrations, Execution, Session};
use crate::python::host::{Host, KeysRequest, LogLevel, Options, PlanInfo, RecordSource};
use crate::redis::{self, Door, Level, Slice};
use crate::reply::Reply;
use crate::sync::CancelToken;

use super::reader::KeysSource;

/// The server as one run of a script sees it.
pub(super) struct RunHost {
    door: Arc<Door>,
    /// What stops the executions that the script creates; they may outlive it.
    executions_cancel: CancelToken,
    created: Mutex<Vec<Arc<Execution>>>,
    /// Whose script it is, while its body runs.
    session: Option<Arc<Session>>,
    /// The triggers that the script has registered so far.
    triggers: Mutex<Vec<Vec<u8>>>,
    /// How many registrations it has made so far.
    registered: AtomicU64,
    /// What would write is passed over: it was done before, or is the primary's affair.
    reading: bool,
    /// The ids that the script's registrations had, when it is run again for them.
    ids: Option<BTreeMap<u64, String>>,
}

impl RunHost {
    pub(super) fn new(door: Arc<Door>, executions_cancel: CancelToken) -> Self {
        Self {
            door,
            executions_cancel,
            created: Mutex::default(),
            session: None,
            triggers: Mutex::default(),
            registered: AtomicU64::new(0),
            reading: false,
            ids: None,
        }
    }

    /// The same for the body of a script that is run again for registrations of these ids.
    pub(super) fn restoring(self, ids: BTreeMap<u64, String>) -> Self {
        Self { ids: Some(ids), ..self.reading() }
    }

    /// The same, but commands that write are passed over.
    pub(super) fn reading(self) -> Self {
        Self { reading: true, ..self }
    }

    /// The same for the body of a session's script.
    pub(super) fn for_session(self, session: &Arc<Session>) -> Self {
        Self { session: Some(Arc::clone(session)), ..self }
    }

    /// The executions created so far.
    pub(super) fn created(&self) -> Vec<Arc<Execution>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Host for RunHost {
    fn execute(&self, argv: Vec<Vec<u8>>) -> Result<Reply, Vec<u8>> {
        let run = |slice: &Slice<'_>| {
            if self.reading {
                redis::call_unless_write(slice.held(), &argv).unwrap_or(Reply::Null)
            } else {
                redis::call(slice.held(), &argv)
            }
        };
        match self.door.errand(run) {
            Ok(Reply::Error(text)) => Err(text),
            Ok(reply) => Ok(reply),
            Err(denied) => Err(denied.to_string().into_bytes()),
        }
    }

    fn enter_atomic(&self) -> Result<(), String> {
        self.door.keep().map_err(|denied| denied.to_string())
    }

    fn leave_atomic(&self) {
        self.door.release();
    }

    fn holds_lock(&self) -> bool {
        self.door.holds_lock()
    }

    fn log(&self, level: LogLevel, message: &str) {
        let level = match level {
            LogLevel::Debug => Level::Debug,
            LogLevel::Verbose => Level::Verbose,
            LogLevel::Notice => Level::Notice,
            LogLevel::Warning => Level::Warning,
        };
        redis::log(level, &format!("GEARS: {message}"));
    }

    fn hashtag(&self) -> String {
        // The first slot of a server that has all of them is 0, and this hashes to it.
        "06S".to_owned()
    }

    fn config_get(&self, key: &str) -> Option<Vec<u8>> {
        config::extra_value(key.as_bytes())
    }

    fn open_keys(&self, request: KeysRequest) -> Result<Box<dyn RecordSource>, String> {
        Ok(Box::new(KeysSource::new(Arc::clone(&self.door), request)))
    }

    fn create_execution(&self, plan: &PlanInfo) -> Result<String, String> {
        let execution = executions().create(Arc::new(plan.clone()), self.executions_cancel.clone(), false);
        let id = execution.id.clone();
        self.created.lock().unwrap_or_else(PoisonError::into_inner).push(execution);
        Ok(id)
    }

    fn create_registration(&self, plan: &PlanInfo, options: &Options) -> Result<String, String> {
        let session = self.session.as_ref().ok_or("register() can only be called by the script itself")?;
        if plan.reader == "CommandReader" {
            let name = options.text("trigger");
            let mut mine = self.triggers.lock().unwrap_or_else(PoisonError::into_inner);
            if mine.contains(&name) {
                return Err("trigger already registered in this session".to_owned());
            }
            if !self.reading && commit::is_taken(session, &name) {
                return Err(commit::TAKEN.to_owned());
            }
            mine.push(name);
        }
        let ordinal = self.registered.fetch_add(1, Ordering::Relaxed);
        let known = self.ids.as_ref().and_then(|ids| ids.get(&ordinal).cloned());
        Ok(known.unwrap_or_else(|| registrations().next_id()))
    }
}
