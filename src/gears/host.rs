//! What does a script see of the server?

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::hooks::{self, Known};
use super::{commit, config, executions, registrations, timers, Execution, Session};
use crate::python::host::{Background, Host, KeysRequest, LogLevel, Options, PlanInfo, RecordSource};
use crate::python::Plan;
use crate::redis::{self, Door, Lane, Level, Pools, Slice};
use crate::reply::Reply;
use crate::sync::CancelToken;

use super::reader::KeysSource;
use super::run::{self, Owner};

/// The server as one run of a script sees it.
pub(super) struct RunHost {
    door: Arc<Door>,
    /// What stops the executions that the script creates; they may outlive it.
    executions_cancel: Mutex<CancelToken>,
    created: Mutex<Vec<Arc<Execution>>>,
    /// Whose script it is, where its body runs.
    session: Weak<Session>,
    /// The triggers that the script has registered so far.
    triggers: Mutex<Vec<Vec<u8>>>,
    /// How many registrations it has made so far.
    registered: AtomicU64,
    /// What would write is passed over: it was done before, or is the primary's affair.
    reading: bool,
    /// What would write is refused.
    read_only: bool,
    /// The ids that the script's registrations had, when it is run again for them.
    ids: Option<BTreeMap<u64, String>>,
    /// How many timers it has asked for so far.
    timed: AtomicU64,
    /// The keys of those.
    timer_keys: Mutex<Vec<Vec<u8>>>,
    /// Those with keys that go on, by their place, when it is run again for them.
    timers: BTreeSet<u64>,
    /// The command that the run is for.
    cause: Option<Known>,
    /// The hooks that are not `sync` which the script has registered so far.
    hooks: Mutex<Vec<Vec<u8>>>,
    /// Whose execution it is, or whose script.
    owner: Mutex<Option<Owner>>,
    /// Whether its steps may wait for coroutines.
    may_wait: bool,
    /// The reply of `override_reply`, where a client waits for the execution.
    reply: Option<Mutex<Chosen>>,
}

/// The reply that a script gives in the place of its results, if it does.
#[derive(Clone, Default)]
pub(super) struct Chosen(Arc<Mutex<Option<Reply>>>);

impl Chosen {
    fn slot(&self) -> MutexGuard<'_, Option<Reply>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply.
    pub(super) fn take(&self) -> Option<Reply> {
        self.slot().take()
    }
}

impl RunHost {
    pub(super) fn new(door: Arc<Door>, executions_cancel: CancelToken) -> Self {
        Self {
            door,
            executions_cancel: Mutex::new(executions_cancel),
            created: Mutex::default(),
            session: Weak::new(),
            triggers: Mutex::default(),
            registered: AtomicU64::new(0),
            reading: false,
            read_only: false,
            ids: None,
            timed: AtomicU64::new(0),
            timer_keys: Mutex::default(),
            timers: BTreeSet::new(),
            cause: None,
            hooks: Mutex::default(),
            owner: Mutex::default(),
            may_wait: false,
            reply: None,
        }
    }

    /// The server as an execution of a session's script sees it.
    pub(super) fn for_execution(lane: &Lane, owner: &Owner) -> Self {
        let host = Self::new(Arc::clone(lane.door()), lane.cancel().clone());
        Self { owner: Mutex::new(Some(owner.clone())), may_wait: lane.may_wait(), ..host }
    }

    /// The same where a client waits whose reply the script may override.
    pub(super) fn answering(self) -> Self {
        Self { reply: Some(Mutex::default()), ..self }
    }

    /// Where the script's reply to the client of the current event is.
    pub(super) fn chosen(&self) -> Option<Chosen> {
        self.reply.as_ref().map(|chosen| chosen.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Another event begins, whose client is another one.
    pub(super) fn next_reply(&self) {
        if let Some(chosen) = &self.reply {
            *chosen.lock().unwrap_or_else(PoisonError::into_inner) = Chosen::default();
        }
    }

    /// The same for the body of a script that is run again for registrations of these ids, and for these timers.
    pub(super) fn restoring(self, ids: BTreeMap<u64, String>, timers: BTreeSet<u64>) -> Self {
        Self { ids: Some(ids), timers, ..self.reading() }
    }

    /// The same, but commands that write are passed over.
    pub(super) fn reading(self) -> Self {
        Self { reading: true, ..self }
    }

    /// The same for an execution that was started for a command.
    pub(super) fn because_of(self, cause: Option<Known>) -> Self {
        Self { cause, ..self }
    }

    /// The same, but commands that write are refused.
    pub(super) fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// The same where nothing may be waited for.
    pub(super) fn atomic(self) -> Self {
        Self { may_wait: false, ..self }
    }

    /// The same for the body of a session's script.
    pub(super) fn for_session(self, session: &Arc<Session>) -> Self {
        Self { session: Arc::downgrade(session), owner: Mutex::new(Some(session.into())), ..self }
    }

    /// What stops the executions that are created from here on.
    pub(super) fn set_cancel(&self, cancel: &CancelToken) {
        *self.executions_cancel.lock().unwrap_or_else(PoisonError::into_inner) = cancel.clone();
    }

    fn cancel(&self) -> CancelToken {
        self.executions_cancel.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn owner(&self) -> Option<Owner> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the commands that a registration hooks can be hooked.
    fn check_commands(&self, session: &Arc<Session>, plan: &PlanInfo, options: &Options) -> Result<(), String> {
        let known = |argv: Vec<Vec<u8>>| {
            let info = self.door.errand(|slice| redis::call(slice.held(), &argv));
            info.map_err(|denied| denied.to_string())
        };
        if let Some(command) = options.texts("hook").and_then(|mut names| names.pop()) {
            hooks::check_hook(&command, options.texts("keyprefix").is_some(), known)?;
            let mut mine = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
            if mine.contains(&command) {
                return Err(
                    "Can not override a none sync registration which already created on this session".to_owned()
                );
            }
            if commit::is_hook_taken(session, &command) {
                return Err(commit::HOOK_TAKEN.to_owned());
            }
            if options.text("mode") != b"sync" {
                mine.push(command);
            }
        } else if plan.reader == "KeysReader" {
            let commands = options.texts("commands").unwrap_or_default();
            commands.iter().try_for_each(|command| hooks::check_watched(command, &options.text("prefix"), known))?;
        }
        Ok(())
    }

    /// The executions created so far.
    pub(super) fn created(&self) -> Vec<Arc<Execution>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Writes a script's line to the server's log.
pub(super) fn log(level: LogLevel, message: &str) {
    let level = match level {
        LogLevel::Debug => Level::Debug,
        LogLevel::Verbose => Level::Verbose,
        LogLevel::Notice => Level::Notice,
        LogLevel::Warning => Level::Warning,
    };
    redis::log(level, &format!("GEARS: {message}"));
}

/// Whether a command runs code, which may write although the command itself does not.
fn runs_code(name: &[u8]) -> bool {
    const NAMES: [&str; 8] =
        ["eval", "evalsha", "fcall", "rg.fcall", "rg.trigger", "rg.triggeronkey", "rg.pyexecute", "rg.pyexecutesha"];
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// A text that hashes to the first slot of this server.
pub(super) fn hashtag() -> String {
    // The first slot of a server that has all of them is 0, and this hashes to it.
    "06S".to_owned()
}

impl Host for RunHost {
    fn execute(&self, argv: Vec<Vec<u8>>) -> Result<Reply, Vec<u8>> {
        let run = |slice: &Slice<'_>| {
            if self.reading {
                redis::call_unless_write(slice.held(), &argv).unwrap_or(Reply::Null)
            } else if self.read_only {
                let allowed = !argv.first().is_some_and(|name| runs_code(name));
                let reply = allowed.then(|| redis::call_unless_write(slice.held(), &argv)).flatten();
                reply.unwrap_or_else(|| Reply::error("ERR Write commands are not allowed from read-only functions"))
            } else {
                redis::call_as_client(slice.held(), &argv)
            }
        };
        match self.door.question(run) {
            Ok(Reply::Error(text)) => Err(text),
            Ok(reply) => Ok(reply),
            Err(denied) => Err(denied.to_string().into_bytes()),
        }
    }

    fn call_next(&self, arguments: Vec<Vec<u8>>) -> Result<Reply, Vec<u8>> {
        let call = self.cause.as_ref().and_then(Known::hook).ok_or_else(|| b"Can not get CommandHook ctx".to_vec())?;
        // In a slice and not an errand: an older hook runs on the same thread as this one.
        match self.door.slice(|slice| call.next(slice.held(), arguments)) {
            Ok(Reply::Error(text)) => Err(text),
            Ok(reply) => Ok(reply),
            Err(denied) => Err(denied.to_string().into_bytes()),
        }
    }

    fn command(&self) -> Option<Vec<Vec<u8>>> {
        self.cause.as_ref().and_then(Known::share).and_then(|share| share.command())
    }

    fn enter_atomic(&self) -> Result<(), String> {
        self.door.keep().map_err(|denied| denied.to_string())
    }

    fn keep_lent(&self) -> bool {
        self.door.keep_lent()
    }

    fn leave_atomic(&self) {
        self.door.release();
    }

    fn holds_lock(&self) -> bool {
        self.door.holds_lock()
    }

    fn log(&self, level: LogLevel, message: &str) {
        log(level, message);
    }

    fn hashtag(&self) -> String {
        hashtag()
    }

    fn config_get(&self, key: &str) -> Option<Vec<u8>> {
        config::extra_value(key.as_bytes())
    }

    fn open_keys(&self, request: KeysRequest) -> Result<Box<dyn RecordSource>, String> {
        Ok(Box::new(KeysSource::new(Arc::clone(&self.door), request)))
    }

    fn create_execution(&self, plan: &PlanInfo, apart: bool) -> Result<String, String> {
        if self.read_only {
            // Its steps might write.
            return Err("a read-only function can not create executions".to_owned());
        }
        let cancel = if apart { CancelToken::new() } else { self.cancel() };
        let execution = executions().create(Arc::new(plan.clone()), cancel, false);
        let id = execution.id.clone();
        self.created.lock().unwrap_or_else(PoisonError::into_inner).push(execution);
        Ok(id)
    }

    fn start(&self, plan: Plan) -> Result<(), String> {
        let Some(owner) = self.owner().filter(|_| !self.reading) else { return Ok(()) };
        let execution = {
            let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
            let at = created.iter().position(|execution| execution.id == plan.id);
            at.map(|at| created.swap_remove(at)).ok_or("the execution is not there any more")?
        };
        let (id, cancel) = (execution.id.clone(), execution.cancel.clone());
        redis::background(Pools::Python, self.door.db(), cancel, move |lane| {
            run::run_unattended(&plan.script(), &plan, &execution, lane, &owner);
        })
        .map_err(|refused| {
            executions().remove(&id);
            refused.to_string()
        })
    }

    fn may_wait(&self) -> bool {
        self.may_wait
    }

    fn background(&self) -> Result<Background, String> {
        let owner = self.owner().filter(|_| self.may_wait).ok_or("Creating async record is not allowed")?;
        let cancel = self.cancel();
        if self.door.is_inline() {
            // It holds nobody up any more.
            cancel.set_limit(owner.limit);
        }
        let door = Door::apart(self.door.db(), cancel.clone());
        let host = RunHost::new(door, cancel.clone());
        let host = Self {
            owner: Mutex::new(Some(owner.clone())),
            may_wait: true,
            read_only: self.read_only,
            reply: self.chosen().map(Mutex::new),
            cause: self.cause.clone(),
            ..host
        };
        Ok(Background { host: Arc::new(host), cancel })
    }

    fn go_on(&self, work: Box<dyn FnOnce() + Send>) {
        redis::go_on(Pools::Python, work);
    }

    fn ended(&self) {
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(owner);
    }

    fn override_reply(&self, reply: Reply) -> Result<(), String> {
        if let Some(share) = self.cause.as_ref().and_then(Known::share) {
            return share.override_reply(reply);
        }
        let chosen = self.chosen().ok_or("Can not get command ctx")?;
        let mut slot = chosen.slot();
        if slot.is_some() {
            return Err("Can only override reply once".to_owned());
        }
        *slot = Some(reply);
        Ok(())
    }

    fn create_registration(&self, plan: &PlanInfo, options: &Options) -> Result<String, String> {
        let session = &self.session.upgrade().ok_or("register() can only be called by the script itself")?;
        if !self.reading {
            self.check_commands(session, plan, options)?;
        }
        if plan.reader == "CommandReader" && options.texts("hook").is_none() {
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

    fn create_timer(&self, options: &Options, in_body: bool) -> Result<Option<u64>, String> {
        let ordinal = self.timed.fetch_add(1, Ordering::Relaxed);
        let key = timers::key_of(options);
        if self.ids.is_some() {
            // A timer in memory has ended with its server: the body sees that it has one, but nothing starts.
            return Ok(key.is_none_or(|_| self.timers.contains(&ordinal)).then_some(ordinal));
        }
        let Some(key) = key else { return Ok(Some(ordinal)) };
        let session = self.session.upgrade().filter(|_| in_body);
        let session = session.ok_or("registerTE() with a key can only be called by the script itself")?;
        let mine = || self.timer_keys.lock().unwrap_or_else(PoisonError::into_inner);
        if mine().contains(&key) {
            return Ok(None);
        }
        let free = self.door.errand(|slice| timers::is_free(slice.held(), &session, &key));
        if !free.map_err(|denied| denied.to_string())?? {
            return Ok(None);
        }
        mine().push(key);
        Ok(Some(ordinal))
    }

    fn start_timer(&self, plan: Plan) -> Result<(), String> {
        let session = self.owner().and_then(|owner| owner.session).ok_or("no timer can be started here")?;
        let started = self.door.errand(|slice| {
            // Nothing would end those of a session whose place another one has.
            let may = timers::may_start(&session);
            may.then(|| timers::start(slice.held(), &session, plan)).is_some()
        });
        match started {
            Ok(true) => Ok(()),
            Ok(false) => Err("the session of this script was replaced, it can't start timers any more".to_owned()),
            Err(denied) => Err(denied.to_string()),
        }
    }
}
