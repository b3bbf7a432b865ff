//! Which registrations does a change of a key concern?
//!
//! Asked under the server's lock for every event of a key. What the record needs of the key (type, value) is copied
//! then: later it might say something else.

use std::sync::Arc;

use super::queue::{self, Event};
use super::registration::{KeyTrigger, Mode, Registration};
use super::registrations::registrations;
use super::{linked, moment, Trigger};
use crate::redis::{read_value, Held, KeyEvent, KeyWatcher};
use crate::reply::Reply;

/// What the server is to tell us.
pub(super) const WATCHER: KeyWatcher = KeyWatcher { wanted: || registrations().any_keys(), changed, misses: true };

fn changed(held: &Held<'_>, event: &KeyEvent<'_>) {
    let all = registrations().keys();
    let mut concerned = all.iter().filter_map(|registration| match &registration.trigger {
        Trigger::Keys(trigger) if trigger.wants_key(event.key) && trigger.wants_event(event.name) => {
            let of_command = trigger.commands.as_ref().is_none_or(|commands| linked::is_running(commands));
            let own = registration.mode == Mode::Sync && moment::is_caused_by(registration);
            (of_command && !own).then_some((registration, trigger))
        }
        _ => None,
    });
    let Some(first) = concerned.next() else { return };
    // The primary's registrations do it.
    if held.is_replica() || held.is_loading() {
        return;
    }
    let mut value = None;
    for (registration, trigger) in std::iter::once(first).chain(concerned) {
        if let Some(record) = record(held, event, trigger, &mut value) {
            let records = Reply::Array(vec![record]);
            let event = Event { db: event.db, records, client: None, cause: None };
            if trigger.commands.is_some() {
                linked::fire(held, registration, event);
            } else {
                fire(held, registration, event);
            }
        }
    }
}

/// The record of an event; `None` if the key's type is not among the wanted ones. `value` is read once for all.
fn record(
    held: &Held<'_>,
    event: &KeyEvent<'_>,
    trigger: &KeyTrigger,
    value: &mut Option<(&'static str, Reply)>,
) -> Option<Reply> {
    let mut fields = vec![("key", Reply::bulk(event.key)), ("event", Reply::bulk(event.name))];
    if trigger.read_value || trigger.types.is_some() {
        let (kind, content) = value.get_or_insert_with(|| read_value(held, event.key, None));
        if trigger.types.as_ref().is_some_and(|types| !types.iter().any(|wanted| wanted == kind.as_bytes())) {
            return None;
        }
        if trigger.read_value {
            fields.push(("type", Reply::bulk(*kind)));
            fields.push(("value", content.clone()));
        }
    }
    Some(Reply::map(fields))
}

fn fire(held: &Held<'_>, registration: &Arc<Registration>, event: Event) {
    if registration.mode != Mode::Sync {
        return queue::push(held, registration, event);
    }
    if let Some(work) = moment::callback(registration, event) {
        moment::after_event(held, work);
    }
}
