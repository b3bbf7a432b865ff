//! How do values cross between the server and Python?
//!
//! [`to_python`] is what `execute()` returns; [`to_reply`] is how a script's results reach the client. Any bytes
//! survive: text that is not UTF-8 becomes a bytearray on the way in, lone surrogates (which stand for such
//! bytes) become bytes again on the way out. Both directions bound the depth, since
//! both are recursive and so is dropping a [`Reply`].

use std::ffi::{c_char, CStr, CString};

use pyo3_ffi as ffi;

use super::attach::Attached;
use super::error;
use super::object::{Object, PyResult, Raised};
use crate::python::host::KeyRecord;
use crate::reply::Reply;

/// The deepest nesting of a value, in either direction.
pub(crate) const MAX_DEPTH: usize = 256;

/// After so many items of a list other threads get a chance to run.
const BREATH: usize = 4096;

/// What becomes of a value without an equivalent in the protocol.
const OPAQUE: &[u8] = b"PY RECORD";

fn size(length: usize) -> ffi::Py_ssize_t {
    length as ffi::Py_ssize_t
}

/// A str if the bytes are UTF-8, else what `otherwise` makes.
fn text_or<'a>(
    attached: &'a Attached<'_>,
    bytes: &[u8],
    otherwise: unsafe extern "C" fn(*const c_char, ffi::Py_ssize_t) -> *mut ffi::PyObject,
) -> PyResult<Object<'a>> {
    // SAFETY: attached; pointer and length are a slice's, and for the first one its UTF-8 has been checked.
    unsafe {
        if std::str::from_utf8(bytes).is_ok() {
            let text = ffi::PyUnicode_FromStringAndSize(bytes.as_ptr().cast(), size(bytes.len()));
            return Object::owned(attached, text);
        }
        Object::owned(attached, otherwise(bytes.as_ptr().cast(), size(bytes.len())))
    }
}

/// A str, or a bytearray if the bytes are not UTF-8.
pub(crate) fn text_to_python<'a>(attached: &'a Attached<'_>, bytes: &[u8]) -> PyResult<Object<'a>> {
    text_or(attached, bytes, ffi::PyByteArray_FromStringAndSize)
}

/// The same where Python needs something hashable: bytes instead of a bytearray.
fn key_text<'a>(attached: &'a Attached<'_>, bytes: &[u8]) -> PyResult<Object<'a>> {
    text_or(attached, bytes, ffi::PyBytes_FromStringAndSize)
}

fn none<'a>(attached: &'a Attached<'_>) -> PyResult<Object<'a>> {
    // SAFETY: attached; None is always alive.
    unsafe { Object::borrowed(attached, ffi::Py_None()) }
}

fn too_deep(_: &Attached<'_>) -> Raised {
    // SAFETY: attached; a NUL-terminated text.
    unsafe { ffi::PyErr_SetString(ffi::PyExc_RecursionError, c"the value is nested too deeply".as_ptr()) };
    Raised
}

/// The Python value of a server reply. Nested errors are their text.
pub(crate) fn to_python<'a>(attached: &'a Attached<'_>, reply: &Reply) -> PyResult<Object<'a>> {
    value(attached, reply, 0, false)
}

fn value<'a>(attached: &'a Attached<'_>, reply: &Reply, depth: usize, hashable: bool) -> PyResult<Object<'a>> {
    if depth > MAX_DEPTH {
        return Err(too_deep(attached));
    }
    // SAFETY (all blocks): attached; what is passed is alive.
    match reply {
        Reply::Status(bytes) | Reply::Bulk(bytes) | Reply::Error(bytes) if hashable => key_text(attached, bytes),
        Reply::Status(bytes) | Reply::Bulk(bytes) | Reply::Error(bytes) => text_to_python(attached, bytes),
        // SAFETY: see above.
        Reply::Int(number) => unsafe { Object::owned(attached, ffi::PyLong_FromLongLong(*number)) },
        // SAFETY: see above.
        Reply::Double(number) => unsafe { Object::owned(attached, ffi::PyFloat_FromDouble(*number)) },
        // SAFETY: see above.
        Reply::Bool(flag) => unsafe { Object::owned(attached, ffi::PyBool_FromLong((*flag).into())) },
        Reply::Null => none(attached),
        Reply::BigNumber(digits) => {
            let digits = CString::new(digits.as_slice()).unwrap_or_default();
            // SAFETY: see above; NUL-terminated.
            unsafe {
                let number = ffi::PyLong_FromString(digits.as_ptr(), std::ptr::null_mut(), 10);
                Object::owned(attached, number)
            }
        }
        Reply::Array(items) if hashable => tuple(attached, items, depth),
        Reply::Array(items) => {
            // SAFETY: see above; PyList_SetItem takes over the reference.
            unsafe {
                let list = Object::owned(attached, ffi::PyList_New(size(items.len())))?;
                for (at, item) in items.iter().enumerate() {
                    let item = value(attached, item, depth + 1, false)?;
                    ffi::PyList_SetItem(list.as_ptr(), size(at), item.into_ptr());
                    if at % BREATH == BREATH - 1 {
                        attached.breathe();
                    }
                }
                Ok(list)
            }
        }
        Reply::Set(items) if hashable => tuple(attached, items, depth),
        Reply::Set(items) => {
            // SAFETY: see above.
            unsafe {
                let set = Object::owned(attached, ffi::PySet_New(std::ptr::null_mut()))?;
                for item in items {
                    let item = value(attached, item, depth + 1, true)?;
                    if ffi::PySet_Add(set.as_ptr(), item.as_ptr()) != 0 {
                        return Err(Raised);
                    }
                }
                Ok(set)
            }
        }
        Reply::Map(pairs) if hashable => {
            let flat: Vec<Reply> =
                pairs.iter().map(|(key, value)| Reply::Array(vec![key.clone(), value.clone()])).collect();
            tuple(attached, &flat, depth)
        }
        Reply::Map(pairs) => {
            // SAFETY: see above.
            unsafe {
                let dict = Object::owned(attached, ffi::PyDict_New())?;
                for (name, item) in pairs {
                    let name = value(attached, name, depth + 1, true)?;
                    let item = value(attached, item, depth + 1, false)?;
                    if ffi::PyDict_SetItem(dict.as_ptr(), name.as_ptr(), item.as_ptr()) != 0 {
                        return Err(Raised);
                    }
                }
                Ok(dict)
            }
        }
    }
}

fn tuple<'a>(attached: &'a Attached<'_>, items: &[Reply], depth: usize) -> PyResult<Object<'a>> {
    // SAFETY: attached; PyTuple_SetItem takes over the reference.
    unsafe {
        let tuple = Object::owned(attached, ffi::PyTuple_New(size(items.len())))?;
        for (at, item) in items.iter().enumerate() {
            let item = value(attached, item, depth + 1, true)?;
            ffi::PyTuple_SetItem(tuple.as_ptr(), size(at), item.into_ptr());
        }
        Ok(tuple)
    }
}

fn set_item(dict: &Object<'_>, name: &CStr, item: &Object<'_>) -> PyResult<()> {
    // SAFETY: attached (objects live); a dict and live objects.
    match unsafe { ffi::PyDict_SetItemString(dict.as_ptr(), name.as_ptr(), item.as_ptr()) } {
        0 => Ok(()),
        _ => Err(Raised),
    }
}

/// A batch of a KeysReader as a list of dicts: `key` and `event`, and if values are read `value` and `type`.
pub(crate) fn records_to_python<'a>(attached: &'a Attached<'_>, records: &[KeyRecord]) -> PyResult<Object<'a>> {
    let nothing = none(attached)?;
    // SAFETY: attached; live objects; PyList_SetItem takes over the reference.
    unsafe {
        let list = Object::owned(attached, ffi::PyList_New(size(records.len())))?;
        for (at, record) in records.iter().enumerate() {
            let dict = Object::owned(attached, ffi::PyDict_New())?;
            set_item(&dict, c"key", &text_to_python(attached, &record.key)?)?;
            set_item(&dict, c"event", &nothing)?;
            if let Some((kind, content)) = &record.value {
                set_item(&dict, c"type", &super::object::text(attached, kind.as_bytes())?)?;
                set_item(&dict, c"value", &to_python(attached, content)?)?;
            }
            ffi::PyList_SetItem(list.as_ptr(), size(at), dict.into_ptr());
        }
        Ok(list)
    }
}

/// The bytes of a str: UTF-8, surrogate escapes as the bytes they stand for, other lone surrogates as
/// UTF-8 would write them. Anything else than a str has no bytes.
pub(crate) fn encode(attached: &Attached<'_>, text: &Object<'_>) -> Vec<u8> {
    // SAFETY: attached; the returned pointer is valid while `text` lives, and is copied at once.
    unsafe {
        let mut length = 0;
        let utf8 = ffi::PyUnicode_AsUTF8AndSize(text.as_ptr(), &mut length);
        if !utf8.is_null() {
            return std::slice::from_raw_parts(utf8.cast::<u8>(), length as usize).to_vec();
        }
        ffi::PyErr_Clear();
        for errors in [c"surrogateescape", c"surrogatepass"] {
            let bytes = ffi::PyUnicode_AsEncodedString(text.as_ptr(), c"utf-8".as_ptr(), errors.as_ptr());
            match Object::owned(attached, bytes) {
                Ok(bytes) => return raw_bytes(&bytes),
                Err(raised) => error::clear(attached, raised),
            }
        }
        Vec::new()
    }
}

/// The content of a bytes object.
///
/// # Safety
/// `bytes` is one.
unsafe fn raw_bytes(bytes: &Object<'_>) -> Vec<u8> {
    // SAFETY: a bytes object, says the caller; attached.
    unsafe {
        let data = ffi::PyBytes_AsString(bytes.as_ptr()).cast::<u8>();
        std::slice::from_raw_parts(data, ffi::PyBytes_Size(bytes.as_ptr()) as usize).to_vec()
    }
}

/// The bytes of one argument of `execute()`: bytes and bytearray as they are, everything else as `str()` of it.
pub(crate) fn argument(attached: &Attached<'_>, value: &Object<'_>) -> PyResult<Vec<u8>> {
    // SAFETY: attached; each accessor is used only after the check of the type.
    unsafe {
        let ptr = value.as_ptr();
        if ffi::PyUnicode_Check(ptr) != 0 {
            return Ok(encode(attached, value));
        }
        if ffi::PyBytes_Check(ptr) != 0 {
            return Ok(raw_bytes(value));
        }
        if ffi::PyByteArray_Check(ptr) != 0 {
            let data = ffi::PyByteArray_AsString(ptr).cast::<u8>();
            return Ok(std::slice::from_raw_parts(data, ffi::PyByteArray_Size(ptr) as usize).to_vec());
        }
        let text = Object::owned(attached, ffi::PyObject_Str(ptr))?;
        Ok(encode(attached, &text))
    }
}

/// Why a value has no reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A list that contains itself.
    Recursive,
    /// Deeper than [`MAX_DEPTH`].
    TooDeep,
    /// An integer with more digits than Python is willing to print.
    Digits,
    /// Something that a function can't return.
    Unsuitable,
}

impl Refusal {
    /// The text for the client.
    pub(crate) fn text(&self) -> &'static str {
        match self {
            Refusal::Recursive => "ValueError: the result contains itself and cannot be returned",
            Refusal::TooDeep => "ValueError: the result is nested too deeply to be returned",
            Refusal::Digits => "ValueError: the integer has too many digits to be returned",
            Refusal::Unsuitable => {
                "TypeError: a function can return None, bool, int, float, str, bytes, and lists, tuples, sets and dicts \
                 of these"
            }
        }
    }
}

/// The reply for a Python value: list, int, bool, float, str and bytes have one, all else is `PY RECORD`.
pub(crate) fn to_reply(attached: &Attached<'_>, value: &Object<'_>) -> Result<Reply, Refusal> {
    reply(attached, value, &mut Vec::new())
}

fn reply(attached: &Attached<'_>, value: &Object<'_>, path: &mut Vec<usize>) -> Result<Reply, Refusal> {
    let ptr = value.as_ptr();
    // SAFETY: attached; each accessor is used only after the check of the type. None of them runs Python code.
    unsafe {
        if ptr == ffi::Py_Ellipsis() {
            return Ok(Reply::Null);
        }
        if ffi::PyUnicode_Check(ptr) != 0 {
            return Ok(text_reply(encode(attached, value)));
        }
        if ffi::PyLong_Check(ptr) != 0 {
            let mut overflow = 0;
            let number = ffi::PyLong_AsLongLongAndOverflow(ptr, &mut overflow);
            if overflow == 0 {
                return Ok(Reply::Int(number));
            }
            let digits = ffi::PyNumber_ToBase(ptr, 10);
            return match Object::owned(attached, digits) {
                Ok(digits) => Ok(Reply::Bulk(encode(attached, &digits))),
                Err(raised) => {
                    error::clear(attached, raised);
                    Err(Refusal::Digits)
                }
            };
        }
        if ffi::PyList_Check(ptr) != 0 {
            return list_reply(attached, value, path);
        }
        if ffi::PyFloat_Check(ptr) != 0 {
            return Ok(Reply::Bulk(float_text(ffi::PyFloat_AsDouble(ptr))));
        }
        if ffi::PyBytes_Check(ptr) != 0 {
            return Ok(Reply::Bulk(raw_bytes(value)));
        }
    }
    Ok(Reply::Bulk(OPAQUE.to_vec()))
}

fn list_reply(attached: &Attached<'_>, list: &Object<'_>, path: &mut Vec<usize>) -> Result<Reply, Refusal> {
    let identity = list.as_ptr() as usize;
    if path.contains(&identity) {
        return Err(Refusal::Recursive);
    }
    if path.len() >= MAX_DEPTH {
        return Err(Refusal::TooDeep);
    }
    path.push(identity);
    let mut items = Vec::new();
    // The size is asked each time: another thread of the script may change the list while we breathe.
    while let Some(item) = list_item(attached, list, items.len()) {
        items.push(reply(attached, &item, path)?);
        if items.len() % BREATH == 0 {
            attached.breathe();
        }
    }
    path.pop();
    Ok(Reply::Array(items))
}

/// The item `at` of a list, if there is one.
pub(crate) fn list_item<'a>(attached: &'a Attached<'_>, list: &Object<'_>, at: usize) -> Option<Object<'a>> {
    // SAFETY: attached; the type and the bounds are checked.
    unsafe {
        if ffi::PyList_Check(list.as_ptr()) == 0 || size(at) >= ffi::PyList_Size(list.as_ptr()) {
            return None;
        }
        Object::borrowed(attached, ffi::PyList_GetItem(list.as_ptr(), size(at))).ok()
    }
}

/// The item `at` of a tuple, if there is one.
pub(crate) fn tuple_item<'a>(attached: &'a Attached<'_>, tuple: &Object<'_>, at: usize) -> Option<Object<'a>> {
    // SAFETY: attached; the type and the bounds are checked.
    unsafe {
        if ffi::PyTuple_Check(tuple.as_ptr()) == 0 || size(at) >= ffi::PyTuple_Size(tuple.as_ptr()) {
            return None;
        }
        Object::borrowed(attached, ffi::PyTuple_GetItem(tuple.as_ptr(), size(at))).ok()
    }
}

/// A str's reply: `+text` is a status and `-text` an error, as in RedisGears; one character alone is not.
fn text_reply(mut text: Vec<u8>) -> Reply {
    let longer_than_one = match std::str::from_utf8(&text) {
        Ok(text) => text.chars().nth(1).is_some(),
        Err(_) => text.len() > 1,
    };
    match text.first() {
        Some(b'+') if longer_than_one => {
            text.remove(0);
            Reply::Status(text)
        }
        Some(b'-') if longer_than_one => {
            text.remove(0);
            Reply::Error(text)
        }
        _ => Reply::Bulk(text),
    }
}

/// C's `%lf`.
fn float_text(number: f64) -> Vec<u8> {
    if number.is_nan() {
        return if number.is_sign_negative() { b"-nan".to_vec() } else { b"nan".to_vec() };
    }
    format!("{number:.6}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_like_c() {
        for (number, text) in [(1.5, "1.500000"), (-0.0, "-0.000000"), (1e22, "10000000000000000000000.000000")] {
            assert_eq!(float_text(number), text.as_bytes());
        }
        assert_eq!(float_text(f64::NEG_INFINITY), b"-inf");
        assert_eq!(float_text(f64::NAN), b"nan");
    }

    #[test]
    fn a_leading_sign_chooses_the_type_of_a_text_of_two_characters() {
        assert_eq!(text_reply(b"+OK".to_vec()), Reply::Status(b"OK".to_vec()));
        assert_eq!(text_reply(b"-ERR no".to_vec()), Reply::Error(b"ERR no".to_vec()));
        assert_eq!(text_reply(b"+".to_vec()), Reply::Bulk(b"+".to_vec()));
        assert_eq!(text_reply(b"".to_vec()), Reply::Bulk(b"".to_vec()));
    }
}
