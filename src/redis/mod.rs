//! What does the server offer, safely? The only folder that names the module API.
//!
//! Two things are visible in signatures: [`Held`] proves that the server's global lock is held, and
//! every function that touches the keyspace asks for it. Panics stop at the entry points ([`entry`]);
//! a blocked client gets exactly one reply ([`blocked`]).

#![allow(unsafe_code)]

mod acl;
mod aside;
mod blocked;
mod brief;
mod call;
mod clients;
mod contend;
mod dispatch;
mod entry;
mod errand;
mod events;
mod filter;
mod fork;
mod hashes;
mod held;
mod info;
mod keys;
mod lane;
mod large_aside;
mod load;
mod loan;
mod lock;
mod log;
mod memory;
mod name;
mod node;
mod notify;
mod options;
mod priority;
mod replicate;
mod scan;
mod timer;
mod typed;
mod types;
mod values;
mod write;

pub use acl::KeyAccess;
pub use aside::Aside;
pub use blocked::BlockedReply;
pub use brief::briefly;
pub use call::{call, call_as_client, call_as_it_is, call_unless_write, Args, Protocol};
pub use clients::{client_info, ClientInfo};
pub use dispatch::{
    at_once, background, background_surely, clients_waiting, go_on, set_shared_gil, to_the_end, Job, Outcome, Pools,
    Register, Wait,
};
pub use entry::{ArgDoc, Command, CommandSpec, Invocation, Keys};
pub use events::{observe, on_main_thread, ServerEvent, Shutdown};
pub use filter::{filter_commands, CommandFilter, PassingCommand};
pub use fork::AroundFork;
pub use hashes::{is_hash, key_count, read_fields, read_hash, take_fields, FieldValue};
pub use held::Held;
pub use info::InfoSection;
pub use keys::{check_rights, keys_of};
pub use lane::{Client, Denied, Door, Lane, Slice};
pub use large_aside::LargeAside;
pub use load::{on_load, on_unload, Loader, ServerModule};
pub use loan::{end_loan, expect_loan};
pub use lock::{reset_stats, stats, LockGuard, LockStats};
pub use log::{log, Level};
pub use name::Name;

pub use memory::{server_allocator, ServerAllocator};
pub use node::node_id;
pub use notify::{after_notification, has_after_notification, KeyEvent, KeyWatcher};
pub use replicate::{is_rewritten_as_commands, replicate};
pub use scan::{unix_millis, KeyRef, KeysCursor};
pub use timer::Alarm;
pub use typed::{delete, expiry, get, put, serves, Expiry, Found};
pub use types::{KeyType, KeyTypeHandle};
pub use values::{kind_of, read_value, stream_entries, type_of};

/// Calls a function of the module API that the load check has found present ([`load`]).
macro_rules! api {
    ($name:ident ( $($arg:expr),* $(,)? )) => {
        (redis_module::raw::$name.expect("checked when the module was loaded"))($($arg),*)
    };
}
pub(crate) use api;
