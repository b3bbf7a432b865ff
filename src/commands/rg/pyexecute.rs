//! `RG.PYEXECUTE script [options]`: runs a Python script.
//!
//! ```text
//! RG.PYEXECUTE script [UNBLOCKING] [UPGRADE] [ID id] [REPLACE_WITH id] [DESCRIPTION text]
//!     [ISOLATION subinterpreter|shared] [SCOPE call|script] [TIMEOUT ms] [MAXMEMORY bytes]
//!     [FORCE_REINSTALL_REQUIREMENTS] [REQUIREMENTS requirement ...]
//! ```

use std::time::Duration;

use crate::commands::args::{is_word, shown, Args};
use crate::gears::{is_valid_id, requirements, run_script, sessions, Origin, ScriptRequest};
use crate::python::Isolation;
use crate::redis::{ArgDoc, Command, CommandSpec, Held, Invocation, Job, Lane, Outcome, Pools};
use crate::reply::Reply;
use crate::settings;
use crate::sync::CancelToken;

pub(super) struct PyExecute;

impl Command for PyExecute {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.pyexecute",
        // A script may write; the effects of its commands are what is replicated.
        flags: c"may-replicate",
        arity: -2,
        summary: c"Runs a Python script in an interpreter of its own.",
        args: &[
            ArgDoc::required(c"script"),
            ArgDoc::flag(c"unblocking", c"UNBLOCKING"),
            ArgDoc::flag(c"upgrade", c"UPGRADE"),
            ArgDoc::option(c"id", c"ID"),
            ArgDoc::option(c"replace-with", c"REPLACE_WITH"),
            ArgDoc::option(c"description", c"DESCRIPTION"),
            ArgDoc::option(c"isolation", c"ISOLATION"),
            ArgDoc::option(c"scope", c"SCOPE"),
            ArgDoc::option(c"timeout", c"TIMEOUT"),
            ArgDoc::option(c"maxmemory", c"MAXMEMORY"),
            ArgDoc::flag(c"force-reinstall-requirements", c"FORCE_REINSTALL_REQUIREMENTS"),
            ArgDoc::option(c"requirement", c"REQUIREMENTS"),
        ],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let (source, words) =
            invocation.args().split_first().map_or((&b""[..], &[][..]), |(source, rest)| (*source, rest));
        outcome(&invocation.held, source, words)
    }
}

/// What to do for a script with these options.
pub(super) fn outcome(held: &Held<'_>, source: &[u8], words: &[&[u8]]) -> Outcome {
    start(held, source, words).unwrap_or_else(|error| Outcome::Reply(Reply::error(error)))
}

fn start(held: &Held<'_>, source: &[u8], words: &[&[u8]]) -> Result<Outcome, String> {
    let options = Options::parse(words)?;
    let cancel = CancelToken::new();
    let limit = options.limit;
    let origin = Origin {
        source: source.to_vec(),
        requirements: options.requirements.clone(),
        isolation: options.isolation,
        by_script: options.by_script,
        max_memory: options.max_memory,
        limit,
    };
    let session = sessions().open(
        options.id,
        options.description,
        options.upgrade,
        options.replace.as_deref(),
        origin,
        cancel.clone(),
    )?;
    let request = ScriptRequest { unblocking: options.unblocking, session };
    let run = move |lane: &mut Lane| {
        if !lane.is_inline() {
            // Counted from here: time in the queue is not the script's.
            lane.cancel().set_limit(limit);
        }
        run_script(request, lane)
    };
    let inline_limit = settings::PYTHON_INLINE_LIMIT.millis();
    let job = |run| Job {
        pool: Pools::Python,
        limit: None,
        inline_limit: [limit, inline_limit].into_iter().flatten().min(),
        cancel,
        run,
    };
    let Options { requirements: names, force, .. } = options;
    if (names.is_empty() || !force) && requirements::are_ready(held, &names) {
        return Ok(Outcome::Job(job(Box::new(run))));
    }
    let install = move |lane: &mut Lane| requirements::then(&names, force, lane, run);
    let otherwise =
        "Can not run gears inside a multi exec, lua, or when blocking is not allowed: its requirements have to \
                     be installed";
    Ok(Outcome::Pooled(job(Box::new(install)), Reply::error(otherwise)))
}

/// The options, as far as they were given.
struct Options {
    unblocking: bool,
    upgrade: bool,
    id: Option<String>,
    replace: Option<String>,
    description: Option<String>,
    isolation: Isolation,
    by_script: bool,
    limit: Option<Duration>,
    max_memory: Option<u64>,
    requirements: Vec<String>,
    force: bool,
}

impl Options {
    fn parse(args: &[&[u8]]) -> Result<Self, String> {
        let mut args = Args::new(args);
        let mut options = Self {
            unblocking: false,
            upgrade: false,
            id: None,
            replace: None,
            description: None,
            isolation: if settings::ISOLATION.is_on() { Isolation::Shared } else { Isolation::Subinterpreter },
            by_script: false,
            limit: settings::PYTHON_TIME_LIMIT.millis(),
            max_memory: Some(settings::PYTHON_MAX_MEMORY.get().unsigned_abs()).filter(|&bytes| bytes > 0),
            requirements: Vec::new(),
            force: false,
        };
        while let Some(word) = args.next() {
            options.read(word, &mut args)?;
        }
        Ok(options)
    }

    fn read(&mut self, word: &[u8], args: &mut Args<'_>) -> Result<(), String> {
        if is_word(word, "UNBLOCKING") {
            self.unblocking = true;
        } else if is_word(word, "UPGRADE") {
            self.upgrade = true;
        } else if is_word(word, "FORCE_REINSTALL_REQUIREMENTS") {
            self.force = true;
        } else if is_word(word, "ID") {
            self.id = Some(id(args.next().ok_or("ID is missing")?)?);
        } else if is_word(word, "REPLACE_WITH") {
            self.replace = Some(id(args.next().ok_or("REPLACE_WITH is missing")?)?);
        } else if is_word(word, "DESCRIPTION") {
            let text = args.next().ok_or("DESCRIPTION is missing")?;
            self.description = Some(String::from_utf8_lossy(text).into_owned());
        } else if is_word(word, "ISOLATION") {
            let value = args.next().ok_or("ISOLATION is missing")?;
            self.isolation = match value {
                _ if is_word(value, "subinterpreter") => Isolation::Subinterpreter,
                _ if is_word(value, "shared") => Isolation::Shared,
                _ => return Err(format!("ISOLATION must be subinterpreter or shared, not '{}'", shown(value))),
            };
        } else if is_word(word, "SCOPE") {
            let value = args.next().ok_or("SCOPE is missing")?;
            self.by_script = match value {
                _ if is_word(value, "call") => false,
                _ if is_word(value, "script") => true,
                _ => return Err(format!("SCOPE must be call or script, not '{}'", shown(value))),
            };
        } else if is_word(word, "TIMEOUT") {
            let millis = number("TIMEOUT", "a number of milliseconds, 0 for no limit", args)?;
            self.limit = Some(millis).filter(|&millis| millis > 0).map(Duration::from_millis);
        } else if is_word(word, "MAXMEMORY") {
            let bytes = number("MAXMEMORY", "a number of bytes such as 64mb, 0 for no limit", args)?;
            self.max_memory = Some(bytes).filter(|&bytes| bytes > 0);
        } else if is_word(word, "REQUIREMENTS") {
            self.requirements = requirements::checked(args.rest())?;
        } else {
            return Err(format!("Unknown arguments were given: {}", shown(word)));
        }
        Ok(())
    }
}

fn id(bytes: &[u8]) -> Result<String, String> {
    std::str::from_utf8(bytes)
        .ok()
        .filter(|id| is_valid_id(id))
        .map(str::to_owned)
        .ok_or_else(|| "ID must be compose of: ['A'-'Z' | 'a'-'z' | '0' - '9' | '-' | '_']".to_owned())
}

fn number(of: &str, expected: &str, args: &mut Args<'_>) -> Result<u64, String> {
    let value = args.next().ok_or_else(|| format!("{of} is missing"))?;
    let parsed = std::str::from_utf8(value).ok().and_then(|text| {
        if of == "MAXMEMORY" {
            settings::parse_bytes(text)
        } else {
            text.parse().ok().filter(|&number| number >= 0)
        }
    });
    parsed.map(i64::unsigned_abs).ok_or_else(|| format!("{of} must be {expected}, not '{}'", shown(value)))
}
