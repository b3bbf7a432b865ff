//! Where does the time of a session's executions go?

use std::sync::Arc;

use super::host::RunHost;
use super::run::{new_run, text_of};
use super::{registrations, sessions};
use crate::redis::Lane;
use crate::reply::Reply;

/// The profile of a session, ordered by `order`; an empty order forgets it.
pub fn profile(session: &str, order: &str, lane: &mut Lane) -> Reply {
    let Some(session) = sessions().get(session) else {
        return Reply::error("session does not exists");
    };
    // Without registrations there is nothing to call a second time.
    let of_session = registrations().of_session(&session);
    let Some(registration) = of_session.first() else { return none(order) };
    let host = Arc::new(RunHost::new(Arc::clone(lane.door()), lane.cancel().clone()));
    let run = new_run(&host, lane.cancel().clone(), lane, None);
    match registration.plan.script().profile(run, order) {
        Ok(Some(text)) => Reply::Bulk(text),
        Ok(None) => none(order),
        Err(error) => Reply::Error(text_of(error)),
    }
}

fn none(order: &str) -> Reply {
    if order.is_empty() {
        Reply::ok()
    } else {
        Reply::error("ERR no profile was collected for this session (see RG.CONFIGSET ProfileExecutions)")
    }
}
