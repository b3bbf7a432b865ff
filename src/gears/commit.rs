//! How do registrations and timers come and go? All of a script's in one step, those of the session that it replaces out of force
//! in the same one.

use std::sync::Arc;

use super::durable::{self, Page};
use super::host::RunHost;
use super::queue;
use super::registration::{Mode, Registration};
use super::registrations::registrations;
use super::run::{new_run, text_of};
use super::session::{random_id, sessions};
use super::{streams, timers};
use super::{Session, Trigger};
use crate::python::Plan;
use crate::redis::{self, Held, Lane, Level, Pools};
use crate::sync::CancelToken;

/// Why a trigger's name can't be had.
pub(super) const TAKEN: &str = "trigger already registered";

/// Whether a trigger of this name belongs to somebody else than the session that `session` is about to replace.
pub(super) fn is_taken(session: &Session, name: &[u8]) -> bool {
    let old = session.replaces();
    registrations().trigger(name).is_some_and(|other| !old.is_some_and(|old| other.session.is(&old)))
}

/// Why a command can't be hooked once more.
pub(super) const HOOK_TAKEN: &str = "Can not override a none sync registration";

/// Whether the newest hook of a command can have no other one before it, since it does not run at once; one of the
/// session that `session` is about to replace does not count.
pub(super) fn is_hook_taken(session: &Session, command: &[u8]) -> bool {
    let old = session.replaces();
    let hooks = |one: &&Arc<Registration>| {
        let replaced = old.as_ref().is_some_and(|old| one.session.is(old));
        !replaced && matches!(&one.trigger, Trigger::Hook { command: hooked, .. } if hooked == command)
    };
    registrations().all().iter().rfind(hooks).is_some_and(|newest| newest.mode != Mode::Sync)
}

/// Puts what a script registered in force, starts its timers, and puts the session in its place.
///
/// # Errors
/// The text for the client; nothing was changed then.
pub(super) fn commit(
    held: &Held<'_>,
    session: &Arc<Session>,
    plans: Vec<Plan>,
    timed: Vec<Plan>,
) -> Result<Vec<Arc<Registration>>, String> {
    let replaced = session.replaces().map(|old| registrations().of_session(&old)).unwrap_or_default();
    let new: Vec<Registration> = plans
        .into_iter()
        .enumerate()
        .map(|(ordinal, plan)| Registration::new(Arc::clone(session), ordinal, plan.id.clone(), plan))
        .collect();
    // It was free when the script asked, but that was a while ago.
    if new.iter().any(|one| matches!(&one.trigger, Trigger::Command { name, .. } if is_taken(session, name))) {
        return Err(TAKEN.to_owned());
    }
    if new.iter().any(|one| matches!(&one.trigger, Trigger::Hook { command, .. } if is_hook_taken(session, command))) {
        return Err(HOOK_TAKEN.to_owned());
    }
    timers::check(held, session, &timed)?;
    let new: Vec<Arc<Registration>> = new.into_iter().map(|one| Arc::new(grouped(one, &replaced))).collect();
    let old = sessions().settle(session);
    let gone = old.as_ref().map(|old| registrations().of_session(old)).unwrap_or_default();
    registrations().change(held, &gone, &new);
    // Before the session is told of: what runs its script again looks for its timers then.
    timers::begin(held, session, timed, old.as_deref());
    if !new.is_empty() || !gone.is_empty() {
        durable::committed(held, session, &new, old.as_deref());
    }
    for registration in gone {
        retire(held, &registration, true);
        streams::retired(&registration);
    }
    streams::begin(held, &new);
    Ok(new)
}

/// A registration of streams goes on where the one was whose place it takes; another one begins a group.
fn grouped(new: Registration, replaced: &[Arc<Registration>]) -> Registration {
    let Trigger::Stream(trigger) = &new.trigger else { return new };
    let same = |old: &&Arc<Registration>| {
        !old.inherited() && matches!(&old.trigger, Trigger::Stream(old) if old.prefix == trigger.prefix)
    };
    match replaced.iter().find(same) {
        Some(old) => new.after(old),
        None => {
            // Ids begin anew on an empty server, but streams may be older than that.
            let group = format!("__gears_consumer_group__:{}:{:.8}", new.id, random_id());
            new.in_group(group)
        }
    }
}

/// Puts in force again what a script had registered before a restart, or on the primary.
pub(super) fn restored(
    held: &Held<'_>,
    session: &Arc<Session>,
    page: &Page,
    plans: Vec<Plan>,
    timed: Vec<Plan>,
) -> Vec<Arc<Registration>> {
    let now = durable::wanted(held, page);
    // A client may have been faster, with a newer script of this session.
    if now.is_none() && session.replaces().is_some_and(|newer| newer.origin != page.origin) {
        return Vec::new();
    }
    let wanted = now.as_ref().map(|now| now.ids.clone()).unwrap_or_default();
    // A transaction that could not wait may have been faster.
    let there = registrations().all();
    let in_force = wanted.values().all(|id| there.iter().any(|one| one.id == *id && page.has(one)));
    if in_force && timers::wanted(held, page).is_empty() {
        return Vec::new();
    }
    let new: Vec<Arc<Registration>> = (0_u64..)
        .zip(plans)
        .filter_map(|(ordinal, plan)| {
            let id = wanted.get(&ordinal)?.clone();
            let group = page.groups.get(&ordinal).cloned().unwrap_or_default();
            Some(Arc::new(Registration::new(Arc::clone(session), ordinal as usize, id, plan).in_group(group)))
        })
        .collect();
    if new.len() < wanted.len() {
        let (name, missing) = (&session.id, wanted.len() - new.len());
        let text = format!("Interlock: the script of session {name} registers {missing} less than it did");
        redis::log(Level::Warning, &text);
    }
    let old = sessions().settle(session);
    timers::restored(held, session, old.as_deref(), timed);
    let mut gone = old.map(|old| registrations().of_session(&old)).unwrap_or_default();
    gone.extend(registrations().all().into_iter().filter(|one| new.iter().any(|new| new.id == one.id)));
    let halted = |one: &Registration| now.as_ref()?.halted.get(&(one.ordinal as u64)).copied();
    new.iter().for_each(|one| streams::resume_as(one, halted(one)));
    registrations().change(held, &gone, &new);
    streams::begin(held, &new);
    new
}

/// Takes a registration out of force; with `abort_pending` its events that did not begin are given up. Returns
/// whether it was in force, or was about to be restored.
pub fn unregister(held: &Held<'_>, id: &str, abort_pending: bool) -> bool {
    let known = durable::struck_out(held, id);
    let Some(registration) = registrations().get(id) else { return known };
    registrations().change(held, std::slice::from_ref(&registration), &[]);
    retire(held, &registration, abort_pending);
    streams::retired(&registration);
    true
}

/// Takes a registration out of force that the data set, which was loaded, does not have.
pub(super) fn drop_unknown(held: &Held<'_>, registration: &Arc<Registration>) {
    registrations().change(held, std::slice::from_ref(registration), &[]);
    retire(held, registration, true);
}

fn retire(held: &Held<'_>, registration: &Arc<Registration>, abort_pending: bool) {
    registration.drop_kept();
    if abort_pending {
        queue::abandon(registration);
    }
    if registration.has_callback("onUnregistered") {
        let registration = Arc::clone(registration);
        // Where the queue is full the script is not told; nothing else depends on it.
        let _ = redis::background(Pools::Python, held.db(), CancelToken::new(), move |lane| {
            tell(&registration, lane, "onUnregistered");
        });
    }
}

/// Calls a function that a registration was given, if it has it. What it raises is only logged.
pub(super) fn tell(registration: &Registration, lane: &mut Lane, name: &str) {
    if !registration.has_callback(name) {
        return;
    }
    let origin = &registration.session.origin;
    let replica = lane.slice(|slice| slice.held().is_replica()).unwrap_or(true);
    let host = RunHost::new(Arc::clone(lane.door()), lane.cancel().clone());
    // What it writes comes from the primary.
    let host = Arc::new(if replica { host.reading() } else { host });
    let run = new_run(&host, lane.cancel().clone(), lane, origin.max_memory);
    if let Err(error) = registration.plan.script().call_option(run, &registration.plan, name) {
        let text = text_of(error);
        let text = String::from_utf8_lossy(&text);
        redis::log(Level::Warning, &format!("GEARS: {name} of registration {} failed: {text}", registration.id));
    }
}
