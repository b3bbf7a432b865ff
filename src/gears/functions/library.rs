//! What is a library, and who loads it?

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::header::Header;
use super::load::{self, Loaded};
use crate::persistence::bytes::{Reader, Writer};
use crate::python::host::Options;
use crate::redis::Lane;

/// How often a call looks whether its library has been loaded.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A function that a library declares.
#[derive(Debug, Clone, PartialEq)]
pub struct Declared {
    /// Its name, which no other library's function has.
    pub name: String,
    /// The first line of its documentation, or what it was given.
    pub description: String,
    /// Whether it never writes.
    pub readonly: bool,
    /// Whether it runs at once and atomically, on the server's thread.
    pub sync: bool,
}

/// What a library is: all that is saved of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// What its first line says.
    pub header: Header,
    /// Its source, the first line included.
    pub source: Vec<u8>,
    /// What it declares, by name.
    pub functions: Vec<Declared>,
}

/// What came of a function's calls so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls that have begun.
    pub calls: AtomicU64,
    /// Those that ended with an error.
    pub failures: AtomicU64,
    /// Those that go on.
    pub running: AtomicU64,
}

/// A library that is in force, or about to be.
pub struct Library {
    /// What it is.
    pub definition: Definition,
    /// One for each function.
    pub tallies: Vec<Tally>,
    loaded: Mutex<Option<Arc<Loaded>>>,
    /// Held by the worker that loads it.
    loading: Mutex<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Declared {
    /// What a declaration of this name and with these options says.
    pub(super) fn new(name: &str, options: &Options) -> Self {
        Self {
            name: name.to_owned(),
            description: String::from_utf8_lossy(&options.text("description")).into_owned(),
            readonly: options.flag("readonly"),
            sync: options.text("mode") == b"sync",
        }
    }

    /// The name of where it runs.
    pub fn mode(&self) -> &'static str {
        if self.sync {
            "sync"
        } else {
            "async_local"
        }
    }

    fn write(&self, writer: Writer) -> Writer {
        let writer = writer.string(self.name.as_bytes()).string(self.description.as_bytes());
        writer.number(u64::from(self.readonly)).number(u64::from(self.sync))
    }

    fn restore(reader: &mut Reader<'_>) -> Option<Self> {
        let name = String::from_utf8(reader.string()?).ok()?;
        let description = String::from_utf8(reader.string()?).ok()?;
        Some(Self { name, description, readonly: reader.number()? != 0, sync: reader.number()? != 0 })
    }
}

impl Definition {
    pub(super) fn write(&self, writer: Writer) -> Writer {
        let writer = self.header.write(writer).string(&self.source).number(self.functions.len() as u64);
        self.functions.iter().fold(writer, |writer, function| function.write(writer))
    }

    pub(super) fn restore(reader: &mut Reader<'_>) -> Option<Self> {
        let header = Header::restore(reader)?;
        let source = reader.string()?;
        let count = reader.number()?;
        let functions = (0..count).map(|_| Declared::restore(reader)).collect::<Option<_>>()?;
        Some(Self { header, source, functions })
    }
}

impl Library {
    /// A library; it is loaded by whoever needs it first, unless it is already.
    pub(super) fn new(definition: Definition, loaded: Option<Loaded>) -> Self {
        let tallies = definition.functions.iter().map(|_| Tally::default()).collect();
        Self { definition, tallies, loaded: Mutex::new(loaded.map(Arc::new)), loading: Mutex::new(()) }
    }

    /// Whether a call need not wait for it.
    pub fn is_loaded(&self) -> bool {
        lock(&self.loaded).is_some()
    }

    /// The library with its interpreter, loaded if it is not. In the inline lane nobody waits for a worker that loads it:
    /// it is loaded once more, and the first one stays.
    ///
    /// # Errors
    /// Why it can't be loaded, as the client sees it. The next call tries again.
    pub(super) fn ready(&self, lane: &mut Lane) -> Result<Arc<Loaded>, Vec<u8>> {
        let _turn = loop {
            if let Some(loaded) = &*lock(&self.loaded) {
                return Ok(Arc::clone(loaded));
            }
            if lane.is_inline() {
                break None;
            }
            match self.loading.try_lock() {
                Ok(turn) => break Some(turn),
                Err(TryLockError::Poisoned(turn)) => break Some(turn.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
            if let Some(stop) = lane.cancel().stopped() {
                return Err(format!("the call was stopped before it began: {stop}").into_bytes());
            }
            std::thread::sleep(LOOK_AGAIN);
        };
        // Somebody may have had the turn since.
        if let Some(loaded) = &*lock(&self.loaded) {
            return Ok(Arc::clone(loaded));
        }
        let new = Arc::new(load::body(&self.definition.header, &self.definition.source, lane)?);
        let mut slot = lock(&self.loaded);
        let first = Arc::clone(slot.get_or_insert_with(|| Arc::clone(&new)));
        drop(slot);
        Ok(first)
    }
}

/// Counts a call from its beginning to its end.
pub(super) struct Counted {
    library: Arc<Library>,
    at: usize,
}

impl Counted {
    pub(super) fn begin(library: &Arc<Library>, at: usize) -> Self {
        let counted = Self { library: Arc::clone(library), at };
        counted.count(|tally| {
            tally.calls.fetch_add(1, Ordering::Relaxed);
            tally.running.fetch_add(1, Ordering::Relaxed);
        });
        counted
    }

    pub(super) fn failed(&self) {
        self.count(|tally| {
            tally.failures.fetch_add(1, Ordering::Relaxed);
        });
    }

    fn count(&self, change: impl FnOnce(&Tally)) {
        if let Some(tally) = self.library.tallies.get(self.at) {
            change(tally);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count(|tally| {
            tally.running.fetch_sub(1, Ordering::Relaxed);
        });
    }
}
