//! What can an operator set? The values of all options, readable by every layer, without waiting.
//!
//! `config` fills them from the load arguments and from `CONFIG SET search.*`; this page only holds
//! names, bounds and current values, so that no layer has to ask the server for them.

use std::num::NonZero;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

/// What values an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// An integer between the bounds (both included).
    Number {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// A size in bytes, with the server's suffixes (`100mb`).
    Memory,
    /// One of these words; the value is the word's place.
    Word(&'static [&'static str]),
    /// Any text without line breaks; empty unless it is set.
    Text,
}

/// One option.
#[derive(Debug)]
pub struct Setting {
    /// Its name: `CONFIG GET search.<name>`, and as a load argument.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its value when nobody sets it.
    pub default: i64,
    /// Whether `CONFIG SET` may change it while the server runs.
    pub live: bool,
    value: AtomicI64,
    words: Mutex<String>,
}

impl Setting {
    const fn new(name: &'static str, kind: Kind, default: i64, live: bool) -> Self {
        Self { name, kind, default, live, value: AtomicI64::new(default), words: Mutex::new(String::new()) }
    }

    /// The current value; for words, the place of the word.
    pub fn get(&self) -> i64 {
        self.value.load(Ordering::Relaxed)
    }

    /// The current value of a `Bool`.
    pub fn is_on(&self) -> bool {
        self.get() != 0
    }

    /// The current value as a count; a negative one is 0.
    pub fn count(&self) -> usize {
        usize::try_from(self.get()).unwrap_or(0)
    }

    /// The current value as a number of threads: 0 is one for each processor.
    pub fn threads(&self) -> usize {
        // Asking the system takes longer than the command that wants to know.
        static PROCESSORS: OnceLock<usize> = OnceLock::new();
        match self.count() {
            0 => *PROCESSORS.get_or_init(|| available_parallelism().map_or(1, NonZero::get)),
            threads => threads,
        }
    }

    /// The current value in milliseconds; `None` for 0.
    pub fn millis(&self) -> Option<Duration> {
        u64::try_from(self.get()).ok().filter(|&millis| millis > 0).map(Duration::from_millis)
    }

    /// Sets the value. The caller has checked the bounds.
    pub fn set(&self, value: i64) {
        self.value.store(value, Ordering::Relaxed);
    }

    /// The current value of a `Text`, unless that is empty.
    pub fn words(&self) -> Option<String> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        (!words.is_empty()).then(|| words.clone())
    }

    /// Sets the value of a `Text`.
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn set_words(&self, text: &str) -> Result<(), &'static str> {
        if text.contains(char::is_control) {
            return Err("a text without line breaks and other control characters");
        }
        text.clone_into(&mut self.words.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    /// The current value as `CONFIG GET` shows it.
    pub fn text(&self) -> String {
        match self.kind {
            Kind::Bool => if self.is_on() { "yes" } else { "no" }.to_owned(),
            Kind::Word(words) => words.get(self.count()).copied().unwrap_or("").to_owned(),
            Kind::Number { .. } | Kind::Memory => self.get().to_string(),
            Kind::Text => self.words().unwrap_or_default(),
        }
    }

    /// Reads a value from text; one of a `Text` is for [`Setting::set_words`].
    ///
    /// # Errors
    /// What was expected, in words.
    pub fn parse(&self, text: &str) -> Result<i64, String> {
        match self.kind {
            Kind::Bool => match text.to_ascii_lowercase().as_str() {
                "yes" | "1" | "true" | "on" => Ok(1),
                "no" | "0" | "false" | "off" => Ok(0),
                _ => Err("yes or no".to_owned()),
            },
            Kind::Number { min, max } => text
                .parse()
                .ok()
                .filter(|number| (min..=max).contains(number))
                .ok_or_else(|| format!("an integer from {min} to {max}")),
            Kind::Memory => parse_bytes(text).ok_or_else(|| "a number of bytes such as 0, 1048576 or 64mb".to_owned()),
            Kind::Word(words) => words
                .iter()
                .position(|word| word.eq_ignore_ascii_case(text))
                .map(|place| place as i64)
                .ok_or_else(|| format!("one of {}", words.join(", "))),
            Kind::Text => Err("a text".to_owned()),
        }
    }
}

/// Reads a size with the server's suffixes: `k` is 1000, `kb` is 1024, and so on (`memtoull`, Redis 7.0).
pub fn parse_bytes(text: &str) -> Option<i64> {
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: i64 = match &text[digits.len()..] {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<i64>().ok().filter(|&number| number >= 0)?.checked_mul(factor)
}

/// `safemode`: commands run to completion on the main thread, each atomic.
pub static SAFEMODE: Setting = Setting::new("safemode", Kind::Bool, 0, true);
/// `workers`: threads of the pool for the module's own jobs.
pub static WORKERS: Setting = Setting::new("workers", Kind::Number { min: 1, max: 256 }, 4, true);
/// `queue-limit`: jobs that may wait in one pool's queue.
pub static QUEUE_LIMIT: Setting = Setting::new("queue-limit", Kind::Number { min: 1, max: 10_000_000 }, 100_000, true);
/// `slice-us`: the longest that a job holds the server's lock at a time, in microseconds.
pub static SLICE_US: Setting = Setting::new("slice-us", Kind::Number { min: 10, max: 1_000_000 }, 200, true);
/// `isolation`: where scripts run unless they say otherwise.
pub static ISOLATION: Setting = Setting::new("isolation", Kind::Word(&["subinterpreter", "shared"]), 0, true);
/// `python-workers`: threads that run Python.
pub static PYTHON_WORKERS: Setting = Setting::new("python-workers", Kind::Number { min: 1, max: 256 }, 4, true);
/// `python-time-limit`: milliseconds a script or an execution may take in the background; 0 for no limit.
pub static PYTHON_TIME_LIMIT: Setting =
    Setting::new("python-time-limit", Kind::Number { min: 0, max: i64::MAX }, 0, true);
/// `python-inline-limit`: milliseconds a script may take on the main thread (`MULTI`, Lua, `SAFEMODE`).
pub static PYTHON_INLINE_LIMIT: Setting =
    Setting::new("python-inline-limit", Kind::Number { min: 1, max: i64::MAX }, 1_000, true);
/// `python-max-memory`: bytes that one interpreter may use; 0 for no limit.
pub static PYTHON_MAX_MEMORY: Setting = Setting::new("python-max-memory", Kind::Memory, 0, true);
/// `warm-interpreters`: ready, never used interpreters to keep.
pub static WARM_INTERPRETERS: Setting = Setting::new("warm-interpreters", Kind::Number { min: 0, max: 1_000 }, 4, true);
/// `python-ticker`: the remedy for starving interpreters where all share one GIL (docs/configuration.md).
pub static PYTHON_TICKER: Setting = Setting::new("python-ticker", Kind::Bool, 1, false);
/// `python-own-heap`: give back what a dead interpreter left in memory, where each has its own GIL.
pub static PYTHON_OWN_HEAP: Setting = Setting::new("python-own-heap", Kind::Bool, 1, false);
/// `python-preload-datetime`: import `datetime` in the main interpreter before any other does.
pub static PYTHON_PRELOAD_DATETIME: Setting = Setting::new("python-preload-datetime", Kind::Bool, 1, false);
/// `event-queue-bytes`: events that wait, for each registration; past it clients that write pause.
pub static EVENT_QUEUE_BYTES: Setting = Setting::new("event-queue-bytes", Kind::Memory, 64 << 20, true);
/// `script-cache-memory`: bytes that Python scripts kept with `RG.PYLOAD` may take.
pub static SCRIPT_CACHE_MEMORY: Setting = Setting::new("script-cache-memory", Kind::Memory, 64 << 20, true);
/// `max-executions`: executions that are kept by id; 0 for no limit.
pub static MAX_EXECUTIONS: Setting =
    Setting::new("max-executions", Kind::Number { min: 0, max: i64::MAX }, 1_000, true);
/// `max-executions-per-registration`: executions that have ended and are kept for each registration.
pub static MAX_EXECUTIONS_PER_REGISTRATION: Setting =
    Setting::new("max-executions-per-registration", Kind::Number { min: 0, max: i64::MAX }, 100, true);
/// `profile-executions`: whether executions add to the profile of their script.
pub static PROFILE_EXECUTIONS: Setting = Setting::new("profile-executions", Kind::Bool, 0, true);
/// `python-attempt-traceback`: whether error texts carry a traceback.
pub static PYTHON_ATTEMPT_TRACEBACK: Setting = Setting::new("python-attempt-traceback", Kind::Bool, 1, true);
/// `python-install-req-max-idle-time`: milliseconds that pip waits for an index that does not answer.
pub static PYTHON_INSTALL_REQ_MAX_IDLE_TIME: Setting =
    Setting::new("python-install-req-max-idle-time", Kind::Number { min: 1, max: 86_400_000 }, 30_000, true);
/// `python-installation-dir`: where the folders of packages are made.
pub static PYTHON_INSTALLATION_DIR: Setting = Setting::new("python-installation-dir", Kind::Text, 0, true);
/// `requirements-index-url`: an index in the place of pip's.
pub static REQUIREMENTS_INDEX_URL: Setting = Setting::new("requirements-index-url", Kind::Text, 0, true);
/// `requirements-wheel-dir`: a folder of wheels in the place of any index.
pub static REQUIREMENTS_WHEEL_DIR: Setting = Setting::new("requirements-wheel-dir", Kind::Text, 0, true);
/// `pin-scripts`: keep Lua scripts that pass, and turn `EVALSHA` of a known one into `EVAL`.
pub static PIN_SCRIPTS: Setting = Setting::new("pin-scripts", Kind::Bool, 0, true);
/// `pin-scripts-memory`: bytes that kept scripts may take.
pub static PIN_SCRIPTS_MEMORY: Setting = Setting::new("pin-scripts-memory", Kind::Memory, 64 << 20, true);

/// `index-threads`: threads that read changed documents into indexes; 0 for as many as there are processors.
pub static INDEX_THREADS: Setting = Setting::new("index-threads", Kind::Number { min: 0, max: 256 }, 0, true);
/// `index-queue-bytes`: changes that wait to be indexed, for each index; past it writers help.
pub static INDEX_QUEUE_BYTES: Setting = Setting::new("index-queue-bytes", Kind::Memory, 256 << 20, true);
/// `timeout`: milliseconds a query may take; 0 for no limit.
pub static TIMEOUT: Setting = Setting::new("timeout", Kind::Number { min: 0, max: i64::MAX }, 500, true);
/// `on-timeout`: what a query answers that took longer: what it has found so far, or an error.
pub static ON_TIMEOUT: Setting = Setting::new("on-timeout", Kind::Word(&["return", "fail"]), 0, true);
/// `min-prefix`: characters below which a prefix, suffix or infix matches nothing.
pub static MIN_PREFIX: Setting = Setting::new("min-prefix", Kind::Number { min: 1, max: 128 }, 2, true);
/// `max-prefix-expansions`: terms that one prefix, suffix, wildcard or fuzzy clause stands for at most.
pub static MAX_PREFIX_EXPANSIONS: Setting =
    Setting::new("max-prefix-expansions", Kind::Number { min: 1, max: 1_000_000 }, 200, true);
/// `min-stem-len`: bytes below which a word is not stemmed.
pub static MIN_STEM_LEN: Setting = Setting::new("min-stem-len", Kind::Number { min: 2, max: 128 }, 4, true);
/// `min-phonetic-term-len`: bytes below which a word is not found by its sound.
pub static MIN_PHONETIC_TERM_LEN: Setting =
    Setting::new("min-phonetic-term-len", Kind::Number { min: 1, max: 128 }, 3, true);
/// `max-search-results`: results that one query may ask for.
pub static MAX_SEARCH_RESULTS: Setting =
    Setting::new("max-search-results", Kind::Number { min: 0, max: 4_294_967_295 }, 1_000_000, true);
/// `inline-cost`: postings up to which a query runs at once on the main thread; 0 for none.
pub static INLINE_COST: Setting = Setting::new("inline-cost", Kind::Number { min: 0, max: 1_000_000 }, 2_000, true);
/// `long-cost`: postings from which a query runs on threads of its own kind, so that others need not wait for it.
pub static LONG_COST: Setting = Setting::new("long-cost", Kind::Number { min: 1, max: i64::MAX }, 50_000, true);
/// `default-dialect`: the query dialect where a query names none.
pub static DEFAULT_DIALECT: Setting = Setting::new("default-dialect", Kind::Number { min: 1, max: 4 }, 1, true);

/// All options, in the order in which they are documented.
pub static ALL: [&Setting; 37] = [
    &SAFEMODE,
    &WORKERS,
    &QUEUE_LIMIT,
    &SLICE_US,
    &ISOLATION,
    &PYTHON_WORKERS,
    &PYTHON_TIME_LIMIT,
    &PYTHON_INLINE_LIMIT,
    &PYTHON_MAX_MEMORY,
    &WARM_INTERPRETERS,
    &PYTHON_TICKER,
    &PYTHON_OWN_HEAP,
    &PYTHON_PRELOAD_DATETIME,
    &EVENT_QUEUE_BYTES,
    &SCRIPT_CACHE_MEMORY,
    &MAX_EXECUTIONS,
    &MAX_EXECUTIONS_PER_REGISTRATION,
    &PROFILE_EXECUTIONS,
    &PYTHON_ATTEMPT_TRACEBACK,
    &PYTHON_INSTALL_REQ_MAX_IDLE_TIME,
    &PYTHON_INSTALLATION_DIR,
    &REQUIREMENTS_INDEX_URL,
    &REQUIREMENTS_WHEEL_DIR,
    &PIN_SCRIPTS,
    &PIN_SCRIPTS_MEMORY,
    &INDEX_THREADS,
    &INDEX_QUEUE_BYTES,
    &TIMEOUT,
    &ON_TIMEOUT,
    &MIN_PREFIX,
    &MAX_PREFIX_EXPANSIONS,
    &MIN_STEM_LEN,
    &MIN_PHONETIC_TERM_LEN,
    &MAX_SEARCH_RESULTS,
    &DEFAULT_DIALECT,
    &INLINE_COST,
    &LONG_COST,
];

/// The option of this name, in any case, with or without its dashes: so RedisGears' names for them are known too.
pub fn find(name: &str) -> Option<&'static Setting> {
    let plain = |name: &str| name.replace('-', "").to_ascii_lowercase();
    let wanted = plain(name);
    ALL.iter().copied().find(|setting| plain(setting.name) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_the_server_reads_them() {
        for (text, bytes) in [("0", Some(0)), ("64mb", Some(64 << 20)), ("1K", Some(1000)), ("7b", Some(7))] {
            assert_eq!(parse_bytes(text), bytes, "{text}");
        }
        for text in ["", "mb", "-1", "1tb", "9999999999gb", "1.5mb"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn a_bad_value_says_what_was_expected() {
        assert_eq!(WORKERS.parse("0"), Err("an integer from 1 to 256".to_owned()));
        assert_eq!(ISOLATION.parse("SHARED"), Ok(1));
        assert_eq!(ISOLATION.parse("process"), Err("one of subinterpreter, shared".to_owned()));
        assert_eq!(SAFEMODE.parse("maybe"), Err("yes or no".to_owned()));
        assert!(find("Slice-US").is_some());
        assert_eq!(find("MaxExecutionsPerRegistration").map(|one| one.name), Some("max-executions-per-registration"));
        assert!(find("maxexecution").is_none());
    }
}
