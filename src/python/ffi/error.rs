//! What does a Python exception say to the client?

use std::ptr::null_mut;

use pyo3_ffi as ffi;

use super::attach::Attached;
use super::convert::encode;
use super::object::{Object, Raised};

/// An exception that has been taken out of the interpreter.
pub(crate) struct Exception<'a> {
    kind: Object<'a>,
    value: Option<Object<'a>>,
    traceback: Option<Object<'a>>,
}

/// Takes the exception that is set; there is one after every [`Raised`].
pub(crate) fn take<'a>(attached: &'a Attached<'_>, _: Raised) -> Option<Exception<'a>> {
    let (mut kind, mut value, mut traceback) = (null_mut(), null_mut(), null_mut());
    // SAFETY: attached; the three references are ours after PyErr_Fetch.
    #[allow(deprecated)]
    unsafe {
        ffi::PyErr_Fetch(&mut kind, &mut value, &mut traceback);
        ffi::PyErr_NormalizeException(&mut kind, &mut value, &mut traceback);
        let kind = Object::owned(attached, kind).ok();
        let value = Object::owned(attached, value).ok();
        let traceback = Object::owned(attached, traceback).ok();
        Some(Exception { kind: kind?, value, traceback })
    }
}

/// Forgets the exception that is set.
pub(crate) fn clear(_: &Attached<'_>, _: Raised) {
    // SAFETY: attached.
    unsafe { ffi::PyErr_Clear() };
}

impl Exception<'_> {
    /// Whether it is an instance of `class`.
    pub(crate) fn is(&self, class: &Object<'_>) -> bool {
        // SAFETY: attached (objects live); both are classes.
        unsafe { ffi::PyErr_GivenExceptionMatches(self.kind.as_ptr(), class.as_ptr()) != 0 }
    }

    /// Its text: what `describe(type, value, traceback, with_traceback)` of the runtime library makes of it, or, if
    /// even that fails, type and value.
    pub(crate) fn text(&self, attached: &Attached<'_>, describe: &Object<'_>, with_traceback: bool) -> Vec<u8> {
        // SAFETY: attached; None, True and False are immortal or borrowed from the interpreter.
        let described = unsafe {
            let none = match Object::borrowed(attached, ffi::Py_None()) {
                Ok(none) => none,
                Err(raised) => {
                    clear(attached, raised);
                    return b"failed running the given script".to_vec();
                }
            };
            let flag = if with_traceback { ffi::Py_True() } else { ffi::Py_False() };
            Object::borrowed(attached, flag).and_then(|flag| {
                describe.call(
                    attached,
                    &[
                        &self.kind,
                        self.value.as_ref().unwrap_or(&none),
                        self.traceback.as_ref().unwrap_or(&none),
                        &flag,
                    ],
                )
            })
        };
        match described {
            Ok(text) => encode(attached, &text),
            Err(raised) => {
                clear(attached, raised);
                self.plain_text(attached)
            }
        }
    }

    /// Type and value, made without running Python code that could fail again.
    pub(crate) fn plain_text(&self, attached: &Attached<'_>) -> Vec<u8> {
        let part = |name| match self.kind.attribute(attached, name) {
            Ok(name) => encode(attached, &name),
            Err(raised) => {
                clear(attached, raised);
                b"exception".to_vec()
            }
        };
        let mut name = part(c"__name__");
        let module = part(c"__module__");
        if module != b"builtins" {
            name = [module, name].join(&b'.');
        }
        let Some(value) = &self.value else { return name };
        // SAFETY: attached; a live object.
        let value = unsafe { Object::owned(attached, ffi::PyObject_Str(value.as_ptr())) };
        match value {
            Ok(value) => [name, encode(attached, &value)].join(&b": "[..]),
            Err(raised) => {
                clear(attached, raised);
                name
            }
        }
    }
}
