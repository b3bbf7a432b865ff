//! What do `RG.CONFIGGET` and `RG.CONFIGSET` know?
//!
//! What has a meaning here is an option of the module (`CONFIG SET search.*`), which `CONFIG REWRITE` keeps, under the
//! name that RedisGears has for it. Everything else is the extra configuration, for scripts.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use once_cell::sync::Lazy;

use crate::reply::Reply;
use crate::settings::{self, Kind, Setting};

/// Keys of the engine, of any case when they are set.
static ENGINE: [(&str, &Setting); 3] = [
    ("MaxExecutions", &settings::MAX_EXECUTIONS),
    ("MaxExecutionsPerRegistration", &settings::MAX_EXECUTIONS_PER_REGISTRATION),
    ("ProfileExecutions", &settings::PROFILE_EXECUTIONS),
];

/// Keys of the Python plugin, and ours about requirements: setting them is confirmed as if they were extra ones.
static PYTHON: [(&str, &Setting); 5] = [
    ("PythonAttemptTraceback", &settings::PYTHON_ATTEMPT_TRACEBACK),
    ("PythonInstallReqMaxIdleTime", &settings::PYTHON_INSTALL_REQ_MAX_IDLE_TIME),
    ("PythonInstallationDir", &settings::PYTHON_INSTALLATION_DIR),
    ("RequirementsIndexUrl", &settings::REQUIREMENTS_INDEX_URL),
    ("RequirementsWheelDir", &settings::REQUIREMENTS_WHEEL_DIR),
];

/// Keys that RedisGears 1.2 had, with its defaults, which have no effect here and so cannot be set.
const FIXED: [(&str, i64); 2] = [("ExecutionMaxIdleTime", 5000), ("SendMsgRetries", 3)];

/// Python keys of RedisGears whose choice was made for all.
const PYTHON_FIXED: [(&str, i64); 4] =
    [("CreateVenv", 1), ("OverridePythonAllocators", 1), ("DownloadDeps", 0), ("ForeceDownloadDepsOnEnterprise", 0)];
/// Where RedisGears fetched its Python from: nothing is fetched here.
const PYTHON_TEXTS: [&str; 2] = ["DependenciesUrl", "DependenciesSha256"];

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
    let is = |known: &str| known.as_bytes() == key;
    let setting = ENGINE.iter().chain(&PYTHON).find(|(name, _)| is(name));
    let fixed = FIXED.iter().chain(&PYTHON_FIXED).find(|(name, _)| is(name));
    match (key, setting, fixed) {
        (b"ExecutionThreads", ..) => Reply::Int(settings::PYTHON_WORKERS.get()),
        (b"Plugin", ..) => Reply::Array(Vec::new()),
        (_, Some((_, setting)), _) if setting.kind == Kind::Text => Reply::bulk(setting.text()),
        (_, Some((_, setting)), _) => Reply::Int(setting.get()),
        (_, _, Some((_, value))) => Reply::Int(*value),
        _ if PYTHON_TEXTS.iter().any(|known| is(known)) => Reply::bulk(""),
        _ => extra_value(key).map_or_else(
            || Reply::error(format!("(error) Unsupported config parameter: {}", String::from_utf8_lossy(key))),
            Reply::Bulk,
        ),
    }
}

/// Sets one pair; one element of `RG.CONFIGSET`'s reply.
pub fn set(key: &[u8], value: &[u8]) -> Reply {
    let (name, text) = (String::from_utf8_lossy(key), String::from_utf8_lossy(value));
    let is = |known: &str| key.eq_ignore_ascii_case(known.as_bytes());
    if let Some((_, setting)) = ENGINE.iter().find(|(known, _)| is(known)) {
        let Ok(number) = text.parse::<i64>() else {
            return Reply::error(format!("(error) Failed setting config value {name}"));
        };
        // Less than nothing is nothing: no limit, or none kept.
        setting.set(if setting.kind == Kind::Bool { i64::from(number != 0) } else { number.max(0) });
        return Reply::ok();
    }
    if is("ExecutionThreads") || is("Plugin") || FIXED.iter().any(|(known, _)| is(known)) {
        return Reply::error(format!("(error) Config value {name} not modifiable at runtime"));
    }
    let fixed = PYTHON_FIXED.iter().map(|(known, _)| *known).chain(PYTHON_TEXTS);
    if fixed.into_iter().any(|known| known.as_bytes() == key) {
        return Reply::error(format!("(error) {name} is not configurable at runtime"));
    }
    if let Some((_, setting)) = PYTHON.iter().find(|(known, _)| known.as_bytes() == key) {
        let set = match setting.kind {
            Kind::Text => setting.set_words(&text).is_ok(),
            _ => setting.parse(&text).map(|value| setting.set(value)).is_ok(),
        };
        if !set {
            return Reply::error(format!("Failed setting config value for key '{name}' with value '{text}'"));
        }
    }
    extra().insert(key.to_vec(), value.to_vec());
    Reply::Status(b"OK - value was saved in extra config dictionary".to_vec())
}
