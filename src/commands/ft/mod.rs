//! `FT.*`: search, with the interface of RediSearch.

mod alias;
mod alter;
mod conditional;
mod config;
mod create;
mod debug;
mod dictionary;
mod dropindex;
mod explain;
mod info;
mod legacy;
mod list;
mod options;
mod profile;
mod rows;
mod search;
mod spellcheck;
mod synonyms;
mod tagvals;
mod words;

use crate::redis::{Invocation, Job, Lane, Loader, Outcome, Pools};
use crate::reply::Reply;
use crate::sync::CancelToken;

pub(super) fn register(loader: &Loader) -> Result<(), String> {
    crate::search::register(loader)?;
    loader.command::<create::Create>()?;
    loader.command::<dropindex::DropIndex>()?;
    loader.command::<list::List>()?;
    loader.command::<search::Search>()?;
    loader.command::<explain::Explain>()?;
    loader.command::<explain::ExplainCli>()?;
    loader.command::<profile::Profile>()?;
    loader.command::<tagvals::TagVals>()?;
    loader.command::<spellcheck::SpellCheck>()?;
    loader.command::<alter::Alter>()?;
    loader.command::<info::Info>()?;
    loader.command::<alias::AliasAdd>()?;
    loader.command::<alias::AliasUpdate>()?;
    loader.command::<alias::AliasDel>()?;
    loader.command::<synonyms::SynUpdate>()?;
    loader.command::<synonyms::SynDump>()?;
    loader.command::<synonyms::SynAdd>()?;
    loader.command::<dictionary::DictAdd>()?;
    loader.command::<dictionary::DictDel>()?;
    loader.command::<dictionary::DictDump>()?;
    legacy::register(loader)?;
    loader.command::<config::Config>()?;
    loader.command::<debug::Debug>()?;
    loader.command::<conditional::CreateIfNew>()?;
    loader.command::<conditional::AlterIfNew>()?;
    loader.command::<conditional::DropIfThere>()?;
    loader.command::<conditional::AliasAddIfNew>()?;
    loader.command::<conditional::AliasDelIfThere>()
}

/// Changes a definition; replicas and the AOF are told by the command as it came.
fn definition_command(invocation: &Invocation<'_>, change: impl FnOnce() -> Result<(), String>) -> Outcome {
    let done = change();
    if done.is_ok() {
        invocation.replicate_as_is();
    }
    Outcome::Reply(ok_or_error(done))
}

/// Where a command for the words of an index does not find it.
const UNKNOWN_INDEX: &str = "Unknown Index name";

/// A job of a command that only reads.
fn job(run: impl FnOnce(&mut Lane) -> Result<Reply, String> + Send + 'static) -> Outcome {
    Outcome::Job(Job {
        pool: Pools::Workers,
        limit: None,
        cancel: CancelToken::new(),
        inline_limit: None,
        run: Box::new(|lane| run(lane).unwrap_or_else(Reply::error)),
    })
}

/// Words of a list that the main thread puts together; a longer one is a worker's affair.
const SHORT_LIST: usize = 100;

/// A list of so many words, which a command shows.
fn listing(len: usize, list: impl FnOnce() -> Reply + Send + 'static) -> Outcome {
    if len <= SHORT_LIST {
        Outcome::Reply(list())
    } else {
        job(move |_| Ok(list()))
    }
}

/// Where an index is not found; commands differ in the text, and clients know each.
fn unknown_index() -> String {
    "Unknown index name".to_owned()
}

/// `OK`, or the error.
fn ok_or_error(done: Result<(), String>) -> Reply {
    match done {
        Ok(()) => Reply::ok(),
        Err(text) => Reply::error(text),
    }
}
