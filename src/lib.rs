//! Interlock: a loadable module for stock Redis and Valkey.
//!
//! `RG.*` runs Python functions in isolated interpreters, `IL.*` scans keys and reports
//! statistics; whatever the module does for a client, it never holds the server up.

#![deny(unsafe_code)]

mod alloc;
mod commands;
mod config;
mod coordination;
pub mod gears;
mod module;
mod persistence;
pub mod python;
pub mod redis;
pub mod reply;
pub mod search;
pub mod settings;
pub mod sync;

#[global_allocator]
static ALLOCATOR: alloc::ModuleAlloc = alloc::ModuleAlloc;
