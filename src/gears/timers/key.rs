//! What is in a timer's key? All that it takes to make the timer again: the script, and which of its timers it is.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use crate::gears::durable::{self, Page};
use crate::persistence::bytes::{Reader, Writer};
use crate::redis::{Held, KeyType, KeyTypeHandle, Name};

/// The value of a timer's key.
#[derive(Debug, Clone)]
pub(super) struct TimerKey {
    /// The script.
    pub(super) page: Arc<Page>,
    /// Which `registerTE()` of the script it is, counted from 0.
    pub(super) ordinal: u64,
    pub(super) period: Duration,
    /// Which timer of this process it is, when it has come into the data set.
    pub(super) serial: Cell<u64>,
}

static HANDLE: KeyTypeHandle = KeyTypeHandle::new();

impl KeyType for TimerKey {
    const NAME: &'static std::ffi::CStr = c"rg_timeev";
    const VERSION: i32 = durable::PAGE_VERSION;
    const RESTORE: &'static std::ffi::CStr = c"RG._TIMER";
    // It holds a script: whoever may send RESTORE may not therefore run code.
    const BY_CLIENTS: bool = false;

    fn handle() -> &'static KeyTypeHandle {
        &HANDLE
    }

    fn encode(&self) -> Vec<u8> {
        let millis = u64::try_from(self.period.as_millis()).unwrap_or(u64::MAX);
        self.page.write(Writer::default().number(self.ordinal).number(millis)).finish()
    }

    fn decode(bytes: &[u8], version: i32) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (ordinal, millis) = (reader.number()?, reader.number()?);
        let page = Page::read(&mut reader, version).filter(|_| reader.at_end())?;
        // Never: it would be due again at once, for ever.
        let period = Some(Duration::from_millis(millis)).filter(|period| !period.is_zero())?;
        Some(Self { page: Arc::new(page), ordinal, period, serial: Cell::new(0) })
    }

    fn size(&self) -> usize {
        let origin = &self.page.origin;
        let requirements: usize = origin.requirements.iter().map(|name| size_of::<String>() + name.capacity()).sum();
        let texts = self.page.session.capacity() + self.page.description.as_ref().map_or(0, String::capacity);
        size_of::<Self>() + size_of::<Page>() + origin.source.capacity() + requirements + texts
    }

    fn arrived(&self, held: &Held<'_>, db: i32, key: &[u8]) {
        super::arrived(held, Name { db, key: key.to_vec() }, self);
    }

    fn leaving(&self, held: &Held<'_>, db: i32, key: &[u8]) {
        super::leaves(held, &Name { db, key: key.to_vec() }, self.serial.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gears::Origin;
    use crate::python::Isolation;

    #[test]
    fn a_timer_is_read_as_it_was_written_and_never_from_half_of_it() {
        let origin = Origin {
            source: b"registerTE(1, f, 'k')".to_vec(),
            requirements: Vec::new(),
            isolation: Isolation::Subinterpreter,
            by_script: false,
            max_memory: Some(1),
            limit: None,
        };
        let page = Arc::new(Page::bare("s", None, &origin));
        let timer = TimerKey { page, ordinal: 3, period: Duration::from_millis(1500), serial: Cell::new(9) };
        let bytes = timer.encode();
        let read = TimerKey::decode(&bytes, TimerKey::VERSION).expect("what was written");
        assert_eq!((&*read.page, read.ordinal, read.period), (&*timer.page, 3, timer.period));
        assert_eq!(read.serial.get(), 0, "it is another timer");
        for length in 0..bytes.len() {
            assert!(TimerKey::decode(&bytes[..length], TimerKey::VERSION).is_none(), "{length}");
        }
        let never = TimerKey { period: Duration::ZERO, ..timer };
        assert!(TimerKey::decode(&never.encode(), TimerKey::VERSION).is_none());
    }
}
