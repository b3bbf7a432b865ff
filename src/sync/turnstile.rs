//! Which worker is next? A first-come-first-served gate.
//!
//! The server's global lock is unfair and knows no order. Workers pass this gate before they compete
//! for it, so that the main thread competes with one worker, however many there are, and no worker starves.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

/// The gate.
#[derive(Debug, Default)]
pub struct Turnstile {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    waiting: VecDeque<Arc<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    thread: Thread,
    called: AtomicBool,
}

/// The right to compete for the lock; the next in line gets it when this is dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    turnstile: &'a Turnstile,
}

impl Turnstile {
    /// An open gate.
    pub const fn new() -> Self {
        Self { state: Mutex::new(State { taken: false, waiting: VecDeque::new() }) }
    }

    /// Waits for this thread's turn, unless `done` comes first; whoever makes that true unparks this thread.
    pub fn enter_unless(&self, done: impl Fn() -> bool) -> Option<Turn<'_>> {
        let waiter = {
            let mut state = self.state();
            if !state.taken {
                state.taken = true;
                return Some(Turn { turnstile: self });
            }
            let waiter = Arc::new(Waiter { thread: thread::current(), called: AtomicBool::new(false) });
            state.waiting.push_back(Arc::clone(&waiter));
            waiter
        };
        while !waiter.called.load(Ordering::Acquire) {
            if done() {
                let mut state = self.state();
                let place = state.waiting.iter().position(|other| Arc::ptr_eq(other, &waiter));
                if place.and_then(|place| state.waiting.remove(place)).is_some() {
                    return None;
                }
                // It is called just now, and has the turn.
                break;
            }
            thread::park();
        }
        Some(Turn { turnstile: self })
    }

    /// How many threads wait for their turn.
    pub fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let next = {
            let mut state = self.turnstile.state();
            let next = state.waiting.pop_front();
            state.taken = next.is_some();
            next
        };
        if let Some(next) = next {
            next.called.store(true, Ordering::Release);
            next.thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_and_in_order_of_arrival() {
        static GATE: Turnstile = Turnstile::new();
        let order = Arc::new(Mutex::new(Vec::new()));
        let first = GATE.enter_unless(|| false);
        let threads: Vec<_> = (0..5)
            .map(|number| {
                let order = Arc::clone(&order);
                let thread = thread::spawn(move || {
                    let _turn = GATE.enter_unless(|| false);
                    order.lock().expect("no panic").push(number);
                });
                while GATE.waiting() <= number {
                    thread::yield_now();
                }
                thread
            })
            .collect();
        assert!(order.lock().expect("no panic").is_empty());
        drop(first);
        for thread in threads {
            thread.join().expect("no panic");
        }
        assert_eq!(*order.lock().expect("no panic"), [0, 1, 2, 3, 4]);
        drop(GATE.enter_unless(|| false));
    }

    #[test]
    fn who_is_done_leaves_the_line() {
        static GATE: Turnstile = Turnstile::new();
        static DONE: AtomicBool = AtomicBool::new(false);
        let first = GATE.enter_unless(|| false);
        let wait = || GATE.enter_unless(|| DONE.load(Ordering::Acquire)).is_some();
        let thread = thread::spawn(wait);
        while GATE.waiting() == 0 {
            thread::yield_now();
        }
        DONE.store(true, Ordering::Release);
        thread.thread().unpark();
        assert!(!thread.join().expect("no panic"));
        assert_eq!(GATE.waiting(), 0);
        drop(first);
        assert!(GATE.enter_unless(|| false).is_some());
    }
}
