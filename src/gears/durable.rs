//! How do registrations survive a restart and a failover?
//!
//! As what they are made of: the source of the script, its session and options, and which of its registrations are in
//! force under which ids. That is the book; it is kept beside the keys of an RDB, and replicas and the AOF learn of
//! every change. What is in the book but not in force is restored by running the script again, without its effects: its
//! body reads the server but does not write, and its `run()` does nothing.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::registrations::registrations;
use super::{commit, run, streams, Origin, Registration, Session, StreamStatus};
use crate::persistence::bytes::{Reader, Writer};
use crate::python::Isolation;
use crate::redis::{self, replicate, Aside, Held, Lane, Level, Pools, ServerEvent};
use crate::sync::CancelToken;

/// A session with registrations, as it is saved.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Page {
    pub(super) session: String,
    pub(super) description: Option<String>,
    pub(super) origin: Origin,
    /// By the place of the `register()` in the script: the id.
    pub(super) ids: BTreeMap<u64, String>,
    /// The consumer groups of those that read streams.
    pub(super) groups: BTreeMap<u64, String>,
    /// Those that read nothing until somebody lets them go on.
    pub(super) halted: BTreeMap<u64, StreamStatus>,
}

/// By the session's id.
type Book = BTreeMap<String, Page>;

/// What is in force or to be restored. Changed and read under the server's lock only, so that a forked child finds the
/// mutex free.
static BOOK: Mutex<Book> = Mutex::new(Book::new());

/// What a file that is being loaded has brought so far.
static LOADING: Mutex<Book> = Mutex::new(Book::new());

/// Scripts that were to be restored so far, and those of them that are done.
static ASKED: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);

fn lock(book: &'static Mutex<Book>) -> MutexGuard<'static, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The book that the server's commands change now.
fn current(held: &Held<'_>) -> MutexGuard<'static, Book> {
    lock(if held.is_loading() { &LOADING } else { &BOOK })
}

/// The version of pages: 2 has `halted`.
pub(super) const PAGE_VERSION: i32 = 2;

/// The name of the command by which replicas and the AOF learn of a session. It has the version of the page, so that a module
/// that can't read it does not know the command: the server then refuses the file.
const SESSION: &CStr = c"RG._SESSION2";

/// Scripts that are being restored now, so that something may be missing that will be there soon.
pub(super) struct Underway(u64);

/// What is being restored, if anything is.
pub(super) fn underway() -> Option<Underway> {
    let asked = Underway(ASKED.load(Ordering::Acquire));
    asked.goes_on().then_some(asked)
}

impl Underway {
    /// Whether it still is. What came later does not count: its jobs are behind those that wait for this.
    pub(super) fn goes_on(&self) -> bool {
        DONE.load(Ordering::Acquire) < self.0
    }
}

/// A session has put its registrations in force, in the place of `old`.
pub(super) fn committed(held: &Held<'_>, session: &Session, new: &[Arc<Registration>], old: Option<&Session>) {
    let old = old.map(|old| old.id.as_str()).unwrap_or_default();
    let ids: BTreeMap<u64, String> = new.iter().map(|one| (one.ordinal as u64, one.id.clone())).collect();
    let grouped = new.iter().filter(|one| !one.group.is_empty());
    let page = Page {
        session: session.id.clone(),
        description: session.description.clone(),
        origin: session.origin.clone(),
        ids,
        groups: grouped.map(|one| (one.ordinal as u64, one.group.clone())).collect(),
        halted: BTreeMap::new(),
    };
    let bytes = page.write(Writer::default()).finish();
    turn(&mut current(held), old, page);
    replicate(held, SESSION, &[old.as_bytes(), &bytes]);
}

/// Puts a page into the place of another session's.
fn turn(book: &mut Book, old: &str, page: Page) {
    book.remove(old);
    if page.ids.is_empty() {
        book.remove(&page.session);
    } else {
        book.insert(page.session.clone(), page);
    }
}

/// A registration has gone; whether it was known.
pub(super) fn struck_out(held: &Held<'_>, id: &str) -> bool {
    let mut book = current(held);
    let page = book.values_mut().find(|page| page.ids.values().any(|known| known == id));
    let Some(page) = page else { return false };
    page.ids.retain(|_, known| known != id);
    if page.ids.is_empty() {
        let session = page.session.clone();
        book.remove(&session);
    }
    true
}

/// A registration of streams has stopped, or goes on.
pub(super) fn turned(held: &Held<'_>, registration: &Registration) {
    if held.is_replica() {
        return;
    }
    let mut book = current(held);
    let Some(page) = book.get_mut(&registration.session.id).filter(|page| page.has(registration)) else { return };
    let ordinal = registration.ordinal as u64;
    let status = registration.stream_status();
    let before = match status {
        StreamStatus::Paused | StreamStatus::Aborted => page.halted.insert(ordinal, status),
        StreamStatus::Ok | StreamStatus::WaitingForRetry => page.halted.remove(&ordinal),
    };
    if before != page.halted.get(&ordinal).copied() {
        replicate(held, SESSION, &[b"", &page.write(Writer::default()).finish()]);
    }
}

/// A primary, or the AOF, has told of a session.
///
/// # Errors
/// When the bytes are not ours.
pub fn learn(held: &Held<'_>, old: &[u8], bytes: &[u8], version: i32) -> Result<(), String> {
    let mut reader = Reader::new(bytes);
    let page = Page::read(&mut reader, version).filter(|_| reader.at_end());
    let page = page.ok_or("ERR this is not a session as this version writes it")?;
    page.ids.values().for_each(|id| registrations().known_id(id));
    turn(&mut current(held), &String::from_utf8_lossy(old), page);
    if !held.is_loading() {
        reconcile(held);
    }
    Ok(())
}

/// Follows what happens to the whole data set.
pub(super) fn on_server_event(held: &Held<'_>, event: ServerEvent) {
    match event {
        ServerEvent::Loaded => {
            let loaded = std::mem::take(&mut *lock(&LOADING));
            *lock(&BOOK) = loaded;
            reconcile(held);
        }
        ServerEvent::NotLoaded => lock(&LOADING).clear(),
        _ => {}
    }
}

/// Brings what is in force into agreement with the book.
fn reconcile(held: &Held<'_>) {
    let book = lock(&BOOK).clone();
    let known = |one: &Registration| book.get(&one.session.id).is_some_and(|page| page.has(one));
    let (kept, gone): (Vec<_>, Vec<_>) = registrations().all().into_iter().partition(|one| known(one));
    for registration in gone {
        commit::drop_unknown(held, &registration);
    }
    for page in book.into_values() {
        let mine = || kept.iter().filter(|one| page.has(one));
        mine().for_each(|one| streams::resume_as(one, page.halted.get(&(one.ordinal as u64)).copied()));
        if mine().count() < page.ids.len() {
            restore(page);
        }
    }
}

/// Restores what is not in force yet here and now, one script after the other, until there is `enough`: for a transaction
/// that can't wait for the workers.
pub(super) fn restore_here(lane: &mut Lane, enough: impl Fn() -> bool) {
    let Ok(mut book) = lane.slice(|slice| current(slice.held()).clone()) else { return };
    let all = registrations().all();
    book.retain(|_, page| all.iter().filter(|one| page.has(one)).count() < page.ids.len());
    for page in book.into_values() {
        if enough() || lane.cancel().stopped().is_some() {
            return;
        }
        if let Err(error) = run::restore(&page, lane) {
            not_restored(&page.session, &String::from_utf8_lossy(&error));
        }
    }
}

/// Runs a script again in the background, for its registrations.
fn restore(page: Page) {
    /// However it ends, it is done.
    struct Asked;
    impl Drop for Asked {
        fn drop(&mut self) {
            DONE.fetch_add(1, Ordering::AcqRel);
        }
    }
    ASKED.fetch_add(1, Ordering::AcqRel);
    let asked = Asked;
    let name = page.session.clone();
    let cancel = CancelToken::new();
    let refused = redis::background(Pools::Python, 0, cancel, move |lane| {
        if let Err(error) = run::restore(&page, lane) {
            not_restored(&page.session, &String::from_utf8_lossy(&error));
        }
        drop(asked);
    });
    if let Err(refused) = refused {
        not_restored(&name, &refused.to_string());
    }
}

/// It stays in the book, or in its keys, so that nothing is lost for good.
fn not_restored(session: &str, why: &str) {
    let text = format!("Interlock: the registrations and timers of session {session} can't be restored: {why}");
    redis::log(Level::Warning, &text);
}

/// Runs the script that is in a timer's key again, for its timers and what else is to be restored of it.
pub(super) fn remake(_held: &Held<'_>, page: &Page) {
    let known = lock(&BOOK).get(&page.session).cloned();
    match known {
        Some(known) if !known.same_script(page) => not_restored(&page.session, "it has another script now"),
        Some(known) => restore(known),
        None => restore(page.clone()),
    }
}

/// A page as it is now, if anything of it is still wanted: the book may have changed while its script ran.
pub(super) fn wanted(_held: &Held<'_>, page: &Page) -> Option<Page> {
    let book = lock(&BOOK);
    book.get(&page.session).filter(|now| now.origin == page.origin).cloned()
}

/// Tells of all sessions once more, for a file that is being rewritten as commands.
pub(super) fn repeat(held: &Held<'_>) {
    let pages: Vec<Vec<u8>> = lock(&BOOK).values().map(|page| page.write(Writer::default()).finish()).collect();
    pages.iter().for_each(|page| replicate(held, SESSION, &[b"", page]));
}

/// The book beside the keys of an RDB.
pub(crate) struct Sessions;

impl Aside for Sessions {
    const NAME: &'static CStr = c"il-gears1";
    const VERSION: i32 = PAGE_VERSION;

    fn save() -> Vec<u8> {
        let book = lock(&BOOK);
        if book.is_empty() {
            return Vec::new();
        }
        let writer = Writer::default().number(book.len() as u64);
        book.values().fold(writer, |writer, page| page.write(writer)).finish()
    }

    fn load(bytes: &[u8], version: i32) -> bool {
        let mut reader = Reader::new(bytes);
        let Some(book) = read_book(&mut reader, version).filter(|_| reader.at_end()) else { return false };
        book.values().flat_map(|page| page.ids.values()).for_each(|id| registrations().known_id(id));
        *lock(&LOADING) = book;
        true
    }
}

fn read_book(reader: &mut Reader<'_>, version: i32) -> Option<Book> {
    let mut book = Book::new();
    for _ in 0..reader.number()? {
        let page = Page::read(reader, version)?;
        book.insert(page.session.clone(), page);
    }
    Some(book)
}

impl Page {
    /// Whether this registration is one of its own, and of the same script.
    pub(super) fn has(&self, one: &Registration) -> bool {
        let mine = one.session.id == self.session && one.session.origin == self.origin;
        mine && self.ids.values().any(|id| *id == one.id)
    }

    /// A script without registrations.
    pub(super) fn bare(session: &str, description: Option<String>, origin: &Origin) -> Self {
        let (ids, groups) = (BTreeMap::new(), BTreeMap::new());
        Self { session: session.to_owned(), description, origin: origin.clone(), ids, groups, halted: BTreeMap::new() }
    }

    /// Whether both are of the same session with the same script.
    pub(super) fn same_script(&self, other: &Page) -> bool {
        self.session == other.session && self.origin == other.origin
    }

    pub(super) fn write(&self, writer: Writer) -> Writer {
        let Origin { source, requirements, isolation, by_script, max_memory, limit } = &self.origin;
        let limit = limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let writer = writer.string(self.session.as_bytes()).number(u64::from(self.description.is_some()));
        let writer = writer.string(self.description.as_deref().unwrap_or_default().as_bytes()).string(source);
        let writer = writer.number(requirements.len() as u64);
        let writer = requirements.iter().fold(writer, |writer, name| writer.string(name.as_bytes()));
        let writer = writer.number(u64::from(*isolation == Isolation::Shared)).number(u64::from(*by_script));
        // 0 is no limit, as in the command.
        let writer = writer.number(max_memory.unwrap_or(0)).number(limit.unwrap_or(0));
        let names = |writer: Writer, names: &BTreeMap<u64, String>| {
            let writer = writer.number(names.len() as u64);
            names.iter().fold(writer, |writer, (ordinal, name)| writer.number(*ordinal).string(name.as_bytes()))
        };
        let writer = names(names(writer, &self.ids), &self.groups).number(self.halted.len() as u64);
        self.halted.iter().fold(writer, |writer, (ordinal, status)| {
            writer.number(*ordinal).number(u64::from(*status == StreamStatus::Aborted))
        })
    }

    pub(super) fn read(reader: &mut Reader<'_>, version: i32) -> Option<Self> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
        let session = text(reader.string()?)?;
        let described = reader.number()? != 0;
        let description = text(reader.string()?)?;
        let source = reader.string()?;
        let count = reader.number()?;
        let requirements = (0..count).map(|_| text(reader.string()?)).collect::<Option<_>>()?;
        let isolation = if reader.number()? != 0 { Isolation::Shared } else { Isolation::Subinterpreter };
        let by_script = reader.number()? != 0;
        let max_memory = Some(reader.number()?).filter(|&bytes| bytes > 0);
        let limit = Some(reader.number()?).filter(|&millis| millis > 0).map(Duration::from_millis);
        let mut names = || {
            let mut names = BTreeMap::new();
            for _ in 0..reader.number()? {
                names.insert(reader.number()?, text(reader.string()?)?);
            }
            Some(names)
        };
        let (ids, groups) = (names()?, names()?);
        let mut halted = BTreeMap::new();
        for _ in 0..if version < 2 { 0 } else { reader.number()? } {
            let ordinal = reader.number()?;
            halted.insert(ordinal, if reader.number()? != 0 { StreamStatus::Aborted } else { StreamStatus::Paused });
        }
        let origin = Origin { source, requirements, isolation, by_script, max_memory, limit };
        Some(Self { session, description: described.then_some(description), origin, ids, groups, halted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_it_was_written_and_never_from_half_of_it() {
        let page = Page {
            session: "s".to_owned(),
            description: Some(String::new()),
            origin: Origin {
                source: vec![0, 0xff],
                requirements: vec!["a==1".to_owned()],
                isolation: Isolation::Shared,
                by_script: true,
                max_memory: None,
                limit: Some(Duration::from_millis(5)),
            },
            ids: BTreeMap::from([(0, "a-1".to_owned()), (7, "a-2".to_owned())]),
            groups: BTreeMap::from([(7, "g".to_owned())]),
            halted: BTreeMap::from([(0, StreamStatus::Paused), (7, StreamStatus::Aborted)]),
        };
        let bytes = page.write(Writer::default()).finish();
        assert_eq!(Page::read(&mut Reader::new(&bytes), PAGE_VERSION).as_ref(), Some(&page));
        for length in 0..bytes.len() {
            assert_eq!(Page::read(&mut Reader::new(&bytes[..length]), PAGE_VERSION), None, "{length}");
        }
        // The first version ended before what is halted: a count and two pairs of numbers.
        let first = &bytes[..bytes.len() - 5 * 8];
        let mut reader = Reader::new(first);
        assert_eq!(Page::read(&mut reader, 1), Some(Page { halted: BTreeMap::new(), ..page }));
        assert!(reader.at_end());
    }
}
