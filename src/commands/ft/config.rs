//! `FT.CONFIG GET|SET|HELP`: the options of search under the names that old clients know.
//!
//! The same options as `CONFIG GET search.*`. A name that means nothing here is shown without a value and refuses to
//! be set.

use crate::commands::args::is_word;
use crate::redis::{call, ArgDoc, Command, CommandSpec, Held, Invocation, Outcome};
use crate::reply::Reply;
use crate::settings::{self, Kind, Setting};

pub(super) struct Config;

impl Command for Config {
    const SPEC: CommandSpec = CommandSpec {
        name: c"ft.config",
        flags: c"readonly",
        arity: -3,
        summary: c"Shows, sets or explains the options of search",
        args: &[ArgDoc::required(c"action"), ArgDoc::required(c"option")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(match invocation.args() {
            [action, name] if is_word(action, "GET") => get(name, invocation.is_resp3()),
            [action, name] if is_word(action, "HELP") => help(name),
            [action, name, value] if is_word(action, "SET") => set(&invocation.held, name, value),
            [action, ..] if ["GET", "HELP", "SET"].iter().any(|word| is_word(action, word)) => {
                Reply::error("ERR wrong number of arguments for 'FT.CONFIG' command")
            }
            _ => Reply::error("No such configuration action"),
        })
    }
}

/// What an old name stands for.
#[derive(Clone, Copy)]
enum Meaning {
    /// An option.
    Live(&'static Setting),
    /// It cannot be changed.
    Fixed(&'static str),
    /// Nothing in this engine.
    Nothing,
}

use Meaning::{Fixed, Live, Nothing};

/// Every name, what it stands for, and what it is about.
const OPTIONS: [(&str, Meaning, &str); 38] = [
    ("EXTLOAD", Nothing, "Library of extensions to load"),
    ("SAFEMODE", Live(&settings::SAFEMODE), "Each command atomic on the server's thread"),
    ("NOGC", Nothing, "Whether garbage collection is off; here merging of segments drops what is dead"),
    ("MINPREFIX", Live(&settings::MIN_PREFIX), "Characters below which a prefix matches nothing"),
    ("MAXDOCTABLESIZE", Nothing, "Buckets of the document table"),
    ("MAXSEARCHRESULTS", Live(&settings::MAX_SEARCH_RESULTS), "Results that one FT.SEARCH may ask for"),
    ("MAXAGGREGATERESULTS", Nothing, "Results that one FT.AGGREGATE may ask for"),
    ("MAXEXPANSIONS", Live(&settings::MAX_PREFIX_EXPANSIONS), "Terms that one prefix stands for at most"),
    ("MAXPREFIXEXPANSIONS", Live(&settings::MAX_PREFIX_EXPANSIONS), "Terms that one prefix stands for at most"),
    ("TIMEOUT", Live(&settings::TIMEOUT), "Milliseconds a query may take; 0: no limit"),
    ("INDEX_THREADS", Live(&settings::INDEX_THREADS), "Threads that read changed documents into indexes"),
    ("WORKERS", Live(&settings::WORKERS), "Threads that run queries"),
    ("MIN_OPERATION_WORKERS", Nothing, "Threads that run queries while an index is loaded"),
    ("FRISOINI", Nothing, "Configuration of the Chinese segmenter"),
    ("ON_TIMEOUT", Live(&settings::ON_TIMEOUT), "What a query answers that took longer: return or fail"),
    ("GCSCANSIZE", Nothing, "Buckets that garbage collection looks at in one step"),
    ("MIN_PHONETIC_TERM_LEN", Live(&settings::MIN_PHONETIC_TERM_LEN), "Bytes below which a word has no sound"),
    ("GC_POLICY", Nothing, "Kind of garbage collection; here merging of segments drops what is dead"),
    ("FORK_GC_RUN_INTERVAL", Nothing, "Seconds between garbage collections"),
    ("FORK_GC_CLEAN_THRESHOLD", Nothing, "Dead documents that start a garbage collection"),
    ("FORK_GC_RETRY_INTERVAL", Nothing, "Seconds until a garbage collection is tried again"),
    ("FORK_GC_CLEAN_NUMERIC_EMPTY_NODES", Nothing, "Whether empty numeric nodes are collected"),
    ("_MAX_RESULTS_TO_UNSORTED_MODE", Nothing, "Results above which they are not sorted"),
    ("UNION_ITERATOR_HEAP", Nothing, "Branches of a union above which a heap is used"),
    ("CURSOR_MAX_IDLE", Nothing, "Milliseconds after which a cursor goes"),
    ("NO_MEM_POOLS", Nothing, "Whether memory pools are off"),
    ("PARTIAL_INDEXED_DOCS", Fixed("false"), "Whether documents without an indexed field are skipped"),
    ("UPGRADE_INDEX", Nothing, "How an index of version 1 is read"),
    ("_NUMERIC_COMPRESS", Nothing, "Whether numbers are kept with less precision"),
    ("_FREE_RESOURCE_ON_THREAD", Fixed("true"), "Whether dropped indexes are freed on another thread"),
    ("_PRINT_PROFILE_CLOCK", Fixed("true"), "Whether FT.PROFILE shows times"),
    ("RAW_DOCID_ENCODING", Fixed("false"), "Whether document ids are kept uncompressed"),
    ("_NUMERIC_RANGES_PARENTS", Nothing, "Levels of numeric ranges that are kept"),
    ("MINSTEMLEN", Live(&settings::MIN_STEM_LEN), "Bytes below which a word is not stemmed"),
    ("DEFAULT_DIALECT", Live(&settings::DEFAULT_DIALECT), "Query dialect where a query names none"),
    ("VSS_MAX_RESIZE", Nothing, "Bytes by which a vector index grows at most"),
    ("MULTI_TEXT_SLOP", Fixed("100"), "Positions between two values of one text field"),
    ("BG_INDEX_SLEEP_GAP", Nothing, "Keys after which a scan pauses; here slices are sized by time (search.slice-us)"),
];

impl Meaning {
    fn value(self) -> Reply {
        match self {
            Live(setting) if setting.kind == Kind::Bool => Reply::bulk(if setting.is_on() { "true" } else { "false" }),
            Live(setting) => Reply::bulk(setting.text()),
            Fixed(text) => Reply::bulk(text),
            Nothing => Reply::Null,
        }
    }
}

fn named(name: &[u8]) -> impl Iterator<Item = &'static (&'static str, Meaning, &'static str)> + '_ {
    OPTIONS.iter().filter(move |(option, ..)| name == b"*" || is_word(name, option))
}

/// Pairs in RESP2, as old clients expect them, a map in RESP3.
fn get(name: &[u8], is_resp3: bool) -> Reply {
    let pairs = named(name).map(|(option, meaning, _)| (Reply::Status((*option).into()), meaning.value()));
    if is_resp3 {
        Reply::Map(pairs.collect())
    } else {
        Reply::Array(pairs.map(|(name, value)| Reply::Array(vec![name, value])).collect())
    }
}

fn help(name: &[u8]) -> Reply {
    let line = |&(option, meaning, about): &(&str, Meaning, &str)| {
        let status = |text: &str| Reply::Status(text.into());
        Reply::Array(vec![status(option), status("Description"), status(about), status("Value"), meaning.value()])
    };
    Reply::Array(named(name).map(line).collect())
}

fn set(held: &Held<'_>, name: &[u8], value: &[u8]) -> Reply {
    let Some((option, meaning, _)) = OPTIONS.iter().find(|(option, ..)| is_word(name, option)) else {
        return Reply::error("Invalid option");
    };
    let Live(setting) = meaning else { return Reply::error("Not modifiable at runtime") };
    let text = String::from_utf8_lossy(value);
    match setting.parse(&text) {
        // Through the server, so that CONFIG GET and CONFIG REWRITE agree.
        Ok(_) => {
            let option = format!("search.{}", setting.name);
            match call(held, &[b"CONFIG".to_vec(), b"SET".to_vec(), option.into(), value.into()]) {
                Reply::Error(text) => Reply::Error(text),
                _ => Reply::ok(),
            }
        }
        Err(_) => Reply::error(refusal(option, setting, &text)),
    }
}

/// Why a value does not fit, in the words that clients know.
fn refusal(option: &str, setting: &Setting, text: &str) -> String {
    match (setting.kind, text.parse::<i64>()) {
        (Kind::Word(_), _) => format!("Invalid {option} value"),
        (_, Err(_)) => "Could not convert argument to expected type".to_owned(),
        (_, Ok(number)) if option == "DEFAULT_DIALECT" && number > 4 => {
            "Default dialect version cannot be higher than 4".to_owned()
        }
        (_, Ok(_)) => "Value is outside acceptable bounds".to_owned(),
    }
}
