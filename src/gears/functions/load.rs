//! How does a source become a library? Its body runs once, in an interpreter of its own, and only declares.
//!
//! The body can't use the server: it runs again after a restart and on every replica, and it must be possible to run it
//! while a transaction waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::header::{is_valid_name, Header};
use super::library::{Declared, Definition, Library};
use super::table::{self, Install};
use crate::gears::run::{new_run, text_of};
use crate::gears::{config, host};
use crate::python::host::{Host, KeysRequest, LogLevel, PlanInfo, RecordSource};
use crate::python::{self, Plan, Scope, Script, Want};
use crate::redis::{Job, Lane, Pools};
use crate::reply::Reply;
use crate::settings;
use crate::sync::CancelToken;

/// A library with its interpreter.
pub(super) struct Loaded {
    pub(super) script: Script,
    /// The functions that it has declared, by name.
    pub(super) functions: BTreeMap<String, Plan>,
}

/// `RG.FUNCTION LOAD`, as it was asked for.
pub struct Request {
    /// The first line, read.
    header: Header,
    source: Vec<u8>,
    replace: bool,
}

impl Request {
    /// A library to load from `source`; with `replace` in the place of one of its name.
    ///
    /// # Errors
    /// What its first line should say, for the client.
    pub fn new(source: &[u8], replace: bool) -> Result<Self, String> {
        Ok(Self { header: Header::parse(source)?, source: source.to_vec(), replace })
    }
}

/// The job that loads a library and puts it in force, or changes nothing.
pub fn load(request: Request) -> Job {
    let Request { header, source, replace } = request;
    job(header.limit, move |lane| {
        let name = header.name.clone();
        let library = new_library(header, source, lane)?;
        let how = Install { flush: false, replace };
        lane.slice(|slice| table::install(slice.held(), vec![library], how))
            .map_err(|stop| format!("ERR the library was not loaded: {stop}"))??;
        Ok(Reply::bulk(name))
    })
}

/// A job that runs the bodies of libraries.
pub(super) fn job(
    limit: Option<std::time::Duration>,
    work: impl FnOnce(&mut Lane) -> Result<Reply, Vec<u8>> + Send + 'static,
) -> Job {
    Job {
        pool: Pools::Python,
        limit: None,
        inline_limit: [limit, settings::PYTHON_INLINE_LIMIT.millis()].into_iter().flatten().min(),
        cancel: CancelToken::new(),
        run: Box::new(move |lane| {
            if !lane.is_inline() {
                // Counted from here: time in the queue is not the body's.
                lane.cancel().set_limit(limit);
            }
            work(lane).unwrap_or_else(Reply::Error)
        }),
    }
}

/// A library from its source, loaded.
pub(super) fn new_library(header: Header, source: Vec<u8>, lane: &Lane) -> Result<Arc<Library>, Vec<u8>> {
    let failed = |text: Vec<u8>| [&b"ERR Error registering functions: "[..], &text].concat();
    let loaded = body(&header, &source, lane).map_err(failed)?;
    let declared = |plan: &Plan| Declared::new(&plan.id, &plan.registration.clone().unwrap_or_default());
    let functions: Vec<Declared> = loaded.functions.values().map(declared).collect();
    if functions.is_empty() {
        return Err(b"ERR No functions registered".to_vec());
    }
    Ok(Arc::new(Library::new(Definition { header, source, functions }, Some(loaded))))
}

/// Runs the body of a library in a new interpreter.
pub(super) fn body(header: &Header, source: &[u8], lane: &Lane) -> Result<Loaded, Vec<u8>> {
    let registry = python::registry().ok_or("Python is not running")?;
    let want = Want { isolation: header.isolation, scope: Scope::Library, max_memory: header.max_memory };
    let script = Script::new(registry.acquire(&want).map_err(|error| format!("no interpreter: {error}"))?);
    let host = Arc::new(Body { inline: lane.is_inline(), declared: Mutex::default() });
    let run = new_run(&host, lane.cancel().clone(), lane, header.max_memory);
    let plans = script.exec(run, source).map_err(text_of)?;
    if let Some(stop) = lane.cancel().stopped() {
        return Err(format!("the body was stopped: {stop}").into_bytes());
    }
    Ok(Loaded { script, functions: plans.into_iter().map(|plan| (plan.id.clone(), plan)).collect() })
}

/// The server as the body of a library sees it.
struct Body {
    /// The thread that runs it has the server's lock.
    inline: bool,
    declared: Mutex<BTreeSet<String>>,
}

const NOT_HERE: &str = "the body of a library can not use the server, only its functions can";

impl Host for Body {
    fn execute(&self, _argv: Vec<Vec<u8>>) -> Result<Reply, Vec<u8>> {
        Err(NOT_HERE.as_bytes().to_vec())
    }

    fn enter_atomic(&self) -> Result<(), String> {
        Err(NOT_HERE.to_owned())
    }

    fn leave_atomic(&self) {}

    fn holds_lock(&self) -> bool {
        self.inline
    }

    fn log(&self, level: LogLevel, message: &str) {
        host::log(level, message);
    }

    fn hashtag(&self) -> String {
        host::hashtag()
    }

    fn config_get(&self, key: &str) -> Option<Vec<u8>> {
        config::extra_value(key.as_bytes())
    }

    fn open_keys(&self, _request: KeysRequest) -> Result<Box<dyn RecordSource>, String> {
        Err(NOT_HERE.to_owned())
    }

    fn create_execution(&self, _plan: &PlanInfo, _apart: bool) -> Result<String, String> {
        Err(NOT_HERE.to_owned())
    }

    fn declare_function(&self, name: &str) -> Result<(), String> {
        if !is_valid_name(name) {
            return Err(
                "Function names can only contain letters, numbers, or underscores(_) and must be at least one \
                        character long"
                    .to_owned(),
            );
        }
        let new = self.declared.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        if new {
            Ok(())
        } else {
            Err(format!("Function {name} already exists in the library"))
        }
    }
}
