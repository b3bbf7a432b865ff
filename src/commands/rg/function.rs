//! `RG.FUNCTION LOAD|DELETE|LIST|DUMP|RESTORE|FLUSH|STATS|HELP`: the libraries of Python functions.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use engine::glob::Glob;

use super::LOOKS;
use crate::commands::args::{is_word, shown, Args};
use crate::gears::functions::{self, Declared, Library, Request, Restore as Policy, Tally};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Loader, Outcome};
use crate::reply::Reply;

pub(super) fn register(loader: &Loader) -> Result<(), String> {
    loader.container(&CommandSpec {
        name: c"rg.function",
        flags: c"",
        arity: -2,
        summary: c"A container for commands about libraries of Python functions.",
        args: &[],
    })?;
    loader.command::<Load>()?;
    loader.command::<Delete>()?;
    loader.command::<List>()?;
    loader.command::<Dump>()?;
    loader.command::<Restore>()?;
    loader.command::<Flush>()?;
    loader.command::<Stats>()?;
    loader.command::<Help>()?;
    loader.command::<Learn>()
}

/// The words after the subcommand's.
fn words<'i>(invocation: &'i Invocation<'_>) -> &'i [&'i [u8]] {
    invocation.args().get(1..).unwrap_or(&[])
}

fn outcome(outcome: Result<Outcome, String>) -> Outcome {
    outcome.unwrap_or_else(|error| Outcome::Reply(Reply::error(error)))
}

struct Load;

impl Command for Load {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.function|load",
        flags: c"write deny-oom deny-script",
        arity: -3,
        summary: c"Loads a library of Python functions.",
        args: &[ArgDoc::flag(c"replace", c"REPLACE"), ArgDoc::required(c"script")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        outcome(load(words(invocation)))
    }
}

fn load(words: &[&[u8]]) -> Result<Outcome, String> {
    let (source, options) = words.split_last().ok_or("ERR expected RG.FUNCTION LOAD [REPLACE] script")?;
    if let Some(unknown) = options.iter().find(|word| !is_word(word, "REPLACE")) {
        return Err(format!("ERR Unknown option given: {}", shown(unknown)));
    }
    Ok(Outcome::Job(functions::load(Request::new(source, !options.is_empty())?)))
}

struct Delete;

impl Command for Delete {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.function|delete",
        flags: c"write deny-script",
        arity: 3,
        summary: c"Removes a library and its functions.",
        args: &[ArgDoc::required(c"library-name")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let name = words(invocation).first().and_then(|name| std::str::from_utf8(name).ok());
        if !name.is_some_and(|name| functions::delete(&invocation.held, name)) {
            return Outcome::Reply(Reply::error("ERR Library not found"));
        }
        invocation.replicate_as_is();
        Outcome::Reply(Reply::ok())
    }
}

struct List;

impl Command for List {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.function|list",
        flags: LOOKS,
        arity: -2,
        summary: c"Lists the libraries and their functions.",
        args: &[ArgDoc::option(c"library-name-pattern", c"LIBRARYNAME"), ArgDoc::flag(c"withcode", c"WITHCODE")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        outcome(list(invocation))
    }
}

fn list(invocation: &Invocation<'_>) -> Result<Outcome, String> {
    let (mut pattern, mut with_code) = (None, false);
    let mut args = Args::new(words(invocation));
    while let Some(word) = args.next() {
        if is_word(word, "WITHCODE") && !with_code {
            with_code = true;
        } else if is_word(word, "LIBRARYNAME") && pattern.is_none() {
            pattern = Some(Glob::new(args.next().ok_or("ERR library name argument was not given")?));
        } else {
            return Err(format!("ERR Unknown argument {}", shown(word)));
        }
    }
    let wanted = |library: &Arc<Library>| {
        pattern.as_ref().is_none_or(|pattern| pattern.matches(library.definition.header.name.as_bytes()))
    };
    let libraries = functions::all(&invocation.held).into_iter().filter(wanted);
    Ok(Outcome::Reply(Reply::Array(libraries.map(|library| show(&library, with_code)).collect())))
}

fn show(library: &Library, with_code: bool) -> Reply {
    let definition = &library.definition;
    let function = |function: &Declared| {
        let flags = if function.readonly { vec![Reply::bulk("no-writes")] } else { Vec::new() };
        let text = &function.description;
        Reply::map([
            ("name", Reply::bulk(function.name.clone())),
            ("description", if text.is_empty() { Reply::Null } else { Reply::bulk(text.as_str()) }),
            ("flags", Reply::Set(flags)),
            ("mode", Reply::bulk(function.mode())),
        ])
    };
    let mut fields = vec![
        ("library_name", Reply::bulk(definition.header.name.clone())),
        ("engine", Reply::bulk("PYTHON")),
        ("isolation", Reply::bulk(definition.header.isolation.name())),
        ("loaded", Reply::Int(i64::from(library.is_loaded()))),
        ("functions", Reply::Array(definition.functions.iter().map(function).collect())),
    ];
    if with_code {
        fields.push(("library_code", Reply::bulk(definition.source.clone())));
    }
    Reply::map(fields)
}

struct Dump;

impl Command for Dump {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.function|dump",
        flags: c"readonly deny-script",
        arity: 2,
        summary: c"Returns all libraries as one string for RG.FUNCTION RESTORE.",
        args: &[],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(Reply::bulk(functions::dump(&invocation.held)))
    }
}

struct Restore;

impl Command for Restore {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.function|restore",
        flags: c"write deny-oom deny-script",
        arity: -3,
        summary: c"Loads the libraries of a string that RG.FUNCTION DUMP returned.",
        args: &[ArgDoc::required(c"payload"), ArgDoc::optional(c"policy")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        outcome(restore(words(invocation)))
    }
}

fn restore(words: &[&[u8]]) -> Result<Outcome, String> {
    let (payload, policy) = match words {
        [payload] => (payload, Policy::Append),
        [payload, word] if is_word(word, "APPEND") => (payload, Policy::Append),
        [payload, word] if is_word(word, "REPLACE") => (payload, Policy::Replace),
        [payload, word] if is_word(word, "FLUSH") => (payload, Policy::Flush),
        _ => return Err("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.".to_owned()),
    };
    Ok(Outcome::Job(functions::restore(payload, policy)?))
}

struct Flush;

impl Command for Flush {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.function|flush",
        flags: c"write deny-script",
        arity: 2,
        summary: c"Removes all libraries.",
        args: &[],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        functions::flush(&invocation.held);
        invocation.replicate_as_is();
        Outcome::Reply(Reply::ok())
    }
}

struct Stats;

impl Command for Stats {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.function|stats",
        flags: LOOKS,
        arity: 2,
        summary: c"Returns how often functions were called.",
        args: &[],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let libraries = functions::all(&invocation.held);
        let of_library = |library: &Arc<Library>| {
            let name = library.definition.header.name.clone();
            let pairs = library.definition.functions.iter().zip(&library.tallies);
            pairs.map(|(function, tally)| calls(&name, function, tally)).collect::<Vec<_>>()
        };
        let calls: Vec<Reply> = libraries.iter().flat_map(of_library).collect();
        let counts = Reply::map([
            ("libraries_count", Reply::count(libraries.len() as u64)),
            ("functions_count", Reply::count(calls.len() as u64)),
        ]);
        Outcome::Reply(Reply::map([("engines", Reply::map([("PYTHON", counts)])), ("functions", Reply::Array(calls))]))
    }
}

fn calls(library: &str, function: &Declared, tally: &Tally) -> Reply {
    Reply::map([
        ("name", Reply::bulk(function.name.clone())),
        ("library_name", Reply::bulk(library)),
        ("calls", Reply::count(tally.calls.load(Ordering::Relaxed))),
        ("failures", Reply::count(tally.failures.load(Ordering::Relaxed))),
        ("running", Reply::count(tally.running.load(Ordering::Relaxed))),
    ])
}

struct Help;

impl Command for Help {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.function|help",
        flags: LOOKS,
        arity: 2,
        summary: c"Returns the subcommands.",
        args: &[],
    };

    fn call(_invocation: &Invocation<'_>) -> Outcome {
        const LINES: [&str; 8] = [
            "RG.FUNCTION <subcommand> [<arg> ...]. Subcommands are:",
            "LOAD [REPLACE] script: loads a library, whose first line is '#!python name=<library>'.",
            "DELETE library: removes a library and its functions.",
            "LIST [LIBRARYNAME pattern] [WITHCODE]: lists the libraries and their functions.",
            "DUMP: returns all libraries as one string.",
            "RESTORE payload [FLUSH|APPEND|REPLACE]: loads the libraries of such a string.",
            "FLUSH: removes all libraries.",
            "STATS: returns how often functions were called.",
        ];
        Outcome::Reply(Reply::Array(LINES.iter().map(|line| Reply::Status(line.as_bytes().to_vec())).collect()))
    }
}

/// `RG._FUNCTION ADD|SET libraries`.
struct Learn;

impl Command for Learn {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg._function",
        flags: c"write admin deny-script",
        arity: 3,
        summary: c"Tells replicas and the AOF of libraries; not for users.",
        args: &[],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let learned = match invocation.args() {
            [what, book] if invocation.user().is_none() => functions::learn(&invocation.held, what, book),
            _ => Err("ERR RG._FUNCTION is for replicas and the AOF, use RG.FUNCTION LOAD".to_owned()),
        };
        if learned.is_ok() {
            invocation.replicate_as_is();
        }
        Outcome::Reply(learned.map_or_else(Reply::error, |()| Reply::ok()))
    }
}
