//! Is the same being asked at this moment? Identical searches over one snapshot are computed once.
//!
//! A flight is one computation with those who wait for it. Whoever asks the same of the same moment of the index joins
//! it; it ends when its reply is there, or when the last of them has gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::segment::Seq;
use once_cell::sync::Lazy;

use super::COUNTERS;
use crate::redis::{background, briefly, BlockedReply, Lane, Pools, Wait};
use crate::reply::Reply;
use crate::sync::{CancelToken, Stop};

/// What makes two searches the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The index and the view of it, by their places in memory: whoever is in flight keeps them alive.
    pub places: (usize, usize),
    /// The last change that it sees.
    pub seq: Seq,
    /// The arguments as they came.
    pub words: Vec<Vec<u8>>,
    /// Who asks.
    pub user: Option<String>,
    /// How the reply is shaped.
    pub is_resp3: bool,
}

static FLIGHTS: Lazy<Mutex<HashMap<Key, Arc<Flight>>>> = Lazy::new(Mutex::default);

struct Flight {
    key: Key,
    cancel: CancelToken,
    state: Mutex<State>,
}

enum State {
    /// Those who wait, by ticket.
    Under {
        waiting: HashMap<u64, BlockedReply>,
        next: u64,
    },
    Landed(Arc<Reply>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Run = Box<dyn FnOnce(&mut Lane) -> Leg + Send>;

/// What one thread makes of a flight.
pub enum Leg {
    /// The reply.
    Landed(Reply),
    /// Something that a thread of another pool goes on with.
    Next(Pools, Run),
    /// Something short that needs the server's lock: the main thread goes on with it.
    Brief(Run),
}

/// What a client that may be blocked is to wait for: a flight for `key`, which is begun with `run` in `pool` if there
/// is none.
pub fn board(key: Key, pool: Pools, run: impl FnOnce(&mut Lane) -> Leg + Send + 'static) -> Wait {
    let mut flights = lock(&FLIGHTS);
    let known = flights.get(&key).cloned();
    let flight = known.clone().unwrap_or_else(|| {
        let state = State::Under { waiting: HashMap::new(), next: 0 };
        let flight = Arc::new(Flight { key: key.clone(), cancel: CancelToken::new(), state: Mutex::new(state) });
        flights.insert(key, Arc::clone(&flight));
        flight
    });
    drop(flights);
    if known.is_some() {
        COUNTERS.shared.add();
    }
    Wait {
        limit: None,
        // That one of those who wait has gone must not stop the others' work.
        cancel: CancelToken::new(),
        otherwise: Reply::error("ERR the client can't be blocked here"),
        register: Box::new(move |_, client| {
            flight.join(client);
            if known.is_none() {
                flight.go_on(Leg::Next(pool, Box::new(run)));
            }
        }),
    }
}

/// Lands a flight also where its work panics.
struct Landing(Option<Arc<Flight>>);

impl Drop for Landing {
    fn drop(&mut self) {
        if let Some(flight) = self.0.take() {
            flight.land(Reply::internal_error());
        }
    }
}

impl Flight {
    fn go_on(self: &Arc<Self>, leg: Leg) {
        match leg {
            Leg::Landed(reply) => self.land(reply),
            Leg::Brief(run) => briefly(0, self.cancel.clone(), self.work(run)),
            Leg::Next(pool, run) => {
                if let Err(refused) = background(pool, 0, self.cancel.clone(), self.work(run)) {
                    self.land(Reply::error(format!("ERR {refused}")));
                }
            }
        }
    }

    fn work(self: &Arc<Self>, run: Run) -> impl FnOnce(&mut Lane) + Send + 'static {
        let flight = Arc::clone(self);
        move |lane| {
            let mut landing = Landing(Some(flight));
            let leg = run(lane);
            if let Some(flight) = landing.0.take() {
                flight.go_on(leg);
            }
        }
    }

    fn join(self: &Arc<Self>, client: BlockedReply) {
        let mut state = lock(&self.state);
        let reply = match &mut *state {
            State::Under { waiting, next } => {
                let ticket = *next;
                *next += 1;
                let flight = Arc::clone(self);
                client.when_gone(move |_| flight.leave(ticket));
                waiting.insert(ticket, client);
                return;
            }
            State::Landed(reply) => Arc::clone(reply),
        };
        drop(state);
        client.finish(&reply);
    }

    /// One of those who wait has gone. The last one ends the flight.
    fn leave(&self, ticket: u64) -> Reply {
        let (gone, empty) = match &mut *lock(&self.state) {
            State::Under { waiting, .. } => (waiting.remove(&ticket), waiting.is_empty()),
            State::Landed(_) => (None, false),
        };
        if let Some(client) = gone {
            client.release();
        }
        if empty {
            self.cancel.cancel(Stop::Disconnected);
            self.forget();
        }
        Reply::error("ERR unblocked by CLIENT UNBLOCK, the work was told to stop")
    }

    /// Answers all who wait, the first time that it is called.
    fn land(&self, reply: Reply) {
        self.forget();
        let reply = Arc::new(reply);
        let mut state = lock(&self.state);
        let State::Under { waiting, .. } = &mut *state else { return };
        let waiting = std::mem::take(waiting);
        *state = State::Landed(Arc::clone(&reply));
        drop(state);
        for client in waiting.into_values() {
            client.finish(&reply);
        }
    }

    fn forget(&self) {
        let mut flights = lock(&FLIGHTS);
        // A new flight may have its key already.
        if flights.get(&self.key).is_some_and(|known| std::ptr::eq(&**known, self)) {
            flights.remove(&self.key);
        }
    }
}
