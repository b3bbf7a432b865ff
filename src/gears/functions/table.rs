//! Which libraries are in force, and how do they survive?
//!
//! The table is what is saved: beside the keys of an RDB, and by one command that tells replicas and the AOF of every
//! change. What came from a file or a primary is loaded in the background, without its calls failing meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::library::{Definition, Library};
use crate::persistence::bytes::{Reader, Writer};
use crate::redis::{self, replicate, Aside, Held, Level, Pools, ServerEvent};
use crate::sync::CancelToken;

/// Libraries, and their functions by name with their place.
#[derive(Default)]
struct Table {
    libraries: BTreeMap<String, Arc<Library>>,
    functions: HashMap<String, (Arc<Library>, usize)>,
}

/// Used under the server's lock only, so that a forked child finds the mutex free.
static TABLE: Mutex<Option<Table>> = Mutex::new(None);

/// What a file that is being loaded has brought so far.
static LOADING: Mutex<BTreeMap<String, Definition>> = Mutex::new(BTreeMap::new());

/// The name of the command by which replicas and the AOF learn of libraries.
const FUNCTION: &CStr = c"RG._FUNCTION";

/// These libraries come to those that are there, in the place of those of their names.
const ADD: &[u8] = b"ADD";
/// These libraries are all there are.
const SET: &[u8] = b"SET";

fn with_table<R>(work: impl FnOnce(&mut Table) -> R) -> R {
    work(TABLE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Table::default))
}

fn loading() -> MutexGuard<'static, BTreeMap<String, Definition>> {
    LOADING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How libraries come to those that are there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Install {
    /// In the place of all.
    pub(super) flush: bool,
    /// In the place of those of their names.
    pub(super) replace: bool,
}

impl Table {
    /// The same with other libraries.
    ///
    /// # Errors
    /// Names that are there twice, for the client.
    fn of(libraries: BTreeMap<String, Arc<Library>>) -> Result<Self, String> {
        let mut functions = HashMap::new();
        for library in libraries.values() {
            for (at, function) in library.definition.functions.iter().enumerate() {
                if functions.insert(function.name.clone(), (Arc::clone(library), at)).is_some() {
                    return Err(format!("ERR Function '{}' already exists", function.name));
                }
            }
        }
        Ok(Self { libraries, functions })
    }
}

/// Puts a table in force. What the old one was the last owner of goes outside the lock.
fn put(table: Table) {
    drop(with_table(|old| std::mem::replace(old, table)));
}

/// The function of this name: its library, and its place in it.
pub(super) fn find(_held: &Held<'_>, name: &[u8]) -> Option<(Arc<Library>, usize)> {
    let name = std::str::from_utf8(name).ok()?;
    with_table(|table| table.functions.get(name).cloned())
}

/// All libraries by name.
pub fn all(_held: &Held<'_>) -> Vec<Arc<Library>> {
    with_table(|table| table.libraries.values().cloned().collect())
}

/// Puts libraries in force, and tells of it; all or none.
///
/// # Errors
/// The text for the client.
pub(super) fn install(held: &Held<'_>, new: Vec<Arc<Library>>, how: Install) -> Result<(), String> {
    if held.is_read_only() {
        return Err("READONLY You can't write against a read only replica.".to_owned());
    }
    let mut libraries = if how.flush { BTreeMap::new() } else { with_table(|table| table.libraries.clone()) };
    for library in &new {
        let name = &library.definition.header.name;
        if libraries.insert(name.clone(), Arc::clone(library)).is_some() && !how.replace {
            return Err(format!("ERR Library '{name}' already exists"));
        }
    }
    put(Table::of(libraries)?);
    let book = write_book(new.iter().map(|library| &library.definition));
    replicate(held, FUNCTION, &[if how.flush { SET } else { ADD }, &book]);
    Ok(())
}

/// Takes a library out of force; whether it was there.
pub fn delete(held: &Held<'_>, name: &str) -> bool {
    if held.is_loading() {
        return loading().remove(name).is_some();
    }
    let mut libraries = with_table(|table| table.libraries.clone());
    let gone = libraries.remove(name);
    if let (Some(_), Ok(table)) = (&gone, Table::of(libraries)) {
        put(table);
    }
    gone.is_some()
}

/// Takes all libraries out of force.
pub fn flush(held: &Held<'_>) {
    if held.is_loading() {
        loading().clear();
    } else {
        put(Table::default());
    }
}

/// A primary, or the AOF, has told of libraries.
///
/// # Errors
/// When the words are not ours.
pub fn learn(held: &Held<'_>, what: &[u8], book: &[u8]) -> Result<(), String> {
    let definitions = read_book(book).ok_or("ERR these are not libraries as this version writes them")?;
    let new = definitions.into_iter().map(|definition| (definition.header.name.clone(), definition));
    let known: BTreeMap<String, Definition> = match what {
        SET => BTreeMap::new(),
        ADD if held.is_loading() => std::mem::take(&mut *loading()),
        ADD => all(held).iter().map(|one| (one.definition.header.name.clone(), one.definition.clone())).collect(),
        _ => return Err("ERR expected ADD or SET".to_owned()),
    };
    let definitions = known.into_iter().chain(new).collect();
    if held.is_loading() {
        *loading() = definitions;
    } else {
        reconcile(definitions);
    }
    Ok(())
}

/// Follows what happens to the whole data set.
pub(in crate::gears) fn on_server_event(_held: &Held<'_>, event: ServerEvent) {
    match event {
        ServerEvent::Loaded => {
            let definitions = std::mem::take(&mut *loading());
            reconcile(definitions);
        }
        ServerEvent::NotLoaded => loading().clear(),
        _ => {}
    }
}

/// Puts these libraries in force; one that is as it was stays as it is, with all that it remembers.
fn reconcile(definitions: BTreeMap<String, Definition>) {
    let mut old = with_table(|table| table.libraries.clone());
    let mut new = Vec::new();
    let mut libraries = BTreeMap::new();
    for (name, definition) in definitions {
        let library = old.remove(&name).filter(|library| library.definition == definition).unwrap_or_else(|| {
            let library = Arc::new(Library::new(definition, None));
            new.push(Arc::clone(&library));
            library
        });
        libraries.insert(name, library);
    }
    match Table::of(libraries) {
        Ok(table) => put(table),
        Err(error) => redis::log(Level::Warning, &format!("Interlock: the libraries of functions contradict: {error}")),
    }
    new.iter().for_each(load_in_background);
}

fn load_in_background(library: &Arc<Library>) {
    let limit = library.definition.header.limit;
    // It may be replaced before its turn comes.
    let library = Arc::downgrade(library);
    // Where the queue is full the first call loads it.
    let _ = redis::background(Pools::Python, 0, CancelToken::new(), move |lane| {
        let Some(library) = library.upgrade() else { return };
        lane.cancel().set_limit(limit);
        if let Err(why) = library.ready(lane) {
            let (name, why) = (&library.definition.header.name, String::from_utf8_lossy(&why));
            redis::log(Level::Warning, &format!("Interlock: the library {name} can't be loaded: {why}"));
        }
    });
}

/// Tells of all libraries once more, for a file that is being rewritten as commands.
pub(in crate::gears) fn repeat(held: &Held<'_>) {
    let libraries = all(held);
    if !libraries.is_empty() {
        replicate(held, FUNCTION, &[SET, &write_book(libraries.iter().map(|library| &library.definition))]);
    }
}

/// Libraries as they are saved.
pub(super) fn write_book<'d>(definitions: impl ExactSizeIterator<Item = &'d Definition>) -> Vec<u8> {
    let writer = Writer::default().number(definitions.len() as u64);
    definitions.fold(writer, |writer, definition| definition.write(writer)).finish()
}

pub(super) fn read_book(bytes: &[u8]) -> Option<Vec<Definition>> {
    let mut reader = Reader::new(bytes);
    let count = reader.number()?;
    let definitions = (0..count).map(|_| Definition::restore(&mut reader)).collect::<Option<_>>()?;
    reader.at_end().then_some(definitions)
}

/// The libraries beside the keys of an RDB.
pub(in crate::gears) struct Functions;

impl Aside for Functions {
    const NAME: &'static CStr = c"il-funct1";
    const VERSION: i32 = 1;

    fn save() -> Vec<u8> {
        let libraries: Vec<Arc<Library>> = with_table(|table| table.libraries.values().cloned().collect());
        if libraries.is_empty() {
            return Vec::new();
        }
        write_book(libraries.iter().map(|library| &library.definition))
    }

    fn load(bytes: &[u8], _version: i32) -> bool {
        let Some(definitions) = read_book(bytes) else { return false };
        *loading() = definitions.into_iter().map(|one| (one.header.name.clone(), one)).collect();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::header::Header;
    use super::super::library::Declared;
    use super::*;

    fn definition(name: &str, functions: &[&str]) -> Definition {
        let header = Header::parse(format!("#!python name={name} timeout=5").as_bytes()).expect("a header");
        let declared = |name: &&str| Declared {
            name: (*name).to_owned(),
            description: "what it does".to_owned(),
            readonly: true,
            sync: false,
        };
        Definition { header, source: vec![0, 0xff], functions: functions.iter().map(declared).collect() }
    }

    #[test]
    fn a_book_is_read_as_it_was_written_and_never_from_half_of_it() {
        let written = [definition("a", &["f", "g"]), definition("b", &[])];
        let bytes = write_book(written.iter());
        assert_eq!(read_book(&bytes).as_deref(), Some(&written[..]));
        for end in 0..bytes.len() {
            assert_eq!(read_book(&bytes[..end]), None, "{end}");
        }
    }

    #[test]
    fn a_function_has_one_library() {
        let table = |definitions: Vec<Definition>| {
            let library = |one: Definition| (one.header.name.clone(), Arc::new(Library::new(one, None)));
            Table::of(definitions.into_iter().map(library).collect())
        };
        assert!(table(vec![definition("a", &["f"]), definition("b", &["g"])]).is_ok());
        let twice = table(vec![definition("a", &["f"]), definition("b", &["f"])]).err();
        assert_eq!(twice.as_deref(), Some("ERR Function 'f' already exists"));
    }
}
