//! Which requirements are known, and how do they survive?

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha1::{Digest, Sha1};

use crate::persistence::bytes::{Reader, Writer};
use crate::redis::{replicate, Held, LargeAside, ServerEvent};

/// A requirement and all that it needs.
#[derive(Debug, PartialEq)]
pub struct Requirement {
    /// What pip was asked for.
    pub name: String,
    /// Names and contents of the files, in the order of their names.
    pub wheels: Vec<(String, Vec<u8>)>,
    /// Tells this from another requirement, or other wheels of the same.
    pub(super) sum: [u8; 20],
}

type Known = BTreeMap<String, Arc<Requirement>>;

/// Used under the server's lock only, so that a forked child finds the mutex free.
static KNOWN: Mutex<Known> = Mutex::new(Known::new());

/// What a file that is being loaded has brought so far.
static LOADING: Mutex<Known> = Mutex::new(Known::new());

/// The name of the command by which replicas and the AOF learn of requirements.
const REQUIREMENT: &CStr = c"RG._REQUIREMENT";

fn lock(known: &'static Mutex<Known>) -> MutexGuard<'static, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

fn current(held: &Held<'_>) -> MutexGuard<'static, Known> {
    lock(if held.is_loading() { &LOADING } else { &KNOWN })
}

impl Requirement {
    pub(super) fn new(name: String, mut wheels: Vec<(String, Vec<u8>)>) -> Self {
        wheels.sort();
        let mut sum = Sha1::new();
        sum.update(name.as_bytes());
        for (file, content) in &wheels {
            sum.update(file.as_bytes());
            sum.update(Sha1::digest(content));
        }
        Self { name, wheels, sum: sum.finalize().into() }
    }

    fn write(&self) -> Vec<u8> {
        let writer = Writer::default().string(self.name.as_bytes()).number(self.wheels.len() as u64);
        self.wheels.iter().fold(writer, |writer, (file, wheel)| writer.string(file.as_bytes()).string(wheel)).finish()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
        let name = text(reader.string()?)?;
        let mut wheels = Vec::new();
        for _ in 0..reader.number()? {
            let file = text(reader.string()?)?;
            // It becomes the name of a file.
            if file.contains('/') || !file.ends_with(".whl") {
                return None;
            }
            wheels.push((file, reader.string()?));
        }
        reader.at_end().then(|| Self::new(name, wheels))
    }
}

/// The requirement of this name.
pub fn find(_held: &Held<'_>, name: &str) -> Option<Arc<Requirement>> {
    lock(&KNOWN).get(name).cloned()
}

/// All requirements by name.
pub fn all(_held: &Held<'_>) -> Vec<Arc<Requirement>> {
    lock(&KNOWN).values().cloned().collect()
}

/// Keeps a requirement, and tells of it.
pub(super) fn add(held: &Held<'_>, new: &Arc<Requirement>) {
    current(held).insert(new.name.clone(), Arc::clone(new));
    replicate(held, REQUIREMENT, &[&new.write()]);
}

/// Forgets a requirement; whether it was known.
pub fn drop_requirement(held: &Held<'_>, name: &str) -> bool {
    current(held).remove(name).is_some()
}

/// A primary, or the AOF, has told of a requirement.
///
/// # Errors
/// When the bytes are not ours.
pub fn learn(held: &Held<'_>, bytes: &[u8]) -> Result<(), String> {
    let new = Requirement::read(bytes).ok_or("ERR this is not a requirement as this version writes it")?;
    current(held).insert(new.name.clone(), Arc::new(new));
    Ok(())
}

/// What an exported requirement begins with; the digit is its version.
const MAGIC: &[u8] = b"ILREQ1";

/// Bytes of one chunk of an exported requirement.
const CHUNK: usize = 10 << 20;

/// A requirement as strings for [`import`].
pub fn export(requirement: &Requirement) -> Vec<Vec<u8>> {
    let bytes = [MAGIC, &requirement.sum, &requirement.write()].concat();
    bytes.chunks(CHUNK).map(<[u8]>::to_vec).collect()
}

/// Keeps a requirement that [`export`] made into strings; returns its name.
///
/// # Errors
/// When it is not whole, for the client.
pub fn import(held: &Held<'_>, chunks: &[&[u8]]) -> Result<String, String> {
    let bytes = chunks.concat();
    let body = bytes.strip_prefix(MAGIC).and_then(<[u8]>::split_first_chunk::<20>);
    let requirement = body.and_then(|(sum, body)| Requirement::read(body).filter(|one| one.sum == *sum));
    let requirement = requirement.ok_or("Bad serialization format on reading requirement")?;
    let name = requirement.name.clone();
    add(held, &Arc::new(requirement));
    Ok(name)
}

/// Follows what happens to the whole data set.
pub(in crate::gears) fn on_server_event(_held: &Held<'_>, event: ServerEvent) {
    match event {
        ServerEvent::Loaded => {
            let loaded = std::mem::take(&mut *lock(&LOADING));
            let _old = std::mem::replace(&mut *lock(&KNOWN), loaded);
        }
        ServerEvent::NotLoaded => lock(&LOADING).clear(),
        _ => {}
    }
}

/// Tells of all requirements once more, for a file that is being rewritten as commands.
pub(in crate::gears) fn repeat(held: &Held<'_>) {
    all(held).iter().for_each(|one| replicate(held, REQUIREMENT, &[&one.write()]));
}

/// The requirements beside the keys of an RDB: their number, and each with its length.
pub(in crate::gears) struct Requirements;

impl LargeAside for Requirements {
    const NAME: &'static CStr = c"il-requir";
    const VERSION: i32 = 1;

    fn is_empty() -> bool {
        lock(&KNOWN).is_empty()
    }

    fn save(out: &mut dyn Write) -> io::Result<()> {
        let known = lock(&KNOWN);
        out.write_all(&(known.len() as u64).to_le_bytes())?;
        for requirement in known.values() {
            let bytes = requirement.write();
            out.write_all(&(bytes.len() as u64).to_le_bytes())?;
            out.write_all(&bytes)?;
        }
        Ok(())
    }

    fn load(_held: &Held<'_>, input: &mut dyn Read) -> Result<(), String> {
        let number = |input: &mut dyn Read| {
            let mut bytes = [0; 8];
            input.read_exact(&mut bytes).map(|()| u64::from_le_bytes(bytes)).map_err(|error| error.to_string())
        };
        for _ in 0..number(input)? {
            let (length, mut bytes) = (number(input)?, Vec::new());
            // Not allocated beforehand: a damaged length must not.
            input.take(length).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            let requirement = Requirement::read(&bytes).ok_or("a requirement is cut short")?;
            lock(&LOADING).insert(requirement.name.clone(), Arc::new(requirement));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_read_as_it_was_written_and_never_from_half_of_it() {
        let wheels = vec![("b-1.whl".to_owned(), vec![0, 255]), ("a-1.whl".to_owned(), Vec::new())];
        let requirement = Requirement::new("b==1".to_owned(), wheels);
        let bytes = requirement.write();
        assert_eq!(Requirement::read(&bytes), Some(requirement));
        for end in 0..bytes.len() {
            assert_eq!(Requirement::read(&bytes[..end]), None, "{end}");
        }
        let escaping = Requirement::new("x".to_owned(), vec![("../x.whl".to_owned(), Vec::new())]);
        assert_eq!(Requirement::read(&escaping.write()), None);
    }
}
