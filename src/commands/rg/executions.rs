//! `RG.DUMPEXECUTIONS`, `RG.GETEXECUTION`, `RG.GETRESULTS`, `RG.GETRESULTSBLOCKING`,
//! `RG.DROPEXECUTION`, `RG.ABORTEXECUTION`: executions by id.

use std::sync::Arc;
use std::time::Duration;

use super::LOOKS;
use crate::commands::args::is_word;
use crate::gears::{abort_timers, executions, sessions, Execution, Status};
use crate::redis::{node_id, ArgDoc, Command, CommandSpec, Invocation, Outcome, Wait};
use crate::reply::Reply;
use crate::sync::CancelToken;

const ID: &[ArgDoc] = &[ArgDoc::required(c"id")];

/// How long `RG.GETRESULTSBLOCKING` waits, as in RedisGears.
const LONGEST_WAIT: Duration = Duration::from_millis(1_000_000);

fn find(invocation: &Invocation<'_>) -> Result<Arc<Execution>, Reply> {
    let id = invocation.args().first().and_then(|id| std::str::from_utf8(id).ok());
    id.and_then(|id| executions().get(id)).ok_or_else(|| Reply::error("execution plan does not exist"))
}

pub(super) struct Dump;

impl Command for Dump {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.dumpexecutions",
        flags: LOOKS,
        arity: -1,
        summary: c"Lists the executions.",
        args: &[],
    };

    fn call(_invocation: &Invocation<'_>) -> Outcome {
        let entry = |execution: Arc<Execution>| {
            Reply::Array(vec![
                Reply::bulk("executionId"),
                Reply::bulk(execution.id.clone()),
                Reply::bulk("status"),
                Reply::bulk(execution.status().name()),
                Reply::bulk("registered"),
                Reply::Int(i64::from(execution.registered)),
            ])
        };
        Outcome::Reply(Reply::Array(executions().all().into_iter().map(entry).collect()))
    }
}

pub(super) struct Get;

impl Command for Get {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.getexecution",
        flags: LOOKS,
        arity: -2,
        summary: c"Shows an execution: its state, durations, errors and steps.",
        args: &[ArgDoc::required(c"id"), ArgDoc::flag(c"shard", c"SHARD")],
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(get(invocation).unwrap_or_else(|error| error))
    }
}

fn get(invocation: &Invocation<'_>) -> Result<Reply, Reply> {
    let execution = find(invocation)?;
    match invocation.args() {
        [_] => {}
        [_, word] if is_word(word, "SHARD") => {}
        [_, word] if is_word(word, "CLUSTER") => {
            return Err(Reply::error("no cluster detected - use `RG.GETEXECUTION <id> [SHARD]` instead"));
        }
        _ => return Err(Reply::error("unknown subcommand")),
    }
    let (status, finished) = execution.snapshot();
    let ended = status.is_final();
    let millis = |duration: Duration| Reply::Int(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX));
    let step = |(at, step): (usize, &crate::python::host::StepInfo)| {
        Reply::Array(vec![
            Reply::bulk("type"),
            Reply::bulk(step.kind.clone()),
            Reply::bulk("duration"),
            millis(finished.steps.get(at).copied().unwrap_or_default()),
            Reply::bulk("name"),
            Reply::bulk(step.name.clone()),
            Reply::bulk("arg"),
            Reply::bulk(step.arg.clone()),
        ])
    };
    let plan = Reply::Array(vec![
        Reply::bulk("status"),
        Reply::bulk(status.name()),
        Reply::bulk("shards_received"),
        Reply::Int(0),
        Reply::bulk("shards_completed"),
        Reply::Int(0),
        Reply::bulk("results"),
        Reply::Int(if ended { finished.results.len() as i64 } else { -1 }),
        Reply::bulk("errors"),
        Reply::bulks(finished.errors.iter().cloned()),
        Reply::bulk("total_duration"),
        millis(finished.total),
        Reply::bulk("read_duration"),
        millis(finished.read),
        Reply::bulk("steps"),
        // The last step first, as clients expect.
        Reply::Array(execution.plan.steps.iter().enumerate().rev().map(step).collect()),
    ]);
    Ok(Reply::Array(vec![Reply::Array(vec![
        Reply::bulk("shard_id"),
        Reply::bulk(node_id()),
        Reply::bulk("execution_plan"),
        plan,
    ])]))
}

pub(super) struct Results;

impl Command for Results {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.getresults",
        flags: LOOKS,
        arity: -2,
        summary: c"Returns the results and errors of an execution that has ended.",
        args: ID,
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(find(invocation).map_or_else(
            |error| error,
            |execution| match execution.snapshot() {
                (status, finished) if status.is_final() => finished.reply(),
                _ => Reply::error("execution is still running"),
            },
        ))
    }
}

pub(super) struct ResultsBlocking;

impl Command for ResultsBlocking {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.getresultsblocking",
        flags: c"readonly blocking",
        arity: 2,
        summary: c"Waits for an execution, and returns its results and errors.",
        args: ID,
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        let execution = match find(invocation) {
            Ok(execution) => execution,
            Err(error) => return Outcome::Reply(error),
        };
        match execution.snapshot() {
            (status, finished) if status.is_final() => Outcome::Reply(finished.reply()),
            _ => Outcome::Wait(Wait {
                limit: Some(LONGEST_WAIT),
                // Going away stops the wait, not the execution.
                cancel: CancelToken::new(),
                register: Box::new(move |_, client| execution.answer_when_ended(client)),
                otherwise: Reply::error(
                    "ERR execution is still running, and can not be waited for inside MULTI, Lua or SAFEMODE",
                ),
            }),
        }
    }
}

pub(super) struct Drop;

impl Command for Drop {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.dropexecution",
        flags: LOOKS,
        arity: 2,
        summary: c"Forgets an execution that has ended.",
        args: ID,
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(find(invocation).map_or_else(
            |error| error,
            |execution| {
                if !execution.status().is_final() {
                    return Reply::error("can not drop a not yet finished execution, abort it first.");
                }
                executions().remove(&execution.id);
                Reply::ok()
            },
        ))
    }
}

pub(super) struct Abort;

impl Command for Abort {
    const SPEC: CommandSpec = CommandSpec {
        name: c"rg.abortexecution",
        flags: LOOKS,
        arity: 2,
        summary: c"Stops an execution, or the script of a session and its timers.",
        args: ID,
    };

    fn call(invocation: &Invocation<'_>) -> Outcome {
        Outcome::Reply(match find(invocation) {
            Ok(execution) => {
                if execution.status() != Status::Done {
                    execution.abort();
                }
                Reply::ok()
            }
            Err(_) => {
                let id = invocation.args().first().and_then(|id| std::str::from_utf8(id).ok());
                match id.and_then(|id| sessions().get(id)) {
                    Some(session) => {
                        session.cancel.cancel(crate::sync::Stop::Aborted);
                        abort_timers(&invocation.held, &session);
                        Reply::ok()
                    }
                    None => Reply::error("execution does not exist"),
                }
            }
        })
    }
}
