//! Interlock: a loadable module for stock Redis and Valkey.
//!
//! `RG.*` runs Python functions in isolated interpreters, `IL.*` scans keys and reports
//! statistics; whatever the module does for a client, it never holds the server up.

#![deny(unsafe_code)]

pub mod reply;
pub mod sync;

pub mod python;
