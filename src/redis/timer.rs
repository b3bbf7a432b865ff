//! How does the module come back to something at a given time? Alarms that ring on the main thread.
//!
//! The server's timers may be made only on the main thread (its list of them has no lock), so a
//! worker's request hops there first.

use std::os::raw::c_void;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis_module::raw;

use super::entry::guarded;
use super::{api, events, lock, Held};

/// Calls a function on the main thread at the earliest of the times it was set to, once.
///
/// The function runs in a context of its own, between commands: it may write and replicate.
pub struct Alarm {
    ring: fn(&Held<'_>),
    armed: Mutex<Option<Armed>>,
}

#[derive(Clone, Copy)]
struct Armed {
    at: Instant,
    timer: raw::RedisModuleTimerID,
}

impl Alarm {
    /// An alarm that is not set.
    pub const fn new(ring: fn(&Held<'_>)) -> Self {
        Self { ring, armed: Mutex::new(None) }
    }

    /// Makes it ring at `at`, unless it rings sooner anyway. Rings at once for a time that has passed.
    pub fn set(&'static self, _held: &Held<'_>, at: Instant) {
        if lock::on_main_thread() {
            self.arm(at);
        } else {
            events::on_main_thread(move || self.arm(at));
        }
    }

    /// On the main thread, under the lock.
    fn arm(&'static self, at: Instant) {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        if armed.is_some_and(|armed| armed.at <= at) {
            return;
        }
        // Rounded up: ringing a moment early would only mean ringing again.
        let wait = at.saturating_duration_since(Instant::now()) + Duration::from_micros(999);
        let millis = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        let data = std::ptr::from_ref(self).cast_mut().cast::<c_void>();
        // SAFETY: the main thread, under the lock; `self` is static, and the context lives for ever.
        unsafe {
            if let Some(Armed { timer, .. }) = *armed {
                api!(RedisModule_StopTimer(lock::module_ctx(), timer, std::ptr::null_mut()));
            }
            let timer = api!(RedisModule_CreateTimer(lock::module_ctx(), millis, Some(on_timer), data));
            *armed = Some(Armed { at, timer });
        }
    }
}

unsafe extern "C" fn on_timer(ctx: *mut raw::RedisModuleCtx, data: *mut c_void) {
    guarded(|| {
        // SAFETY: the static alarm that `arm` gave the server; the main thread holds the lock in this
        // callback, whose context is valid as long.
        let (alarm, held) = unsafe { (&*data.cast_const().cast::<Alarm>(), Held::new(ctx)) };
        *alarm.armed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        (alarm.ring)(&held);
    });
}
