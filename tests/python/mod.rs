//! A server that is not there: the host of the tests of the Python layer, and how they run scripts.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use interlock::python::host::{Host, KeyRecord, KeysRequest, LogLevel, Options, PlanInfo, RecordSource};
use interlock::python::{
    boot, registry, BootOptions, Interpreter, Isolation, Plan, PlanOutcome, Ran, Registry, Run, Scope, Script,
    ScriptError, Want,
};
use interlock::reply::Reply;
use interlock::sync::CancelToken;

/// Answers commands from a few rules, and remembers what it was asked.
#[derive(Default)]
pub struct FakeHost {
    pub log: Mutex<Vec<String>>,
    pub atomic: Mutex<usize>,
    pub created: Mutex<Vec<PlanInfo>>,
    /// The thread that holds the server's lock.
    pub holder: Mutex<Option<std::thread::ThreadId>>,
}

impl FakeHost {
    pub fn logged(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

/// A KeysReader over three batches.
struct Batches(Vec<Vec<KeyRecord>>);

impl RecordSource for Batches {
    fn next_batch(&mut self) -> Result<Vec<KeyRecord>, String> {
        Ok(self.0.pop().unwrap_or_default())
    }
}

impl Host for FakeHost {
    fn execute(&self, argv: Vec<Vec<u8>>) -> Result<Reply, Vec<u8>> {
        match argv[0].to_ascii_uppercase().as_slice() {
            b"PING" => Ok(Reply::Status(b"PONG".to_vec())),
            b"ECHO" => Ok(Reply::Bulk(argv[1].clone())),
            b"ARGS" => Ok(Reply::Array(argv.into_iter().skip(1).map(Reply::Bulk).collect())),
            b"NIL" => Ok(Reply::Null),
            b"ALL" => Ok(Reply::Array(vec![
                Reply::Int(7),
                Reply::Double(1.5),
                Reply::Bool(true),
                Reply::Null,
                Reply::Error(b"ERR nested".to_vec()),
                Reply::Map(vec![(Reply::bulk("k"), Reply::Array(vec![Reply::Int(1)]))]),
                Reply::Set(vec![Reply::bulk("m"), Reply::Bulk(vec![0xff])]),
                Reply::BigNumber(b"123456789012345678901234567890".to_vec()),
            ])),
            b"DEEP" => Ok((0..10_000).fold(Reply::Int(1), |inner, _| Reply::Array(vec![inner])).shallow()),
            b"SLOW" => {
                std::thread::sleep(Duration::from_millis(50));
                Ok(Reply::ok())
            }
            b"PANIC" => panic!("the host panics"),
            _ => Err(b"ERR unknown command".to_vec()),
        }
    }
    fn enter_atomic(&self) -> Result<(), String> {
        *self.atomic.lock().unwrap() += 1;
        *self.holder.lock().unwrap() = Some(std::thread::current().id());
        Ok(())
    }
    fn leave_atomic(&self) {
        *self.atomic.lock().unwrap() -= 1;
        *self.holder.lock().unwrap() = None;
    }
    fn holds_lock(&self) -> bool {
        *self.holder.lock().unwrap() == Some(std::thread::current().id())
    }
    fn log(&self, level: LogLevel, message: &str) {
        self.log.lock().unwrap().push(format!("{level:?}: {message}"));
    }
    fn hashtag(&self) -> String {
        "06S".to_owned()
    }
    fn config_get(&self, key: &str) -> Option<Vec<u8>> {
        (key == "known").then(|| b"value".to_vec())
    }
    fn open_keys(&self, request: KeysRequest) -> Result<Box<dyn RecordSource>, String> {
        if request.pattern == b"bad" {
            return Err("ERR no such keys".to_owned());
        }
        let record = |key: &[u8], value: Option<(&'static str, Reply)>| KeyRecord {
            key: key.to_vec(),
            value: value.filter(|_| request.read_value),
        };
        let hash = Reply::Map(vec![(Reply::bulk("f"), Reply::bulk("v"))]);
        Ok(Box::new(Batches(vec![
            vec![record(b"s", Some(("stream", Reply::Array(vec![]))))],
            vec![record(b"a", Some(("string", Reply::bulk("1")))), record(&[0xff], Some(("hash", hash)))],
        ])))
    }
    fn create_execution(&self, plan: &PlanInfo, _apart: bool) -> Result<String, String> {
        let mut created = self.created.lock().unwrap();
        created.push(plan.clone());
        Ok(format!("0-{}", created.len()))
    }
    fn create_registration(&self, plan: &PlanInfo, _options: &Options) -> Result<String, String> {
        self.create_execution(plan, false)
    }
}

/// The outcome of a plan that did not have to wait.
pub fn ended(ran: Ran) -> PlanOutcome {
    match ran {
        Ran::Ended(outcome) => outcome,
        Ran::Waits(_) => panic!("it waits"),
    }
}

/// Cuts what would overflow the stack when it is dropped.
trait Shallow {
    fn shallow(self) -> Reply;
}

impl Shallow for Reply {
    fn shallow(self) -> Reply {
        let mut depth = 0;
        let mut rest = self;
        let mut keep = Reply::Int(1);
        while let Reply::Array(mut items) = rest {
            rest = items.pop().unwrap_or(Reply::Null);
            depth += 1;
            if depth <= 1000 {
                keep = Reply::Array(vec![keep]);
            }
        }
        keep
    }
}

static ONCE: Once = Once::new();

/// Python, started once for all tests of a process.
pub fn python() -> &'static Registry {
    // A virtual environment with numpy, to test what cannot be tested without.
    let executable = std::env::var_os("INTERLOCK_TEST_PYTHON").map(Into::into);
    start(BootOptions { warm: 2, executable, ..BootOptions::default() })
}

pub fn start(options: BootOptions) -> &'static Registry {
    ONCE.call_once(|| boot(options).expect("Python starts"));
    registry().expect("Python has started")
}

pub const FRESH: Want = Want { isolation: Isolation::Subinterpreter, scope: Scope::Call, max_memory: None };
pub const SHARED: Want = Want { isolation: Isolation::Shared, scope: Scope::Call, max_memory: None };

pub fn scoped(sha: u8) -> Want {
    Want { scope: Scope::Script([sha; 20]), ..FRESH }
}

/// One script with its host.
pub struct Session {
    pub host: Arc<FakeHost>,
    pub script: Script,
}

pub fn session(want: &Want) -> Session {
    let interpreter = python().acquire(want).expect("an interpreter");
    Session { host: Arc::new(FakeHost::default()), script: Script::new(interpreter) }
}

impl Session {
    pub fn interpreter(&self) -> &Arc<Interpreter> {
        self.script.interpreter()
    }

    pub fn run(&self) -> Run {
        Run::new(self.host.clone(), CancelToken::new())
    }

    pub fn limited(&self, limit: Duration) -> Run {
        Run::new(self.host.clone(), CancelToken::with_limit(limit))
    }

    pub fn exec(&self, source: &str) -> Result<Vec<Plan>, String> {
        self.exec_with(self.run(), source)
    }

    pub fn exec_with(&self, run: Run, source: &str) -> Result<Vec<Plan>, String> {
        self.exec_raw(run, source).map_err(|error| String::from_utf8_lossy(&error.text).into_owned())
    }

    pub fn exec_raw(&self, run: Run, source: &str) -> Result<Vec<Plan>, ScriptError> {
        let source = source.as_bytes().to_vec();
        on_large_stack(|| self.script.exec(run, &source))
    }

    /// Runs a script whose single execution gives these results.
    pub fn outcome(&self, source: &str) -> PlanOutcome {
        let plans = self.exec(source).expect("the body runs");
        assert_eq!(plans.len(), 1, "one execution");
        let (outcome, nested) = on_large_stack(|| self.script.run_plan(self.run(), &plans[0])).expect("the plan runs");
        assert!(nested.is_empty());
        ended(outcome)
    }
}

/// Runs on a thread with the stack that Python needs.
pub fn on_large_stack<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    on_stack(interlock::python::STACK_SIZE, work)
}

/// Runs on a thread with a stack of this many bytes.
pub fn on_stack<R: Send>(size: usize, work: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(size)
            .spawn_scoped(scope, work)
            .expect("a thread")
            .join()
            .expect("no panic")
    })
}

/// Runs a script in an interpreter of its own and expects it to succeed.
pub fn ok(source: &str) {
    let session = session(&FRESH);
    if let Err(text) = session.exec(source) {
        panic!("{source}\nraised {text}");
    }
}

/// Runs a script in an interpreter of its own and returns its error.
pub fn fails(source: &str) -> String {
    session(&FRESH).exec(source).expect_err("the script raises")
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, limit: Duration, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
