//! What does `INFO` say of Gears? The sections of RedisGears, with its names for them and their fields.

use std::sync::Arc;

use super::introspection::{as_text, memory, owners};
use super::plugins::PLUGIN;
use super::registrations::{arguments, statistics, status};
use super::requirements::described;
use crate::gears::{executions, registrations, requirements, sessions, Registration, Session};
use crate::redis::{Held, InfoSection};
use crate::reply::Reply;

type Fields = Vec<(String, Reply)>;

/// `regisrations` is what RedisGears calls it, and what its users look for.
pub(in crate::commands) const SECTIONS: [InfoSection; 6] = [
    InfoSection { name: c"gears", fields: counts },
    InfoSection { name: c"regisrations", fields: all_registrations },
    InfoSection {
        name: c"plugins",
        fields: |_| vec![(PLUGIN.0.to_owned(), Reply::map([("version", Reply::Int(PLUGIN.1))]))],
    },
    InfoSection {
        name: c"python_stats",
        fields: |_| memory().map(|(name, bytes)| (name.to_owned(), Reply::count(bytes))).to_vec(),
    },
    InfoSection { name: c"python_requirements", fields: all_requirements },
    InfoSection { name: c"python_sessions", fields: all_sessions },
];

fn counts(_held: &Held<'_>) -> Fields {
    let counts = [("nexecutions", executions().count()), ("nregistrations", registrations().all().len())];
    counts.map(|(name, count)| (name.to_owned(), Reply::count(count as u64))).to_vec()
}

fn all_registrations(held: &Held<'_>) -> Fields {
    let field = |one: &Arc<Registration>| {
        let mut parts =
            vec![("desc", one.description().map_or(Reply::Null, Reply::bulk)), ("reader", Reply::bulk(one.reader()))];
        parts.extend(statistics(one));
        parts.extend(arguments(one));
        parts.extend(status(one));
        parts.push(("PD", Reply::bulk(as_text(held, &one.session, Arc::strong_count(&one.session), false))));
        (one.id.clone(), Reply::map(parts))
    };
    registrations().all().iter().map(field).collect()
}

fn all_requirements(held: &Held<'_>) -> Fields {
    let field = |one: &Arc<requirements::Requirement>| (one.name.clone(), Reply::map(described(held, one)));
    requirements::all(held).iter().map(field).collect()
}

/// Those that were replaced come last.
fn all_sessions(held: &Held<'_>) -> Fields {
    let of = |dead: bool| {
        let text = |one: &Arc<Session>| (one.id.clone(), Reply::bulk(as_text(held, one, owners(one), dead)));
        sessions().all(dead).iter().map(text).collect::<Fields>()
    };
    [of(false), of(true)].concat()
}
