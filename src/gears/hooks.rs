//! Which commands of clients go another way? Those that a registration hooks, or whose events it waits for.
//!
//! A filter looks at the name of every command of the server; for one that is meant it puts `RG._HOOK` before it, and the
//! server then asks us ([`hooked`]). What the module runs itself passes as it is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use once_cell::sync::Lazy;

use super::linked::{self, Share};
use super::moment;
use super::queue;
use super::registration::Registration;
use super::trigger;
use super::Trigger;
use crate::redis::{
    call_as_it_is, check_rights, filter_commands, keys_of, to_the_end, CommandFilter, Held, Invocation, Outcome,
    PassingCommand, Protocol, Wait,
};
use crate::reply::Reply;
use crate::settings;
use crate::sync::CancelToken;

/// The name of the command that takes hooked ones.
const COMMAND: &[u8] = b"RG._HOOK";

/// Registrations by the command that they are about, in the order in which they came.
type Table = HashMap<Vec<u8>, Vec<Arc<Registration>>>;

static TABLE: Lazy<Mutex<Arc<Table>>> = Lazy::new(Mutex::default);

/// A bit for each name in the table: what nearly every command costs is a look at this.
static NAMES: AtomicU64 = AtomicU64::new(0);

/// The command that an execution is started for; it is kept by whoever waits for the execution's end.
#[derive(Clone)]
pub(super) enum Cause {
    /// It stands in the place of the command.
    Hook(Arc<HookCall>),
    /// An event happened while the command ran.
    Command(Arc<Share>),
}

/// What an execution knows of its [`Cause`]. What runs in an interpreter may be remembered there for longer than anybody
/// waits for it.
#[derive(Clone)]
pub(super) enum Known {
    /// It stands in the place of the command.
    Hook(Weak<HookCall>),
    /// An event happened while the command ran.
    Command(Weak<Share>),
}

impl Cause {
    pub(super) fn known(&self) -> Known {
        match self {
            Cause::Hook(call) => Known::Hook(Arc::downgrade(call)),
            Cause::Command(share) => Known::Command(Arc::downgrade(share)),
        }
    }
}

impl Known {
    /// The call in whose place the execution stands.
    pub(super) fn hook(&self) -> Option<Arc<HookCall>> {
        if let Known::Hook(call) = self {
            call.upgrade()
        } else {
            None
        }
    }

    /// The share in a command's reply.
    pub(super) fn share(&self) -> Option<Arc<Share>> {
        if let Known::Command(share) = self {
            share.upgrade()
        } else {
            None
        }
    }
}

/// The call of a hooked command.
pub(super) struct HookCall {
    name: Vec<u8>,
    /// Older hooks of the same command, the oldest first.
    older: Vec<Arc<Registration>>,
}

fn bit(name: &[u8]) -> u64 {
    let (first, last) = (name.first().copied().unwrap_or(0) | 0x20, name.last().copied().unwrap_or(0) | 0x20);
    1 << ((name.len() as u64 * 5 + u64::from(first) * 3 + u64::from(last)) & 63)
}

fn table() -> Arc<Table> {
    Arc::clone(&TABLE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The registrations in force have changed.
pub(super) fn follow(held: &Held<'_>, all: &[Arc<Registration>]) {
    let mut table = Table::new();
    for registration in all {
        let commands = match &registration.trigger {
            Trigger::Hook { command, .. } => std::slice::from_ref(command),
            Trigger::Keys(keys) => keys.commands.as_deref().unwrap_or_default(),
            _ => &[],
        };
        for command in commands {
            table.entry(command.clone()).or_default().push(Arc::clone(registration));
        }
    }
    let any_write = moment::follow(held, all);
    let names = table.keys().fold(0, |names, name| names | bit(name));
    NAMES.store(if any_write { u64::MAX } else { names }, Ordering::Release);
    let on = any_write || !table.is_empty();
    *TABLE.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(table);
    filter_commands(held, CommandFilter { wanted, look }, on);
}

fn wanted(name: &[u8]) -> bool {
    NAMES.load(Ordering::Acquire) & bit(name) != 0
}

fn look(held: &Held<'_>, command: &mut PassingCommand) {
    // What a primary sends, and what is in a file, was hooked where it came from.
    if command.is_as_it_is() || held.is_replica() || held.is_loading() {
        return;
    }
    let Some(name) = command.arg(0).map(<[u8]>::to_ascii_lowercase) else { return };
    let concerned = table().get(&name).is_some_and(|all| {
        all.iter().any(|one| one.trigger.hooks_all()) || {
            let keys = command.keys();
            all.iter().any(|one| one.trigger.hooks_any(&keys))
        }
    });
    if concerned || moment::is_concerned(&name, || command.keys()) {
        command.prepend(COMMAND);
    }
}

impl Trigger {
    /// Whether it stands in the place of its command whatever the keys are.
    fn hooks_all(&self) -> bool {
        matches!(self, Trigger::Hook { prefix: None, .. })
    }

    /// Whether a command with these keys concerns it.
    fn hooks_any(&self, keys: &[&[u8]]) -> bool {
        match self {
            Trigger::Hook { prefix: Some(prefix), .. } => keys.iter().any(|key| key.starts_with(prefix)),
            Trigger::Hook { prefix: None, .. } => true,
            _ => keys.iter().any(|key| self.wants_key(key)),
        }
    }

    fn is_hook(&self) -> bool {
        matches!(self, Trigger::Hook { .. })
    }
}

/// A client has sent a command that the filter has led here: `RG._HOOK command ...`.
pub fn hooked(invocation: &Invocation<'_>) -> Outcome {
    let (held, words) = (&invocation.held, invocation.args());
    if let Some(Err(refused)) = invocation.user().map(|user| check_rights(held, &user, words)) {
        return Outcome::Reply(Reply::error(refused));
    }
    let name = words.first().copied().unwrap_or_default().to_ascii_lowercase();
    let keys = keys_of(held, words);
    let mut hooks: Vec<Arc<Registration>> =
        table().get(&name).into_iter().flatten().filter(|one| one.trigger.is_hook()).cloned().collect();
    while let Some(newest) = hooks.pop() {
        if newest.trigger.hooks_any(&keys) {
            let cause = Cause::Hook(Arc::new(HookCall { name, older: hooks }));
            let records = Reply::Array(vec![Reply::bulks(words.iter().copied())]);
            return trigger::start(&newest, records, Some(cause));
        }
    }
    let argv: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
    match run(held, argv, Protocol::Client, invocation.may_block()) {
        (reply, None) => Outcome::Reply(reply),
        (reply, Some(share)) => Outcome::Wait(Wait {
            limit: None,
            cancel: CancelToken::new(),
            register: Box::new(move |_, client| share.wait(client)),
            otherwise: reply,
        }),
    }
}

/// Runs a command itself, and what waits for its events. Where there is something left that may change the reply, and the
/// caller can wait, it gets the share that does.
fn run(held: &Held<'_>, argv: Vec<Vec<u8>>, protocol: Protocol, may_wait: bool) -> (Reply, Option<Arc<Share>>) {
    let name = argv.first().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
    let watched = table().get(&name).is_some_and(|all| all.iter().any(|one| !one.trigger.is_hook()));
    let keys = || keys_of(held, &argv.iter().map(Vec::as_slice).collect::<Vec<_>>());
    if !watched && !moment::is_concerned(&name, keys) {
        return (call_as_it_is(held, &argv, protocol), None);
    }
    linked::run(held, name, argv, may_wait, |argv| call_as_it_is(held, argv, protocol))
}

impl HookCall {
    /// What the command is without this hook: the next older one, or itself.
    pub(super) fn next(&self, held: &Held<'_>, arguments: Vec<Vec<u8>>) -> Reply {
        let mut argv = vec![self.name.clone()];
        argv.extend(arguments);
        let keys: Vec<Vec<u8>> = {
            let words: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
            keys_of(held, &words).into_iter().map(<[u8]>::to_vec).collect()
        };
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let is_next = |one: &Arc<Registration>| one.is_live() && one.trigger.hooks_any(&keys);
        let Some(at) = self.older.iter().rposition(is_next) else {
            return run(held, argv, Protocol::Two, false).0;
        };
        let registration = &self.older[at];
        let cause = Cause::Hook(Arc::new(Self { name: self.name.clone(), older: self.older[..at].to_vec() }));
        registration.count_event();
        let cancel = CancelToken::new();
        cancel.set_limit(registration.inline_limit());
        let records = Reply::Array(vec![Reply::bulks(argv)]);
        to_the_end(held, cancel, |lane| queue::run_one(registration, lane, records, false, Some(cause)))
    }
}

impl Registration {
    /// How long its executions may take where nobody else can do anything meanwhile.
    pub(super) fn inline_limit(&self) -> Option<std::time::Duration> {
        [self.session.origin.limit, settings::PYTHON_INLINE_LIMIT.millis()].into_iter().flatten().min()
    }
}

/// Whether a script may stand in the place of a command. `ask` runs a command of the server.
///
/// # Errors
/// Why not.
pub(super) fn check_hook(
    command: &[u8],
    with_prefix: bool,
    ask: impl FnOnce(Vec<Vec<u8>>) -> Result<Reply, String>,
) -> Result<(), String> {
    let info = Info::of(command, ask)?.ok_or("Can not override an unexisting command")?;
    if is_ours(command) {
        return Err("Can not override a command that scripts are managed with".to_owned());
    }
    if info.no_script {
        return Err("Can not override a command which are not allowed inside a script".to_owned());
    }
    if with_prefix && !info.has_keys {
        return Err("Can not override a command by key prefix with none positive first key".to_owned());
    }
    Ok(())
}

/// Whether clients of a command can wait for what its events start.
///
/// # Errors
/// Why not.
pub(super) fn check_watched(
    command: &[u8],
    prefix: &[u8],
    ask: impl FnOnce(Vec<Vec<u8>>) -> Result<Reply, String>,
) -> Result<(), String> {
    let info = Info::of(command, ask)?.ok_or("bad reply on COMMAND command")?;
    if info.no_script || is_ours(command) {
        return Err("Can not hook a command which are not allowed inside a script".to_owned());
    }
    if prefix.is_empty() {
        return Err("Empty perfix given to command hooker".to_owned());
    }
    if !info.has_keys {
        return Err("Can not hook a command by key prefix with none positive first key".to_owned());
    }
    Ok(())
}

/// Whoever hooks these may not get rid of the hook any more.
fn is_ours(command: &[u8]) -> bool {
    command.starts_with(b"rg.") || command.starts_with(b"il.")
}

/// What the server knows of a command.
struct Info {
    no_script: bool,
    has_keys: bool,
}

impl Info {
    fn of(command: &[u8], ask: impl FnOnce(Vec<Vec<u8>>) -> Result<Reply, String>) -> Result<Option<Self>, String> {
        let reply = ask(vec![b"COMMAND".to_vec(), b"INFO".to_vec(), command.to_vec()])?;
        let Reply::Array(commands) = reply else { return Ok(None) };
        Ok(commands.first().and_then(Self::read))
    }

    /// `[name, arity, flags, first key, last key, step, categories, tips, keys, subcommands]`
    fn read(info: &Reply) -> Option<Self> {
        let Reply::Array(fields) = info else { return None };
        let has = |flag: &[u8]| {
            let (Reply::Set(flags) | Reply::Array(flags)) = fields.get(2)? else { return None };
            Some(flags.iter().any(|known| matches!(known, Reply::Status(known) | Reply::Bulk(known) if known == flag)))
        };
        let sub: Vec<Self> = match fields.get(9) {
            Some(Reply::Array(sub)) => sub.iter().filter_map(Self::read).collect(),
            _ => Vec::new(),
        };
        let first = if let Reply::Int(first) = fields.get(3)? { *first } else { 0 };
        Some(Self {
            no_script: has(b"noscript")? || sub.iter().any(|sub| sub.no_script),
            has_keys: first > 0 || has(b"movablekeys")? || sub.iter().any(|sub| sub.has_keys),
        })
    }
}
