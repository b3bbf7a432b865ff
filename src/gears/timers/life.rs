//! How do a script's timers come and go? With the session: all of them in the step in which its registrations do.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::key::TimerKey;
use super::table::{Place, Timer};
use super::{add, attach, key_of, live, period_of, timers, ALARM};
use crate::gears::durable::Page;
use crate::gears::{sessions, Session};
use crate::python::Plan;
use crate::redis::{self, Expiry, Found, Held, Level, Name};
use crate::sync::Stop;

/// Why a key can't be had.
const TAKEN: &str = "the key of a timer is there already";

/// Whether a script can have a timer in this key: it is not there, or is that of the session whose place is taken; of
/// this one, if its script was to be run again and a client was faster.
///
/// # Errors
/// Why no key can be made.
pub(in crate::gears) fn is_free(held: &Held<'_>, session: &Session, key: &[u8]) -> Result<bool, String> {
    if held.is_read_only() {
        return Err("READONLY You can't write against a read only replica.".to_owned());
    }
    if !redis::serves(held, held.db(), key) {
        return Err(format!("the key of a timer must be one of this node, not {}", key.escape_ascii()));
    }
    Ok(match redis::get::<TimerKey>(held, held.db(), key) {
        Found::Missing => true,
        Found::Other => false,
        Found::Value(value) => {
            let owner = &value.page.session;
            *owner == session.id || session.replaces().is_some_and(|old| *owner == old.id)
        }
    })
}

/// Whether the keys of a script's timers are still to be had: they were when it asked, but that was a while ago.
///
/// # Errors
/// The text for the client.
pub(in crate::gears) fn check(held: &Held<'_>, session: &Session, plans: &[Plan]) -> Result<(), String> {
    for key in plans.iter().filter_map(key_in) {
        if !is_free(held, session, &key)? {
            return Err(format!("{TAKEN}: {}", key.escape_ascii()));
        }
    }
    Ok(())
}

fn key_in(plan: &Plan) -> Option<Vec<u8>> {
    plan.registration.as_ref().and_then(key_of)
}

/// A script has succeeded: its timers begin, and those of the session `old` whose place it takes end.
pub(in crate::gears) fn begin(held: &Held<'_>, session: &Arc<Session>, plans: Vec<Plan>, old: Option<&Session>) {
    end_all(held, session, old);
    let page = Arc::new(Page::bare(&session.id, session.description.clone(), &session.origin));
    for plan in plans {
        let Some(key) = key_in(&plan) else {
            start(held, session, plan);
            continue;
        };
        let period = plan.registration.as_ref().map(period_of).unwrap_or_default();
        let ordinal = ordinal_of(&plan);
        let live = live(session, plan);
        session.keep_timer(ordinal, &live.plan);
        let name = Name { db: held.db(), key };
        let script = Some((Arc::clone(&page), ordinal));
        let timer = Timer::new(Place::Key(name.clone()), period, script, None);
        let serial = add(held, timer);
        attach(held, serial, live);
        let value = TimerKey { page: Arc::clone(&page), ordinal, period, serial: Cell::new(serial) };
        redis::put(held, name.db, &name.key, value, Expiry::Never, Some(c"rg.timer"));
    }
}

/// Starts a timer in memory.
pub(in crate::gears) fn start(held: &Held<'_>, session: &Arc<Session>, plan: Plan) {
    let period = plan.registration.as_ref().map(period_of).unwrap_or_default();
    let timer = Timer::new(Place::Memory(held.db()), period, None, None);
    let serial = add(held, timer);
    attach(held, serial, live(session, plan));
}

fn ordinal_of(plan: &Plan) -> u64 {
    plan.id.parse().unwrap_or_default()
}

/// Ends the timers of a session, with their keys, and those that wait for a script of either one to be run again. Calls
/// that have begun go on.
fn end_all(held: &Held<'_>, new: &Session, old: Option<&Session>) {
    let waits = |timer: &Timer| {
        let script = timer.script.as_ref().filter(|_| timer.live.is_none());
        script.is_some_and(|(page, _)| page.session == new.id || old.is_some_and(|old| page.session == old.id))
    };
    let (keys, gone) = {
        let mut table = timers();
        let mine: Vec<(u64, Option<Name>)> = table
            .iter()
            .filter(|(_, timer)| waits(timer) || old.is_some_and(|old| timer.is_of(old)))
            .map(|(serial, timer)| (serial, timer.key().cloned()))
            .collect();
        let gone: Vec<Option<Timer>> = mine.iter().map(|(serial, _)| table.remove(*serial)).collect();
        (mine.into_iter().filter_map(|(_, key)| key), gone)
    };
    keys.for_each(|name| redis::delete(held, name.db, &name.key));
    drop(gone);
}

/// Ends a session's timers in memory, and stops the calls of all its timers.
pub fn abort(_held: &Held<'_>, session: &Session) {
    let gone = {
        let mut table = timers();
        let mine: Vec<u64> = table.iter().filter(|(_, timer)| timer.is_of(session)).map(|(serial, _)| serial).collect();
        let mut gone = Vec::new();
        for serial in mine {
            let Some(timer) = table.get(serial) else { continue };
            if let Some(call) = &timer.call {
                call.cancel(Stop::Aborted);
            }
            if matches!(timer.place, Place::Memory(_)) {
                gone.extend(table.remove(serial));
            }
        }
        gone
    };
    drop(gone);
}

/// Which timers of a script wait for it to be run again.
pub(in crate::gears) fn wanted(_held: &Held<'_>, page: &Page) -> BTreeSet<u64> {
    let mut table = timers();
    let waiting = table.iter().filter(|(_, timer)| timer.awaits(page));
    waiting.filter_map(|(_, timer)| timer.script.as_ref().map(|(_, ordinal)| *ordinal)).collect()
}

/// A script was run again: its timers go on. `old` is the session that it had before, if that was alive.
pub(in crate::gears) fn restored(held: &Held<'_>, session: &Arc<Session>, old: Option<&Session>, plans: Vec<Plan>) {
    let page = Page::bare(&session.id, session.description.clone(), &session.origin);
    for plan in plans.into_iter().filter(|plan| key_in(plan).is_some()) {
        session.keep_timer(ordinal_of(&plan), &Arc::new(plan));
    }
    let mut dropped = Vec::new();
    let waiting: Vec<u64> = {
        let mut table = timers();
        let of_old: Vec<u64> = table
            .iter()
            .filter(|(_, timer)| old.is_some_and(|old| timer.is_of(old)))
            .map(|(serial, _)| serial)
            .collect();
        for serial in of_old {
            match table.get(serial) {
                Some(timer) if timer.script.is_some() => dropped.extend(timer.live.take()),
                _ => drop(table.remove(serial).map(|timer| dropped.extend(timer.live))),
            }
        }
        table.iter().filter(|(_, timer)| timer.awaits(&page)).map(|(serial, _)| serial).collect()
    };
    let mut missing = 0;
    for serial in waiting {
        let ordinal = timers().get(serial).and_then(|timer| timer.script.as_ref().map(|(_, ordinal)| *ordinal));
        match ordinal.and_then(|ordinal| session.timer(ordinal)) {
            Some(plan) => attach(held, serial, super::Live { session: Arc::clone(session), plan }),
            None => missing += 1,
        }
    }
    if missing > 0 {
        let text = format!("Interlock: the script of session {} makes {missing} timers less than it did", session.id);
        redis::log(Level::Warning, &text);
    }
    ALARM.set(held, Instant::now());
    drop(dropped);
}

/// Whether a session may still start timers: not one whose place another one has.
pub(in crate::gears) fn may_start(session: &Session) -> bool {
    sessions().in_place(&session.id).is_some_and(|live| live.is(session))
}
