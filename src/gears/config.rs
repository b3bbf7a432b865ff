//! What do `RG.CONFIGGET` and `RG.CONFIGSET` know?

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use once_cell::sync::Lazy;

use crate::reply::Reply;
use crate::settings;

/// Executions that are kept by id; 0 or less for no limit.
pub static MAX_EXECUTIONS: AtomicI64 = AtomicI64::new(1000);

/// Executions that have ended and are kept for each registration; 0 or less for none.
pub static MAX_EXECUTIONS_PER_REGISTRATION: AtomicI64 = AtomicI64::new(100);

/// Whether executions add to the profile of their script.
static PROFILE_EXECUTIONS: AtomicI64 = AtomicI64::new(0);

/// Whether executions add to the profile of their script.
pub fn profiles() -> bool {
    PROFILE_EXECUTIONS.load(Ordering::Relaxed) != 0
}

/// The numbers that can be set.
fn number(name: &[u8]) -> Option<&'static AtomicI64> {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    match () {
        () if is("MaxExecutions") => Some(&MAX_EXECUTIONS),
        () if is("ProfileExecutions") => Some(&PROFILE_EXECUTIONS),
        () if is("MaxExecutionsPerRegistration") => Some(&MAX_EXECUTIONS_PER_REGISTRATION),
        () => None,
    }
}

/// Keys that RedisGears 1.2 had, with its defaults, which have no effect yet here and so cannot be set.
const FIXED: [(&str, i64); 2] = [("ExecutionMaxIdleTime", 5000), ("SendMsgRetries", 3)];

/// The Python key that takes effect: whether errors carry a traceback.
const ATTEMPT_TRACEBACK: &str = "PythonAttemptTraceback";
/// Python keys of RedisGears that are decided when a script names its requirements.
const PYTHON_FIXED: [(&str, i64); 4] =
    [("CreateVenv", 1), ("OverridePythonAllocators", 1), ("DownloadDeps", 0), ("ForeceDownloadDepsOnEnterprise", 0)];
/// Where RedisGears fetched its Python from: nothing is fetched here.
const PYTHON_TEXTS: [&str; 3] = ["DependenciesUrl", "DependenciesSha256", "PythonInstallationDir"];

/// The extra configuration: whatever else was set. Scripts read it with `configGet`.
static EXTRA: Lazy<Mutex<HashMap<Vec<u8>, Vec<u8>>>> = Lazy::new(Mutex::default);

fn extra() -> MutexGuard<'static, HashMap<Vec<u8>, Vec<u8>>> {
    EXTRA.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A value of the extra configuration.
pub fn extra_value(key: &[u8]) -> Option<Vec<u8>> {
    extra().get(key).cloned()
}

/// One element of `RG.CONFIGGET`'s reply. Keys are case-sensitive here, as they always were.
pub fn get(key: &[u8]) -> Reply {
    let fixed = FIXED.iter().chain(&PYTHON_FIXED).find(|(name, _)| name.as_bytes() == key);
    match (key, fixed) {
        (b"MaxExecutions", _) => Reply::Int(MAX_EXECUTIONS.load(Ordering::Relaxed)),
        (b"MaxExecutionsPerRegistration", _) => Reply::Int(MAX_EXECUTIONS_PER_REGISTRATION.load(Ordering::Relaxed)),
        (b"ExecutionThreads", _) => Reply::Int(settings::PYTHON_WORKERS.get()),
        (b"Plugin", _) => Reply::Array(Vec::new()),
        (b"ProfileExecutions", _) => Reply::Int(PROFILE_EXECUTIONS.load(Ordering::Relaxed)),
        (_, Some((_, value))) => Reply::Int(*value),
        _ if PYTHON_TEXTS.iter().any(|known| known.as_bytes() == key) => Reply::bulk(""),
        _ if key == ATTEMPT_TRACEBACK.as_bytes() => Reply::Int(i64::from(with_traceback())),
        _ => extra_value(key).map_or_else(
            || Reply::error(format!("(error) Unsupported config parameter: {}", String::from_utf8_lossy(key))),
            Reply::Bulk,
        ),
    }
}

/// Sets one pair; one element of `RG.CONFIGSET`'s reply.
pub fn set(key: &[u8], value: &[u8]) -> Reply {
    let name = String::from_utf8_lossy(key).into_owned();
    let is = |known: &str| key.eq_ignore_ascii_case(known.as_bytes());
    if let Some(setting) = number(key) {
        return match String::from_utf8_lossy(value).parse() {
            Ok(number) => {
                setting.store(number, Ordering::Relaxed);
                Reply::ok()
            }
            Err(_) => Reply::error(format!("(error) Failed setting config value {name}")),
        };
    }
    if is("ExecutionThreads") || is("Plugin") || FIXED.iter().any(|(known, _)| is(known)) {
        return Reply::error(format!("(error) Config value {name} not modifiable at runtime"));
    }
    let python = PYTHON_FIXED.iter().map(|(known, _)| *known).chain(PYTHON_TEXTS);
    if python.into_iter().any(|known| known.as_bytes() == key) {
        return Reply::error(format!("(error) {name} is not configurable at runtime"));
    }
    if key == ATTEMPT_TRACEBACK.as_bytes() && !matches!(value, b"0" | b"1") {
        return Reply::error(format!(
            "Failed setting config value for key '{name}' with value '{}'",
            String::from_utf8_lossy(value)
        ));
    }
    extra().insert(key.to_vec(), value.to_vec());
    Reply::Status(b"OK - value was saved in extra config dictionary".to_vec())
}

/// Whether error texts carry a traceback.
pub fn with_traceback() -> bool {
    extra_value(ATTEMPT_TRACEBACK.as_bytes()).is_none_or(|value| value != b"0")
}
