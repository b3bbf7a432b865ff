//! `IL.*`: Interlock's own commands.

mod keys;
mod lock;
mod once;
mod script;
mod stats;
mod terms;

use crate::coordination;
use crate::redis::Loader;

pub(super) fn register(loader: &Loader) -> Result<(), String> {
    loader.command::<keys::Keys>()?;
    loader.command::<stats::Stats>()?;
    coordination::register(loader)?;
    loader.command::<script::Script>()?;
    loader.command::<lock::Lock>()?;
    loader.command::<lock::Unlock>()?;
    loader.command::<lock::Renew>()?;
    loader.command::<lock::LockInfo>()?;
    loader.command::<lock::RestoreLock>()?;
    loader.command::<once::Once>()?;
    loader.command::<once::Publish>()?;
    loader.command::<once::Fail>()?;
    loader.command::<once::Cancel>()?;
    loader.command::<once::Reset>()?;
    loader.command::<once::State>()?;
    loader.command::<once::RestoreOnce>()
}
