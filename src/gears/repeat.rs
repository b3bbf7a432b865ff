//! How do scripts and libraries get into an AOF that is rewritten as commands?
//!
//! With the preamble (the default) they are in its RDB part. Without it they are told of once more after the rewriting
//! has begun: that comes into the file that is written from then on, and hearing it twice does no harm.

use std::time::Instant;

use super::{cache, durable, functions, requirements};
use crate::redis::{is_rewritten_as_commands, Alarm, Held, ServerEvent};

static ALARM: Alarm = Alarm::new(repeat);

/// Follows the server's children. The commands themselves wait until the server is between commands.
pub(super) fn on_server_event(held: &Held<'_>, event: ServerEvent) {
    if event == ServerEvent::Forked && !held.is_replica() {
        ALARM.set(held, Instant::now());
    }
}

fn repeat(held: &Held<'_>) {
    if is_rewritten_as_commands(held) {
        requirements::repeat(held);
        cache::repeat(held);
        functions::repeat(held);
        durable::repeat(held);
    }
}
