//! Which streams are there already, when a registration begins?

use std::sync::Arc;

use super::super::registration::Registration;
use super::super::Trigger;
use super::{found, group, streams, Name};
use crate::redis::{self, unix_millis, Held, KeyRef, KeysCursor, Lane, Pools};
use crate::sync::CancelToken;

/// Looks through all databases for streams of these registrations, in the background.
pub(super) fn look_for(all: &[Arc<Registration>]) {
    let all: Vec<Arc<Registration>> =
        all.iter().filter(|one| matches!(one.trigger, Trigger::Stream(_))).cloned().collect();
    if !all.is_empty() {
        // Where the queue is full, streams are found when they next change.
        let _ = redis::background(Pools::Workers, 0, CancelToken::new(), move |lane| {
            let mut db = 0;
            while look_through(lane, db, &all) {
                db += 1;
            }
        });
    }
}

/// Looks through one database; false if there is none, or no reason to go on.
fn look_through(lane: &mut Lane, db: i32, all: &[Arc<Registration>]) -> bool {
    let mut cursor = KeysCursor::new();
    let mut more = true;
    while more {
        let slice = lane.slice(|slice| {
            let held = slice.held();
            if held.is_replica() || !all.iter().any(|one| one.is_live()) {
                return false;
            }
            let looked = held.in_db(db, || {
                while more && !slice.spent() {
                    more = next_bucket(held, db, &mut cursor, all);
                }
            });
            looked.is_ok()
        });
        if !matches!(slice, Ok(true)) {
            return false;
        }
    }
    true
}

fn next_bucket(held: &Held<'_>, db: i32, cursor: &mut KeysCursor, all: &[Arc<Registration>]) -> bool {
    let now = unix_millis();
    let mut names: Vec<Vec<u8>> = Vec::new();
    let wanted = |name: &[u8]| all.iter().any(|one| one.trigger.wants_key(name));
    let mut visit = |key: &KeyRef<'_>| {
        if key.kind() == Some("stream") && wanted(key.name) && !key.expired(now) {
            names.push(key.name.to_vec());
        }
    };
    let more = cursor.next_bucket(held, &mut visit);
    for name in names {
        for registration in all.iter().filter(|one| one.is_live() && one.trigger.wants_key(&name)) {
            if let Trigger::Stream(trigger) = &registration.trigger {
                found(held, registration, trigger, (db, name.clone()));
            }
        }
    }
    more
}

/// Removes the groups of a registration that has gone: they would keep entries from being deleted for ever.
pub(super) fn leave_groups(registration: &Arc<Registration>) {
    if registration.inherited() {
        return;
    }
    let (group, names): (String, Vec<Name>) = {
        let mut streams = streams(registration);
        streams.ready.clear();
        (registration.group.clone(), std::mem::take(&mut streams.known).into_keys().collect())
    };
    if names.is_empty() {
        return;
    }
    let _ = redis::background(Pools::Workers, 0, CancelToken::new(), move |lane| {
        for (db, key) in names {
            let left = lane.slice(|slice| {
                let held = slice.held();
                if !held.is_replica() {
                    let _ = held.in_db(db, || group::leave(held, &key, group.as_bytes()));
                }
            });
            if left.is_err() {
                return;
            }
        }
    });
}
