//! What do coroutines ask of the native side?
//!
//! More functions of the module `_interlock`: those of the event loop, and of executions that wait.

use std::ffi::CStr;
use std::sync::Arc;

use pyo3_ffi as ffi;

use super::answer::to_answer;
use super::attach::Attached;
use super::convert::{encode, to_reply};
use super::native::{capsule, contents, drop_capsule, Call, Fault, Outcome};
use super::object::Object;
use crate::python::run::{self, RunState};
use crate::python::script::PlanOutcome;
use crate::python::{background, script};

/// The name of capsules that hold a run.
pub(super) const RUN: &CStr = c"_interlock.run";

fn run_of<'c>(capsule: &'c Object<'_>) -> Result<&'c Arc<RunState>, Fault> {
    contents::<Arc<RunState>>(capsule, RUN)
}

/// The run in a capsule, if that is what the object is.
pub(crate) fn run_in(_attached: &Attached<'_>, object: &Object<'_>) -> Option<Arc<RunState>> {
    // SAFETY: attached; a live object.
    let is_run = unsafe { ffi::PyCapsule_IsValid(object.as_ptr(), RUN.as_ptr()) } != 0;
    is_run.then(|| run_of(object).ok().cloned()).flatten()
}

pub(super) fn start_loop<'a>(call: &Call<'a>) -> Outcome<'a> {
    let run = call.run()?;
    background::start_loop(&run.core, call.get(0)?)
        .map_err(|error| Fault::from(format!("cannot start the thread of the event loop: {error}")))?;
    call.none()
}

pub(super) fn background_run<'a>(call: &Call<'a>) -> Outcome<'a> {
    let run = call.run()?;
    let given = run.host.background()?;
    let state = RunState::background(given, &run, call.get(0)?.store());
    capsule(call, RUN, Box::new(state), drop_capsule::<Arc<RunState>>)
}

pub(super) fn resume_run<'a>(call: &Call<'a>) -> Outcome<'a> {
    let capsule = call.get(0)?;
    background::resume(run_of(&capsule)?, call.get(1)?.store());
    call.none()
}

pub(super) fn finish_run<'a>(call: &Call<'a>) -> Outcome<'a> {
    let capsule = call.get(0)?;
    let run = run_of(&capsule)?;
    // Results may be as large as the limit; copying them must not fail for their size.
    run.core.lift_limit();
    let outcome = script::outcome(call.attached, &call.get(1)?);
    run.finish(Some(call.attached), Ok(outcome));
    call.none()
}

pub(super) fn finish_call<'a>(call: &Call<'a>) -> Outcome<'a> {
    let capsule = call.get(0)?;
    let run = run_of(&capsule)?;
    run.core.lift_limit();
    let value = call.get(2)?;
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    if call.truth(1)? {
        match to_answer(call.attached, &value) {
            Ok(answer) => results.push(answer),
            Err(refusal) => errors.push(refusal.text().as_bytes().to_vec()),
        }
    } else {
        errors.push(encode(call.attached, &value));
    }
    run.finish(Some(call.attached), Ok(PlanOutcome { results, errors, ..PlanOutcome::default() }));
    call.none()
}

pub(super) fn enter_run<'a>(call: &Call<'a>) -> Outcome<'a> {
    let capsule = call.get(0)?;
    run::join(run_of(&capsule)?, call.attached)?;
    call.none()
}

pub(super) fn leave_run<'a>(call: &Call<'a>) -> Outcome<'a> {
    run::part(call.attached);
    call.none()
}

pub(super) fn may_wait<'a>(call: &Call<'a>) -> Outcome<'a> {
    call.flag(run::current().is_some_and(|run| !run.is_body() && run.host.may_wait()))
}

pub(super) fn override_reply<'a>(call: &Call<'a>) -> Outcome<'a> {
    let reply = to_reply(call.attached, &call.get(0)?).map_err(|refusal| Fault::from(refusal.text().to_owned()))?;
    call.run()?.host.override_reply(reply)?;
    call.none()
}
