//! What do the threads of an index agree by? The standard library's locks and atomics, or, with the feature `loom`, those of
//! a scheduler that tries one interleaving after the other (`tests/interleavings.rs`).

#[cfg(not(feature = "loom"))]
pub(crate) use std::sync::{atomic, Condvar, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[cfg(feature = "loom")]
pub(crate) use loom::sync::{atomic, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[cfg(feature = "loom")]
pub(crate) use once::OnceLock;

/// The scheduler has no cell that is written once: the standard library's, seen when a flag is.
#[cfg(feature = "loom")]
mod once {
    use loom::sync::atomic::{AtomicBool, Ordering};

    #[derive(Debug, Default)]
    pub(crate) struct OnceLock<T> {
        value: std::sync::OnceLock<T>,
        is_set: AtomicBool,
    }

    impl<T> OnceLock<T> {
        pub(crate) fn new() -> Self {
            Self { value: std::sync::OnceLock::new(), is_set: AtomicBool::new(false) }
        }

        pub(crate) fn set(&self, value: T) -> Result<(), T> {
            let set = self.value.set(value);
            self.is_set.store(true, Ordering::Release);
            set
        }

        pub(crate) fn get(&self) -> Option<&T> {
            self.value.get().filter(|_| self.is_set.load(Ordering::Acquire))
        }

        pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            let value = self.value.get_or_init(make);
            self.is_set.store(true, Ordering::Release);
            value
        }
    }
}
