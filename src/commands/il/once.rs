//! `IL.ONCE` and its companions: compute once, wait, share.

use super::terms::{answer, millis, refused, restore, terms, token};
use crate::commands::args::{is_word, shown, Args};
use crate::coordination::{self, Ended, Info, Once as Kept, OnceRequest, Phase, Refusal, Waiting};
use crate::redis::{ArgDoc, Command, CommandSpec, Held, Invocation, Keys, Outcome};
use crate::reply::Reply;

/// `IL.ONCE key [WAIT ms] [LEASE ms] [NOCOMPUTE]`
pub(super) struct Once;

impl Command for Once {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.once",
        flags: c"write deny-oom blocking",
        arity: -2,
        summary: c"Returns a value, or tells one caller to compute it while the others wait.",
        args: &[
            ArgDoc::required(c"key"),
            ArgDoc::option(c"wait", c"WAIT"),
            ArgDoc::option(c"lease", c"LEASE"),
            ArgDoc::flag(c"nocompute", c"NOCOMPUTE"),
        ],
    };
    const KEYS: Keys = Keys::FirstWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        match parse(invocation) {
            Ok((key, request, wait)) => coordination::meet(invocation, key, request, wait),
            Err(error) => refused(error),
        }
    }
}

fn parse<'a>(invocation: &'a Invocation<'_>) -> Result<(&'a [u8], OnceRequest, Waiting), String> {
    let mut args = Args::new(invocation.args());
    let key = args.value("IL.ONCE")?;
    let by = invocation
        .client()
        .map_or_else(|| b"script".to_vec(), |client| format!("{} {}", client.id, client.address).into_bytes());
    let mut request = OnceRequest { by, lease: None, computes: true };
    let (wait, lease) = terms(&mut args, "NOCOMPUTE", || {
        request.computes = false;
        Ok(())
    })?;
    request.lease = lease;
    Ok((key, request, wait))
}

/// `IL.PUBLISH key token value [TTL ms]`
pub(super) struct Publish;

impl Command for Publish {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.publish",
        flags: c"write deny-oom",
        arity: -4,
        summary: c"Brings the value that IL.ONCE gave out to compute, and gives it to all who wait.",
        args: &[
            ArgDoc::required(c"key"),
            ArgDoc::required(c"token"),
            ArgDoc::required(c"value"),
            ArgDoc::option(c"ttl", c"TTL"),
        ],
    };
    const KEYS: Keys = Keys::FirstWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let [key, token_text, value, options @ ..] = invocation.args() else {
            return refused("ERR wrong number of arguments for 'il.publish' command");
        };
        let parsed = token(token_text).and_then(|token| {
            let mut args = Args::new(options);
            let mut ttl = None;
            while let Some(option) = args.next() {
                if !is_word(option, "TTL") {
                    return Err(format!("ERR unknown option '{}', expected TTL", shown(option)));
                }
                ttl = Some(millis(&mut args, "TTL", 1)?);
            }
            Ok((token, ttl))
        });
        match parsed {
            Ok((token, ttl)) => {
                answer(coordination::publish(&invocation.held, key, token, value.to_vec(), ttl), |()| Reply::ok())
            }
            Err(error) => refused(error),
        }
    }
}

/// `IL.FAIL key token message [RETRY]`
pub(super) struct Fail;

impl Command for Fail {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.fail",
        flags: c"write",
        arity: -4,
        summary: c"Tells that computing a value failed: for all who ask, or with RETRY for the next one to try again.",
        args: &[
            ArgDoc::required(c"key"),
            ArgDoc::required(c"token"),
            ArgDoc::required(c"message"),
            ArgDoc::flag(c"retry", c"RETRY"),
        ],
    };
    const KEYS: Keys = Keys::FirstWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let [key, token_text, message, options @ ..] = invocation.args() else {
            return refused("ERR wrong number of arguments for 'il.fail' command");
        };
        let how = match options {
            [] => Ended::Error(message.to_vec()),
            [option] if is_word(option, "RETRY") => Ended::Retry,
            [option, ..] => return refused(format!("ERR unknown option '{}', expected RETRY", shown(option))),
        };
        match token(token_text) {
            Ok(token) => answer(coordination::fail(&invocation.held, key, token, how), |()| Reply::ok()),
            Err(error) => refused(error),
        }
    }
}

/// Does what needs nothing but the key.
fn with_key<T>(
    invocation: &Invocation<'_>,
    work: fn(&Held<'_>, &[u8]) -> Result<T, Refusal>,
    reply: impl FnOnce(T) -> Reply,
) -> Outcome {
    let key = invocation.args().first().copied().unwrap_or_default();
    answer(work(&invocation.held, key), reply)
}

/// `IL.CANCEL key`
pub(super) struct Cancel;

impl Command for Cancel {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.cancel",
        flags: c"write",
        arity: 2,
        summary: c"Gives up a value that is not there yet; returns whether it was so.",
        args: &[ArgDoc::required(c"key")],
    };
    const KEYS: Keys = Keys::FirstWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        with_key(invocation, coordination::cancel, |done| Reply::Int(i64::from(done)))
    }
}

/// `IL.RESET key`
pub(super) struct Reset;

impl Command for Reset {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.reset",
        flags: c"write",
        arity: 2,
        summary: c"Forgets a value or its failure, so that it is computed anew; returns whether the key is there.",
        args: &[ArgDoc::required(c"key")],
    };
    const KEYS: Keys = Keys::FirstWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        with_key(invocation, coordination::reset, |done| Reply::Int(i64::from(done)))
    }
}

/// `IL.STATE key`
pub(super) struct State;

impl Command for State {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il.state",
        flags: c"readonly fast",
        arity: 2,
        summary: c"Tells where in its life a value is, who computes it, since when, and how many wait.",
        args: &[ArgDoc::required(c"key")],
    };
    const KEYS: Keys = Keys::FirstRead;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        with_key(invocation, coordination::once_info, |info| show(&info))
    }
}

fn show(info: &Info<Kept>) -> Reply {
    let (Some(once), Some(state)) = (&info.value, coordination::state_word(info)) else {
        return Reply::Null;
    };
    let or_null = |value: Option<Reply>| value.unwrap_or(Reply::Null);
    let lease = once.run().and_then(|run| run.lease_until).map(|until| Reply::Int((until - info.now).max(0)));
    let message = match &once.phase {
        Phase::Errored(message) => Some(Reply::bulk(message.as_slice())),
        _ => None,
    };
    let bytes = match &once.phase {
        Phase::Completed(value) => Some(Reply::count(value.len() as u64)),
        _ => None,
    };
    Reply::map([
        ("state", Reply::bulk(state)),
        ("by", or_null((!once.by.is_empty()).then(|| Reply::bulk(once.by.as_slice())))),
        ("token", or_null((once.token > 0).then(|| Reply::count(once.token)))),
        ("since_ms", Reply::Int(once.since)),
        ("lease_ms", or_null(lease)),
        ("ttl_ms", or_null(info.expiry.map(|at| Reply::Int((at - info.now).max(0))))),
        ("waiting", Reply::count(info.waiting as u64)),
        ("runs", Reply::count(once.runs)),
        ("bytes", or_null(bytes)),
        ("message", or_null(message)),
    ])
}

/// `IL._ONCE key state expiry`: how replicas and the AOF learn of a value
pub(super) struct RestoreOnce;

impl Command for RestoreOnce {
    const SPEC: CommandSpec = CommandSpec {
        name: c"il._once",
        flags: c"write admin",
        arity: 4,
        summary: c"Stores the state of a value that is computed once. Internal: for replicas and the AOF.",
        args: &[ArgDoc::required(c"key"), ArgDoc::required(c"state"), ArgDoc::required(c"expiry")],
    };
    const KEYS: Keys = Keys::FirstWritten;

    fn call(invocation: &Invocation<'_>) -> Outcome {
        restore::<Kept>(invocation)
    }
}
