//! `IL.*`: Interlock's own commands.

mod keys;
mod stats;

use crate::redis::Loader;

pub(super) fn register(loader: &Loader) -> Result<(), String> {
    loader.command::<keys::Keys>()?;
    loader.command::<stats::Stats>()
}
