//! What do the integration tests share?
//!
//! A stock server with the module, one for each test that asks ([`server::Server`]), and a client that
//! speaks just enough of the protocol ([`client::Client`]). A test links only what it uses.
#![allow(dead_code, unreachable_pub)]

pub mod client;
pub mod server;

pub use client::Value;
pub use server::Server;
