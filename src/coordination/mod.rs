//! How do many processes agree? Locks, results that are computed once, and scripts that can't be lost.
//!
//! Scripts are a story of their own ([`scripts`]). Locks and results are keys of a module type. The rules are plain data and know no server ([`lock`], [`once`]:
//! what a caller meets in a key, and what then is in it; [`line`]: who waits, in order). [`service`] is
//! what callers can do; [`waiting`] keeps those who wait as blocked clients, and serves the next one
//! whenever what they wait for may have changed.
//!
//! A caller waits for a *name* in a database. Whatever happens to the key of that name (unlocked, lease
//! over, deleted, expired, overwritten, renamed, flushed, swapped, its session gone), the waiting are judged anew
//! by what is there then.

mod line;
mod lock;
#[cfg(test)]
mod model_tests;
mod once;
mod rule;
pub(crate) mod scripts;
mod service;
mod tokens;
mod waiting;

pub(crate) use lock::{Lock, LockRequest};
pub(crate) use once::{Ended, Once, OnceRequest, Phase};
pub(crate) use service::{
    cancel, fail, is_once, leave, lock_info, meet, once_info, publish, renew_lock, renew_once, reset, restore,
    session_of, state_word, Info, Refusal, Waiting,
};

use crate::redis::{observe, Loader};

/// Registers the types of keys, and listens to what happens to them.
///
/// # Errors
/// What the server refused.
pub(crate) fn register(loader: &Loader) -> Result<(), String> {
    loader.data_type::<Lock>()?;
    loader.data_type::<Once>()?;
    loader.aside::<scripts::Scripts>()?;
    scripts::follow_setting(&loader.held());
    observe(waiting::on_event);
    Ok(())
}
