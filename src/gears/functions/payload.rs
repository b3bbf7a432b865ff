//! How do libraries move to another server by hand? `RG.FUNCTION DUMP` and `RESTORE`.

use sha1::{Digest, Sha1};

use super::library::Definition;
use super::load::{job, new_library};
use super::table::{self, read_book, write_book, Install};
use crate::redis::{Held, Job};
use crate::reply::Reply;

/// What a payload begins with; the digit is its version.
const MAGIC: &[u8] = b"ILFUNC1";

/// Bytes of the sum at its end.
const SUM: usize = 8;

/// What `RG.FUNCTION RESTORE` does with the libraries that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// They stay; one of the same name is an error.
    Append,
    /// Those of the same names go.
    Replace,
    /// All go.
    Flush,
}

fn sum(bytes: &[u8]) -> Vec<u8> {
    Sha1::digest(bytes).iter().copied().take(SUM).collect()
}

/// All libraries as one string.
pub fn dump(held: &Held<'_>) -> Vec<u8> {
    let libraries = table::all(held);
    pack(&write_book(libraries.iter().map(|library| &library.definition)))
}

fn pack(book: &[u8]) -> Vec<u8> {
    let mut payload = [MAGIC, book].concat();
    payload.extend(sum(&payload));
    payload
}

fn unpack(payload: &[u8]) -> Option<Vec<Definition>> {
    let (body, end) = payload.split_at_checked(payload.len().checked_sub(SUM)?)?;
    read_book(body.strip_prefix(MAGIC).filter(|_| sum(body) == end)?)
}

/// The job that loads all libraries of a payload and puts them in force, or changes nothing.
///
/// # Errors
/// When the payload is not one.
pub fn restore(payload: &[u8], how: Restore) -> Result<Job, String> {
    let definitions = unpack(payload).ok_or("ERR DUMP payload version or checksum are wrong")?;
    let how = Install { flush: how == Restore::Flush, replace: how == Restore::Replace };
    // Each body may take as long as its library says.
    let limits: Option<Vec<_>> = definitions.iter().map(|definition| definition.header.limit).collect();
    Ok(job(limits.map(|limits| limits.into_iter().sum()), move |lane| {
        let mut libraries = Vec::new();
        for Definition { header, source, .. } in definitions {
            libraries.push(new_library(header, source, lane)?);
        }
        lane.slice(|slice| table::install(slice.held(), libraries, how))
            .map_err(|stop| format!("ERR nothing was restored: {stop}"))??;
        Ok(Reply::ok())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_that_was_changed_is_refused() {
        let payload = pack(&write_book(std::iter::empty::<&Definition>().collect::<Vec<_>>().into_iter()));
        assert_eq!(unpack(&payload), Some(Vec::new()));
        for at in 0..payload.len() {
            let mut changed = payload.clone();
            changed[at] ^= 1;
            assert_eq!(unpack(&changed), None, "{at}");
            assert_eq!(unpack(&payload[..at]), None, "{at}");
        }
    }
}
