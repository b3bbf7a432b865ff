//! Which packages does a script get that asks for requirements?
//!
//! A requirement is what pip understands (`name==1.0`). Its wheels, with those that they depend on, are kept like data: in
//! the RDB, in the AOF, on replicas. Each set of requirements has a folder of packages of its own, which is made once and
//! from the wheels alone, so that two scripts use two versions of one package at the same time.

mod dictionary;
mod packages;
mod pip;

pub use dictionary::{all, drop_requirement, export, find, import, learn, Requirement};
pub(super) use dictionary::{on_server_event, repeat, Requirements};
pub use packages::{are_ready, checked, is_installed, root, then};
pub(super) use packages::{busy, packages};
