//! `FT.*`: search, with the interface of RediSearch.

mod create;
mod dropindex;
mod list;
mod options;
mod rows;
mod search;
mod words;

use crate::redis::{ArgDoc, Loader};
use crate::reply::Reply;

pub(super) fn register(loader: &Loader) -> Result<(), String> {
    crate::search::register(loader)?;
    loader.command::<create::Create>()?;
    loader.command::<dropindex::DropIndex>()?;
    loader.command::<list::List>()?;
    loader.command::<search::Search>()
}

/// `OK`, or the error.
fn ok_or_error(done: Result<(), String>) -> Reply {
    match done {
        Ok(()) => Reply::ok(),
        Err(text) => Reply::error(text),
    }
}

/// A required argument, for `COMMAND DOCS`.
const fn argument(name: &'static std::ffi::CStr) -> ArgDoc {
    ArgDoc { name, token: None, optional: false, flag: false }
}

/// An argument that may be left out.
const fn option(name: &'static std::ffi::CStr, token: &'static std::ffi::CStr) -> ArgDoc {
    ArgDoc { name, token: Some(token), optional: true, flag: false }
}

/// A word that may be left out.
const fn flag(name: &'static std::ffi::CStr, token: &'static std::ffi::CStr) -> ArgDoc {
    ArgDoc { name, token: Some(token), optional: true, flag: true }
}
