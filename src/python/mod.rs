//! The Python runtime: which interpreter runs a script, and what keeps it from harming anybody?
//!
//! Knows nothing of the server; what scripts ask of it goes through [`host::Host`].

pub mod host;
