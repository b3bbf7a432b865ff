//! What do the commands of locks and of values that are computed once have in common? Their terms: how long to wait,
//! and how long to hold.

use std::time::Duration;

use crate::commands::args::{is_word, shown, Args};
use crate::coordination::{self, Refusal, Waiting};
use crate::redis::{Invocation, KeyType, Outcome};
use crate::reply::Reply;

/// The longest time that can be given, in milliseconds: later times have no place in the server's files.
const LONGEST: i64 = 1 << 45;

/// Reads a time in milliseconds.
pub(super) fn millis(args: &mut Args<'_>, of: &str, min: i64) -> Result<i64, String> {
    let millis = args.number(of, min)?;
    if millis > LONGEST {
        return Err(format!("ERR {of} must be at most {LONGEST} ms"));
    }
    Ok(millis)
}

/// Reads `[WAIT ms] [LEASE ms]` and one more word, which `flag` is called for.
pub(super) fn terms(
    args: &mut Args<'_>,
    word: &str,
    mut flag: impl FnMut() -> Result<(), String>,
) -> Result<(Waiting, Option<i64>), String> {
    let mut terms = (Waiting::No, None);
    while let Some(option) = args.next() {
        if is_word(option, "WAIT") {
            terms.0 = wait(args)?;
        } else if is_word(option, "LEASE") {
            terms.1 = Some(millis(args, "LEASE", 1)?);
        } else if is_word(option, word) {
            flag()?;
        } else {
            return Err(format!("ERR unknown option '{}', expected WAIT, LEASE or {word}", shown(option)));
        }
    }
    Ok(terms)
}

/// Reads `WAIT ms`: 0 is for ever, as for the server's own blocking commands.
fn wait(args: &mut Args<'_>) -> Result<Waiting, String> {
    Ok(match millis(args, "WAIT", 0)? {
        0 => Waiting::Forever,
        millis => Waiting::For(Duration::from_millis(millis.unsigned_abs())),
    })
}

/// The reply for what was done, or the error for why it was refused.
pub(super) fn answer<T>(result: Result<T, Refusal>, reply: impl FnOnce(T) -> Reply) -> Outcome {
    Outcome::Reply(result.map_or_else(Refusal::reply, reply))
}

/// Reads a token.
pub(super) fn token(text: &[u8]) -> Result<u64, String> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| format!("ERR the token must be an integer, not '{}'", shown(text)))
}

/// The error for the client.
pub(super) fn refused(error: impl Into<Vec<u8>>) -> Outcome {
    Outcome::Reply(Reply::error(error))
}

/// Stores a state as it came, and passes the command on as it is.
pub(super) fn restore<T: KeyType>(invocation: &Invocation<'_>) -> Outcome {
    let [key, state, expiry] = invocation.args() else {
        return refused("ERR wrong number of arguments");
    };
    let Some(expiry) = std::str::from_utf8(expiry).ok().and_then(|text| text.parse().ok()) else {
        return refused("ERR the expiry must be an integer");
    };
    match coordination::restore::<T>(&invocation.held, key, state, expiry) {
        Ok(()) => {
            invocation.replicate_as_is();
            Outcome::Reply(Reply::ok())
        }
        Err(error) => refused(error),
    }
}
