//! Which commands are there? Parsing, and shaping replies; the work is done below.

mod args;
pub(crate) mod figures;
mod ft;
mod il;
mod rg;

use crate::redis::Loader;

/// Registers all commands.
///
/// # Errors
/// The command that the server refused.
pub(crate) fn register(loader: &Loader) -> Result<(), String> {
    ft::register(loader)?;
    il::register(loader)?;
    rg::register(loader)
}
