//! `IL.LOCK`, `IL.UNLOCK`, `IL.RENEW`, `IL.LOCKINFO`: a re-entrant, fair, leased lock.

use super::terms::{answer, millis, restore, terms, token};
use crate::commands::args::{is_word, shown, Args};
use crate::coordination::{self, Info, Lock as LockState, LockRequest, Waiting};
use crate::redis::{ArgDoc, Command, CommandSpec, Invocation, Keys, Outcome};
use crate::reply::Reply;

/// `IL.LOCK name owner [WAIT ms] [LEASE ms] [SESSION]`
pub(super) struct Lock;

impl Command for Lock {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.lock",
        flags: c"write deny-oom blocking",
        arity: -3,
        summary: c"Takes a lock for an owner, waiting in line for it if asked to; returns its fencing token and depth.",
        args: &[
            ArgDoc::required(c"name"),
            ArgDoc::required(c"owner"),
            ArgDoc::option(c"wait", c"WAIT"),
            ArgDoc::option(c"lease", c"LEASE"),
            ArgDoc::flag(c"session", c"SESSION"),
        ],
    };
    const KEYS: Keys = Keys::FirstWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        match parse_lock(invocation) {
            Ok((name, request, wait)) => coordination::meet(invocation, name, request, wait),
            Err(error) => Outcome::Reply(Reply::error(error)),
        }
    }
}

fn parse_lock<'a>(invocation: &'a Invocation<'_>) -> Result<(&'a [u8], LockRequest, Waiting), String> {
    let mut args = Args::new(invocation.args());
    let name = args.value("IL.LOCK")?;
    let owner = args.value("IL.LOCK")?.to_vec();
    let mut request = LockRequest { owner, lease: None, session: None };
    let (wait, lease) = terms(&mut args, "SESSION", || {
        let client = invocation.client().ok_or("ERR SESSION needs a connection, a script has none")?;
        request.session = Some(coordination::session_of(client.id));
        Ok(())
    })?;
    request.lease = lease;
    Ok((name, request, wait))
}

/// `IL.UNLOCK name owner`
pub(super) struct Unlock;

impl Command for Unlock {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.unlock",
        flags: c"write",
        arity: 3,
        summary: c"Leaves a lock once; returns how often its owner still has to.",
        args: &[ArgDoc::required(c"name"), ArgDoc::required(c"owner")],
    };
    const KEYS: Keys = Keys::FirstWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let [name, owner] = invocation.args() else {
            return Outcome::Reply(Reply::error("ERR wrong number of arguments for 'il.unlock' command"));
        };
        answer(coordination::leave(&invocation.held, name, owner), Reply::count)
    }
}

/// `IL.RENEW name owner LEASE ms`, for a lock, or with the token in the owner's place for a computation
pub(super) struct Renew;

impl Command for Renew {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.renew",
        flags: c"write",
        arity: 5,
        summary: c"Gives a lock, or a computation that goes on, a new lease from now on.",
        args: &[ArgDoc::required(c"name"), ArgDoc::required(c"owner"), ArgDoc::after(c"lease", c"LEASE")],
    };
    const KEYS: Keys = Keys::FirstWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let mut args = Args::new(invocation.args());
        let (Some(name), Some(owner), Some(option)) = (args.next(), args.next(), args.next()) else {
            return Outcome::Reply(Reply::error("ERR wrong number of arguments for 'il.renew' command"));
        };
        if !is_word(option, "LEASE") {
            return Outcome::Reply(Reply::error(format!("ERR unknown option '{}', expected LEASE", shown(option))));
        }
        let lease = match millis(&mut args, "LEASE", 1) {
            Ok(lease) => lease,
            Err(error) => return Outcome::Reply(Reply::error(error)),
        };
        let held = &invocation.held;
        if coordination::is_once(held, name) {
            return match token(owner) {
                Ok(token) => answer(coordination::renew_once(held, name, token, lease), |()| Reply::ok()),
                Err(error) => Outcome::Reply(Reply::error(error)),
            };
        }
        answer(coordination::renew_lock(held, name, owner, lease), |(token, depth)| {
            Reply::Array(vec![Reply::count(token), Reply::count(depth)])
        })
    }
}

/// How many of those who wait are listed.
const LISTED: usize = 100;

/// `IL.LOCKINFO name`
pub(super) struct LockInfo;

impl Command for LockInfo {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.lockinfo",
        flags: c"readonly fast",
        arity: 2,
        summary: c"Tells who holds a lock, since when, for how long, and who waits for it.",
        args: &[ArgDoc::required(c"name")],
    };
    const KEYS: Keys = Keys::FirstRead;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let name = invocation.args().first().copied().unwrap_or_default();
        answer(coordination::lock_info(&invocation.held, name, LISTED), |info| show(&info))
    }
}

fn show(info: &Info<LockState>) -> Reply {
    let lock = info.value.as_ref();
    let or_null = |value: Option<Reply>| value.unwrap_or(Reply::Null);
    let line = info.first.iter().map(|(owner, waited)| {
        Reply::map([("owner", Reply::bulk(owner.as_slice())), ("waited_ms", Reply::Int(*waited))])
    });
    Reply::map([
        ("state", Reply::bulk(if lock.is_some() { "held" } else { "free" })),
        ("owner", or_null(lock.map(|lock| Reply::bulk(lock.owner.as_slice())))),
        ("depth", Reply::count(lock.map_or(0, |lock| lock.depth))),
        ("token", or_null(lock.map(|lock| Reply::count(lock.token)))),
        ("since_ms", or_null(lock.map(|lock| Reply::Int(lock.since)))),
        ("lease_ms", or_null(info.expiry.map(|at| Reply::Int((at - info.now).max(0))))),
        ("session", or_null(lock.and_then(|lock| lock.session).map(|session| Reply::count(session.client)))),
        ("waiting", Reply::count(info.waiting as u64)),
        ("line", Reply::Array(line.collect())),
    ])
}

/// `IL._LOCK name state expiry`: how replicas and the AOF learn of a lock
pub(super) struct RestoreLock;

impl Command for RestoreLock {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il._lock",
        flags: c"write admin",
        arity: 4,
        summary: c"Stores the state of a lock. Internal: for replicas and the AOF.",
        args: &[ArgDoc::required(c"name"), ArgDoc::required(c"state"), ArgDoc::required(c"expiry")],
    };
    const KEYS: Keys = Keys::FirstWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        restore::<LockState>(invocation)
    }
}
