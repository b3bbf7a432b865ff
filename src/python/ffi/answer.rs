//! What does a client get for the value that a function returned?
//!
//! Other than a record (`to_reply`), a value keeps its type: None, truth values, numbers, dicts and sets have replies of
//! their own, and no text is anything else than a text.

use pyo3_ffi as ffi;

use super::attach::Attached;
use super::convert::{argument, encode, list_item, to_reply, tuple_item, Refusal, MAX_DEPTH};
use super::error;
use super::object::{Object, PyResult};
use crate::reply::Reply;

/// The reply for a function's result.
pub(crate) fn to_answer(attached: &Attached<'_>, value: &Object<'_>) -> Result<Reply, Refusal> {
    answer(attached, value, 0)
}

fn answer(attached: &Attached<'_>, value: &Object<'_>, depth: usize) -> Result<Reply, Refusal> {
    // A value that contains itself ends here too.
    if depth > MAX_DEPTH {
        return Err(Refusal::TooDeep);
    }
    let ptr = value.as_ptr();
    // SAFETY: attached; each accessor is used only after the check of the type.
    unsafe {
        if ptr == ffi::Py_None() {
            return Ok(Reply::Null);
        }
        if ffi::PyUnicode_Check(ptr) != 0 {
            return Ok(Reply::Bulk(encode(attached, value)));
        }
        if ffi::PyBytes_Check(ptr) != 0 || ffi::PyByteArray_Check(ptr) != 0 {
            let bytes = argument(attached, value);
            return known(attached, bytes).map(Reply::Bulk);
        }
        if ffi::PyBool_Check(ptr) != 0 {
            return Ok(Reply::Bool(ptr == ffi::Py_True()));
        }
        if ffi::PyLong_Check(ptr) != 0 {
            return Ok(match to_reply(attached, value)? {
                Reply::Bulk(digits) => Reply::BigNumber(digits),
                number => number,
            });
        }
        if ffi::PyFloat_Check(ptr) != 0 {
            return Ok(Reply::Double(ffi::PyFloat_AsDouble(ptr)));
        }
        if ffi::PyList_Check(ptr) != 0 {
            return items(attached, value, depth).map(Reply::Array);
        }
        if ffi::PyTuple_Check(ptr) != 0 {
            let list = known(attached, Object::owned(attached, ffi::PySequence_List(ptr)))?;
            return items(attached, &list, depth).map(Reply::Array);
        }
        if ffi::PyAnySet_Check(ptr) != 0 {
            let list = known(attached, Object::owned(attached, ffi::PySequence_List(ptr)))?;
            return items(attached, &list, depth).map(Reply::Set);
        }
        if ffi::PyDict_Check(ptr) != 0 {
            let list = known(attached, Object::owned(attached, ffi::PyDict_Items(ptr)))?;
            return pairs(attached, &list, depth).map(Reply::Map);
        }
    }
    Err(Refusal::Unsuitable)
}

/// The value; what was raised in its place (no memory, or a strange subclass) is only told in general.
fn known<T>(attached: &Attached<'_>, value: PyResult<T>) -> Result<T, Refusal> {
    value.map_err(|raised| {
        error::clear(attached, raised);
        Refusal::Unsuitable
    })
}

/// After so many items other threads get a chance to run.
const BREATH: usize = 4096;

fn items(attached: &Attached<'_>, list: &Object<'_>, depth: usize) -> Result<Vec<Reply>, Refusal> {
    let mut items = Vec::new();
    // The size is asked each time: another thread of the library may change the list while we breathe.
    while let Some(item) = list_item(attached, list, items.len()) {
        items.push(answer(attached, &item, depth + 1)?);
        if items.len() % BREATH == 0 {
            attached.breathe();
        }
    }
    Ok(items)
}

fn pairs(attached: &Attached<'_>, list: &Object<'_>, depth: usize) -> Result<Vec<(Reply, Reply)>, Refusal> {
    let mut pairs = Vec::new();
    while let Some(item) = list_item(attached, list, pairs.len()) {
        let part = |at| tuple_item(attached, &item, at).ok_or(Refusal::Unsuitable);
        pairs.push((answer(attached, &part(0)?, depth + 1)?, answer(attached, &part(1)?, depth + 1)?));
        if pairs.len() % BREATH == 0 {
            attached.breathe();
        }
    }
    Ok(pairs)
}
