//! What may a script ask of the server?
//!
//! The Python layer knows the server only through [`Host`]; `gears` implements it. One host belongs to
//! one run of a script or of an execution, and carries what that run may do: its lane, its
//! database, its user.

use std::sync::Arc;

use super::Plan;
use crate::reply::Reply;
use crate::sync::CancelToken;

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// `debug`
    Debug,
    /// `verbose`
    Verbose,
    /// `notice`
    Notice,
    /// `warning`
    Warning,
}

/// The server, as seen from one run.
///
/// Unless it says otherwise, a method may wait for the server's global lock; the caller has released
/// its GIL, except when [`Host::holds_lock`] is true for the calling thread (then nothing waits).
/// Methods may be called by several threads of one script at once. Errors are texts for the script.
pub trait Host: Send + Sync {
    /// Runs one server command; an error reply of the server comes back as `Err` with its text.
    fn execute(&self, argv: Vec<Vec<u8>>) -> Result<Reply, Vec<u8>>;

    /// Runs the command in whose place the execution stands, with these arguments.
    fn call_next(&self, _arguments: Vec<Vec<u8>>) -> Result<Reply, Vec<u8>> {
        Err(b"Can not get CommandHook ctx".to_vec())
    }

    /// The command that the execution was started for. Never waits.
    fn command(&self) -> Option<Vec<Vec<u8>>> {
        None
    }

    /// Takes the server's lock for the calling thread until [`Host::leave_atomic`].
    fn enter_atomic(&self) -> Result<(), String>;

    /// Takes it for something short, until [`Host::leave_atomic`], if that can be done without any wait. Whether it was.
    fn keep_lent(&self) -> bool {
        false
    }

    /// Gives back what [`Host::enter_atomic`] took.
    fn leave_atomic(&self);

    /// Whether the calling thread holds the server's lock (inside `atomic()`, or in the inline lane).
    /// Never waits.
    fn holds_lock(&self) -> bool;

    /// Writes a line to the server's log. Any text is safe.
    fn log(&self, level: LogLevel, message: &str);

    /// A text that hashes to the first slot of this shard. Never waits.
    fn hashtag(&self) -> String;

    /// A value of the extra configuration (`RG.CONFIGSET`). Never waits.
    fn config_get(&self, key: &str) -> Option<Vec<u8>>;

    /// Starts to read keys. Never waits.
    fn open_keys(&self, request: KeysRequest) -> Result<Box<dyn RecordSource>, String>;

    /// Registers an execution that the script's `run()` created, and returns its id. Never waits. With `apart` it is
    /// started at once ([`Host::start`]), and only its own stop stops it.
    fn create_execution(&self, plan: &PlanInfo, apart: bool) -> Result<String, String>;

    /// Starts an execution that was created apart, beside this run. Never waits.
    fn start(&self, _plan: Plan) -> Result<(), String> {
        Err("no execution can be started here".to_owned())
    }

    /// Whether a step may wait for a coroutine or a future, so that its execution ends later. Never waits.
    fn may_wait(&self) -> bool {
        false
    }

    /// What such an execution goes on with. Never waits.
    fn background(&self) -> Result<Background, String> {
        Err("Creating async record is not allowed".to_owned())
    }

    /// Runs the next piece of such an execution on a thread for Python, soon. Never waits.
    fn go_on(&self, _work: Box<dyn FnOnce() + Send>) {}

    /// The run has ended: nothing is asked of this host any more, though a thread that the script left behind may keep
    /// it. Never waits.
    fn ended(&self) {}

    /// Gives the client that started the execution another reply than the results. Never waits.
    fn override_reply(&self, _reply: Reply) -> Result<(), String> {
        Err("Can not get command ctx".to_owned())
    }

    /// Notes a registration that the script's `register()` asks for, and returns its id. Never waits. It becomes
    /// active when the script has ended without an error.
    fn create_registration(&self, _plan: &PlanInfo, _options: &Options) -> Result<String, String> {
        Err("nothing can be registered here".to_owned())
    }

    /// Asks for a timer: its place among those that the script asks for, or `None` if it has a key that is there
    /// already. What the body asks for begins when the script has ended without an error.
    fn create_timer(&self, _options: &Options, _in_body: bool) -> Result<Option<u64>, String> {
        Err("no timer can be started here".to_owned())
    }

    /// Starts a timer that a step has asked for.
    fn start_timer(&self, _plan: Plan) -> Result<(), String> {
        Err("no timer can be started here".to_owned())
    }

    /// Notes a function that the body of a library declares. Never waits.
    fn declare_function(&self, _name: &str) -> Result<(), String> {
        Err("functions can only be declared by a library, see RG.FUNCTION LOAD".to_owned())
    }
}

/// How an execution goes on when the run that began it has returned.
pub struct Background {
    /// The server as it sees it from then on.
    pub host: Arc<dyn Host>,
    /// Stops it.
    pub cancel: CancelToken,
}

/// What `register()` was given: names and values, already checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Options(pub Vec<(Vec<u8>, Reply)>);

impl Options {
    fn get(&self, name: &str) -> Option<&Reply> {
        self.0.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value)
    }

    /// A text; empty if it was not given.
    pub fn text(&self, name: &str) -> Vec<u8> {
        match self.get(name) {
            Some(Reply::Bulk(text)) => text.clone(),
            _ => Vec::new(),
        }
    }

    /// A number; 0 if it was not given.
    pub fn number(&self, name: &str) -> i64 {
        match self.get(name) {
            Some(Reply::Int(number)) => *number,
            _ => 0,
        }
    }

    /// A truth value; false if it was not given.
    pub fn flag(&self, name: &str) -> bool {
        self.number(name) != 0
    }

    /// A list of texts, if it was given.
    pub fn texts(&self, name: &str) -> Option<Vec<Vec<u8>>> {
        let Some(Reply::Array(items)) = self.get(name) else { return None };
        Some(
            items
                .iter()
                .filter_map(|item| if let Reply::Bulk(text) = item { Some(text.clone()) } else { None })
                .collect(),
        )
    }
}

/// Which keys a KeysReader reads, and what of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysRequest {
    /// A glob pattern, or with `no_scan` one literal key.
    pub pattern: Vec<u8>,
    /// Read exactly the key `pattern`, whether it exists or not.
    pub no_scan: bool,
    /// Read type and value too.
    pub read_value: bool,
}

/// A stream of key records, read from the server in slices.
pub trait RecordSource: Send {
    /// The next records, some hundreds at a time; empty at the end. May wait for the server's lock.
    fn next_batch(&mut self) -> Result<Vec<KeyRecord>, String>;
}

/// One key, as a KeysReader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyRecord {
    /// The key's name.
    pub key: Vec<u8>,
    /// Its type and value, when values are read: `("string", Bulk)`, `("list", Array)`,
    /// `("hash", Map)`, `("set", Set)`, `("zset", Map of member to Double)`,
    /// `("stream", Array of [id, Map])`, `("module", Null)`, `("empty", Null)`.
    pub value: Option<(&'static str, Reply)>,
}

/// What the server shows of an execution's plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanInfo {
    /// The reader's name, for example `KeysReader`.
    pub reader: String,
    /// The builder's description.
    pub description: Option<String>,
    /// The steps, first step first.
    pub steps: Vec<StepInfo>,
}

/// What the server shows of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepInfo {
    /// `map`, `filter`, `group`, `extractkey`, `repartition`, `reduce`, `collect`, `foreach`,
    /// `flatmap`, `limit`, `accumulate`, `accumulatebykey`.
    pub kind: String,
    /// The callback's name.
    pub name: String,
    /// Python's `str()` of the callback, or empty.
    pub arg: String,
}
