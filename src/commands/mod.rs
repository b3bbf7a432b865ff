//! Which commands are there? Parsing, and shaping replies; the work is done below.

mod args;
mod figures;
mod ft;
mod il;
mod rg;

use crate::redis::{InfoSection, Loader};

/// The sections of `INFO`.
pub(crate) static SECTIONS: [InfoSection; 7] = {
    let [gears, registrations, plugins, memory, requirements, sessions] = rg::SECTIONS;
    let interlock = InfoSection { name: c"interlock", fields: |_| figures::figures() };
    [interlock, gears, registrations, plugins, memory, requirements, sessions]
};

/// Registers all commands.
///
/// # Errors
/// The command that the server refused.
pub(crate) fn register(loader: &Loader) -> Result<(), String> {
    ft::register(loader)?;
    il::register(loader)?;
    rg::register(loader)
}
