//! Do the rules keep their promises, whatever comes in whatever order? Random histories against a model.
//!
//! The keyspace is a map here, and waiting is a line without clients: what is tested is exactly what the
//! server runs, without a server.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::line::{Line, Lines, Ticket};
use super::lock::{Lock, LockRequest, Session};
use super::once::{Ended, Once, OnceRequest, Phase};
use super::rule::{Met, Moment, Request};
use super::tokens::Tokens;
use crate::redis::{Expiry, KeyType, Name};

/// One key, with its line, clock and sessions.
struct World<R: Request> {
    value: Option<R::Value>,
    expiry: Option<i64>,
    lines: Lines<R>,
    tokens: Tokens,
    now: i64,
    sessions: HashSet<u64>,
}

impl<R: Request> World<R> {
    fn new() -> Self {
        Self {
            value: None,
            expiry: None,
            lines: Lines::new(),
            tokens: Tokens::new(),
            now: 1000,
            sessions: (0..8).collect(),
        }
    }

    fn name() -> Name {
        Name { db: 0, key: b"key".to_vec() }
    }

    fn at_moment<T>(&self, work: impl FnOnce(&Moment<'_>) -> T) -> T {
        let alive = |session: &Session| session.process == 1 && self.sessions.contains(&session.client);
        work(&Moment { now_micros: (self.now * 1000) as u64, tokens: &self.tokens, alive: &alive })
    }

    /// As the server reads it: keys whose time is over are gone.
    fn read(&mut self) -> Option<R::Value> {
        if self.expiry.is_some_and(|at| at < self.now) {
            self.remove();
        }
        let value = self.value.clone()?;
        self.at_moment(|moment| R::standing(value, moment))
    }

    fn remove(&mut self) {
        self.value = None;
        self.expiry = None;
    }

    fn write(&mut self, value: R::Value, expiry: Expiry) {
        self.value = Some(value);
        match expiry {
            Expiry::Keep => {}
            Expiry::Never => self.expiry = None,
            Expiry::At(at) => self.expiry = Some(at),
        }
    }

    /// Serves the line; everybody who is served, with the answer.
    fn serve(&mut self) -> Vec<(R, R::Answer)> {
        let mut served = Vec::new();
        loop {
            let value = self.read();
            let line = self.lines.line(&Self::name());
            let Some(ticket) = line.and_then(|line: &Line<R>| R::next(value.as_ref(), line)) else { break };
            let request = self.lines.leave(ticket).expect("it is in the line");
            match self.at_moment(|moment| request.meet(value.as_ref(), moment)) {
                Met::Waits => panic!("one who can be served has to wait"),
                Met::Answered(answer) => served.push((request, answer)),
                Met::Changed(answer, value, expiry) => {
                    self.write(value, expiry);
                    served.push((request, answer));
                }
            }
        }
        served
    }

    /// Somebody asks; an answer, or a place in the line.
    fn ask(&mut self, request: R) -> Result<R::Answer, Ticket> {
        let value = self.read();
        match self.at_moment(|moment| request.meet(value.as_ref(), moment)) {
            Met::Answered(answer) => Ok(answer),
            Met::Changed(answer, value, expiry) => {
                self.write(value, expiry);
                Ok(answer)
            }
            Met::Waits => {
                let kin = request.kin().to_vec();
                Err(self.lines.join(Self::name(), &kin, None, request))
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Ask { owner: u8, lease: Option<i64>, session: bool },
    Leave { owner: u8 },
    GiveUp { place: usize },
    SessionEnds { client: u64 },
    Delete,
    Pass { millis: i64 },
    ClockBack { millis: i64 },
}

fn lock_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5_u8, proptest::option::of(1..50_i64), any::<bool>())
            .prop_map(|(owner, lease, session)| Step::Ask { owner, lease, session }),
        6 => (0..5_u8).prop_map(|owner| Step::Leave { owner }),
        1 => (0..4_usize).prop_map(|place| Step::GiveUp { place }),
        1 => (0..5_u64).prop_map(|client| Step::SessionEnds { client }),
        1 => Just(Step::Delete),
        2 => (1..60_i64).prop_map(|millis| Step::Pass { millis }),
        1 => (1..500_i64).prop_map(|millis| Step::ClockBack { millis }),
    ]
}

/// Who holds the lock by the plain reading of the documentation.
#[derive(Debug, Default)]
struct Plain {
    holder: Option<(u8, u64)>,
    line: Vec<(Ticket, u8)>,
    last_token: u64,
}

impl Plain {
    fn entered(&mut self, owner: u8, token: u64, depth: u64) {
        match self.holder {
            Some((holder, _)) if holder == owner => assert_eq!(token, self.last_token, "one ownership, one token"),
            Some(other) => panic!("{owner} entered while {other:?} holds it"),
            None => {
                assert!(token > self.last_token, "token {token} after {}", self.last_token);
                assert_eq!(depth, 1);
                self.last_token = token;
            }
        }
        self.holder = Some((owner, depth));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_lock_has_one_owner_and_a_fair_line(steps in proptest::collection::vec(lock_step(), 1..80)) {
        let mut world = World::<LockRequest>::new();
        let mut plain = Plain::default();
        for step in steps {
            match step {
                Step::Ask { owner, lease, session } => {
                    let session = session.then_some(Session { process: 1, client: u64::from(owner) });
                    let session = session.filter(|session| world.sessions.contains(&session.client));
                    let before = plain.holder;
                    match world.ask(LockRequest { owner: vec![owner], lease, session }) {
                        Ok(entered) => {
                            prop_assert!(plain.line.is_empty() || before.is_some_and(|(holder, _)| holder == owner),
                                "{owner} overtook {:?}", plain.line);
                            plain.entered(owner, entered.token, entered.depth);
                        }
                        Err(ticket) => {
                            prop_assert!(before.is_some_and(|(holder, _)| holder != owner), "{owner} waits for nothing");
                            plain.line.push((ticket, owner));
                        }
                    }
                }
                Step::Leave { owner } => match (world.read(), plain.holder) {
                    (Some(lock), Some((holder, depth))) => {
                        prop_assert_eq!(&lock.owner, &vec![holder]);
                        prop_assert_eq!(lock.depth, depth);
                        if holder == owner {
                            match lock.left() {
                                Some(lock) => {
                                    world.write(lock, Expiry::Keep);
                                    plain.holder = Some((holder, depth - 1));
                                }
                                None => world.remove(),
                            }
                        }
                    }
                    (None, None) => {}
                    (lock, holder) => prop_assert!(false, "{lock:?} is held by {holder:?}"),
                },
                Step::GiveUp { place } => {
                    if let Some((ticket, _)) = plain.line.get(place).copied() {
                        prop_assert!(world.lines.leave(ticket).is_some());
                        plain.line.remove(place);
                    }
                }
                Step::SessionEnds { client } => {
                    world.sessions.remove(&client);
                    // Whoever waited for a session that ends leaves the line with it.
                    let gone: Vec<Ticket> = plain.line.iter().filter(|(_, owner)| u64::from(*owner) == client)
                        .map(|(ticket, _)| *ticket).collect();
                    for ticket in gone {
                        world.lines.leave(ticket);
                        plain.line.retain(|(other, _)| *other != ticket);
                    }
                }
                Step::Delete => world.remove(),
                Step::Pass { millis } => world.now += millis,
                Step::ClockBack { millis } => world.now -= millis,
            }
            if world.read().is_none() {
                plain.holder = None;
            }
            for (request, entered) in world.serve() {
                let owner = request.owner[0];
                let place = plain.line.iter().position(|(_, waiting)| *waiting == owner);
                let fair = plain.holder.is_some_and(|(holder, _)| holder == owner) || place == Some(0);
                prop_assert!(fair, "{owner} was served before {:?}", plain.line);
                plain.line.remove(place.expect("it waited"));
                plain.entered(owner, entered.token, entered.depth);
            }
            // Nobody waits for a lock that is free.
            prop_assert!(world.read().is_some() || plain.line.is_empty());
            let waiting = world.lines.line(&World::<LockRequest>::name()).map_or(0, Line::len);
            prop_assert_eq!(waiting, plain.line.len());
        }
    }

    #[test]
    fn a_value_has_one_who_computes_it(steps in proptest::collection::vec((0..10_u8, 0..60_i64, any::<bool>()), 1..80)) {
        let mut world = World::<OnceRequest>::new();
        // By token: whether it may still bring its result.
        let mut given: BTreeMap<u64, bool> = BTreeMap::new();
        for (step, number, flag) in steps {
            let token = given.keys().nth_back((number % 3) as usize).copied().unwrap_or(0);
            let before = world.read();
            let running = before.as_ref().and_then(Once::run).map(|run| run.token);
            let mut told = Vec::new();
            match step {
                0..=3 => {
                    let lease = (number > 0).then_some(number);
                    let request = OnceRequest { by: b"me".to_vec(), lease, computes: step < 3 };
                    if let Ok(outcome) = world.ask(request) {
                        told.push(outcome);
                    } else {
                        prop_assert!(running.is_some() || step == 3, "one who can compute waits for nobody");
                    }
                }
                4 | 5 => {
                    let how = match (step, flag) {
                        (4, _) => Ended::Value(token.to_le_bytes().to_vec()),
                        (_, true) => Ended::Retry,
                        (_, false) => Ended::Error(b"no".to_vec()),
                    };
                    let ended = before.clone().and_then(|once| once.ended(token, how, world.now));
                    prop_assert_eq!(ended.is_some(), running == Some(token) && token != 0);
                    if let Some((once, taken)) = ended {
                        prop_assert_eq!(taken, matches!(before.unwrap().phase, Phase::Executing(_)));
                        world.write(once, Expiry::Never);
                    }
                }
                6 => {
                    if let Some(once) = before.and_then(|once| once.cancelled(world.now)) {
                        world.write(once, Expiry::Never);
                    }
                }
                7 => {
                    if let Some(once) = before {
                        world.write(once.reset(world.now), Expiry::Never);
                    }
                }
                8 => world.now += number,
                _ => world.remove(),
            }
            told.extend(world.serve().into_iter().map(|(_, outcome)| outcome));
            for outcome in told {
                match outcome {
                    super::once::Outcome::Compute(token) => {
                        prop_assert!(given.keys().all(|before| *before < token), "token {token} of {given:?}");
                        given.insert(token, true);
                    }
                    super::once::Outcome::Ready(value) => {
                        let token = u64::from_le_bytes(value.try_into().unwrap());
                        prop_assert!(given.contains_key(&token), "a value that nobody brought");
                    }
                    super::once::Outcome::Failed(_) => {}
                }
            }
            // Nobody waits who could compute, or who could be told.
            let value = world.read();
            let line = world.lines.line(&World::<OnceRequest>::name());
            prop_assert!(line.and_then(|line| OnceRequest::next(value.as_ref(), line)).is_none());
        }
    }

    #[test]
    fn a_lock_is_read_as_it_was_written(
        owner in any::<Vec<u8>>(), depth in 1..u64::MAX, token: u64, since: i64, session in proptest::option::of((1..u64::MAX, any::<u64>())),
        cut in any::<prop::sample::Index>(),
    ) {
        let session = session.map(|(process, client)| Session { process, client });
        let lock = Lock { owner, depth, token, since, session };
        let bytes = lock.encode();
        prop_assert_eq!(Lock::decode(&bytes, Lock::VERSION), Some(lock));
        prop_assert_eq!(Lock::decode(&bytes[..cut.index(bytes.len())], Lock::VERSION), None);
    }

    #[test]
    fn a_value_is_read_as_it_was_written(
        by in any::<Vec<u8>>(), content in any::<Vec<u8>>(), which in 0..6, token: u64, lease in proptest::option::of(0..i64::MAX),
        cut in any::<prop::sample::Index>(),
    ) {
        let run = super::once::Run { token, lease_until: lease };
        let phase = match which {
            0 => Phase::Known,
            1 => Phase::Executing(run),
            2 => Phase::Resetting(run),
            3 => Phase::Completed(content),
            4 => Phase::Errored(content),
            _ => Phase::Cancelled,
        };
        let once = Once { phase, since: 5, by, token, runs: 3 };
        let bytes = once.encode();
        prop_assert_eq!(Once::decode(&bytes, Once::VERSION), Some(once));
        prop_assert_eq!(Once::decode(&bytes[..cut.index(bytes.len())], Once::VERSION), None);
    }

    #[test]
    fn no_bytes_are_too_strange_to_be_refused(bytes in any::<Vec<u8>>()) {
        let _ = (Lock::decode(&bytes, 1), Once::decode(&bytes, 1));
    }
}
