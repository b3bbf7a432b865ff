//! What holds a Python object from Rust?
//!
//! [`Object`] is an owned reference that cannot outlive the [`Attached`] token it was made under. [`Stored`] is one that
//! outlives it: it does nothing when dropped, and must be given back with [`Stored::into_object`]
//! while attached to *its* interpreter.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::NonNull;

use pyo3_ffi as ffi;

use super::attach::Attached;

/// A Python exception is set; `ffi::error::take` reads it.
#[derive(Debug)]
pub(crate) struct Raised;

/// What a Python call gives.
pub(crate) type PyResult<T> = Result<T, Raised>;

/// An owned reference to a Python object.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    ptr: NonNull<ffi::PyObject>,
    life: PhantomData<&'a ()>,
}

impl<'a> Object<'a> {
    /// Takes over a new reference that a C function returned; NULL means that it raised.
    ///
    /// # Safety
    /// `ptr` is NULL with an exception set, or a reference that the caller owns.
    pub(super) unsafe fn owned(_: &'a Attached<'_>, ptr: *mut ffi::PyObject) -> PyResult<Self> {
        NonNull::new(ptr).map(|ptr| Self { ptr, life: PhantomData }).ok_or(Raised)
    }

    /// A new reference to an object that somebody else holds.
    ///
    /// # Safety
    /// `ptr` is NULL with an exception set, or a live object.
    pub(super) unsafe fn borrowed(attached: &'a Attached<'_>, ptr: *mut ffi::PyObject) -> PyResult<Self> {
        // SAFETY: alive, says the caller; attached.
        unsafe {
            ffi::Py_XINCREF(ptr);
            Self::owned(attached, ptr)
        }
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::PyObject {
        self.ptr.as_ptr()
    }

    pub(super) fn into_ptr(self) -> *mut ffi::PyObject {
        let ptr = self.ptr.as_ptr();
        std::mem::forget(self);
        ptr
    }

    /// Another reference to the same object.
    pub(crate) fn again(&self, attached: &'a Attached<'_>) -> Object<'a> {
        // SAFETY: `self` keeps it alive.
        unsafe {
            ffi::Py_INCREF(self.as_ptr());
            let _ = attached;
        }
        Object { ptr: self.ptr, life: PhantomData }
    }

    /// The attribute `name`.
    pub(crate) fn attribute(&self, attached: &'a Attached<'_>, name: &CStr) -> PyResult<Object<'a>> {
        // SAFETY: attached; a live object and a NUL-terminated name.
        unsafe { Object::owned(attached, ffi::PyObject_GetAttrString(self.as_ptr(), name.as_ptr())) }
    }

    /// Calls it with these arguments.
    pub(crate) fn call(&self, attached: &'a Attached<'_>, arguments: &[&Object<'_>]) -> PyResult<Object<'a>> {
        // SAFETY: attached; all objects are alive; the tuple takes over one reference to each.
        unsafe {
            let tuple = Object::owned(attached, ffi::PyTuple_New(arguments.len() as ffi::Py_ssize_t))?;
            for (at, argument) in arguments.iter().enumerate() {
                ffi::Py_INCREF(argument.as_ptr());
                ffi::PyTuple_SetItem(tuple.as_ptr(), at as ffi::Py_ssize_t, argument.as_ptr());
            }
            Object::owned(attached, ffi::PyObject_CallObject(self.as_ptr(), tuple.as_ptr()))
        }
    }

    /// A shallow copy of this dict.
    pub(crate) fn copy_dict(&self, attached: &'a Attached<'_>) -> PyResult<Object<'a>> {
        // SAFETY: attached; CPython checks the type.
        unsafe { Object::owned(attached, ffi::PyDict_Copy(self.as_ptr())) }
    }

    /// Whether it is None.
    pub(crate) fn is_none(&self) -> bool {
        // SAFETY: compares addresses.
        self.as_ptr() == unsafe { ffi::Py_None() }
    }

    /// Whether it is what an `async def` returns.
    pub(crate) fn is_coroutine(&self) -> bool {
        // SAFETY: looks at the type of a live object.
        unsafe { ffi::PyCoro_CheckExact(self.as_ptr()) != 0 }
    }

    /// Empties this dict.
    pub(crate) fn clear_dict(&self) {
        // SAFETY: attached (an `Object` cannot outlive its token); not a dict: nothing happens.
        unsafe { ffi::PyDict_Clear(self.as_ptr()) };
    }

    /// Keeps it beyond the token.
    pub(crate) fn store(self) -> Stored {
        let ptr = self.ptr;
        std::mem::forget(self);
        Stored(ptr)
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        // SAFETY: owned, and an `Object` cannot outlive the token under which it was made.
        unsafe { ffi::Py_DECREF(self.ptr.as_ptr()) };
    }
}

/// A reference that is kept while its owner is not attached.
#[derive(Debug)]
#[must_use = "a stored reference that is only dropped leaks its object"]
pub(crate) struct Stored(NonNull<ffi::PyObject>);

// SAFETY: the pointer is only used while attached to its interpreter.
unsafe impl Send for Stored {}
// SAFETY: as above.
unsafe impl Sync for Stored {}

impl Stored {
    /// Takes the reference back. The caller is attached to the interpreter it was stored in: the callers in
    /// `python::interpreter` and `python::script` keep both together.
    pub(crate) fn into_object<'a>(self, _: &'a Attached<'_>) -> Object<'a> {
        Object { ptr: self.0, life: PhantomData }
    }

    /// Drops the reference without taking `self`: for the end of an interpreter, after which nobody looks at it.
    pub(super) fn release(&self, _: &Attached<'_>) {
        // SAFETY: attached; the reference is ours, and is given back once.
        unsafe { ffi::Py_DECREF(self.0.as_ptr()) };
    }

    /// A reference of one's own to the stored object; the same condition as for [`Stored::into_object`].
    pub(crate) fn get<'a>(&self, _: &'a Attached<'_>) -> Object<'a> {
        // SAFETY: a stored reference keeps its object alive.
        unsafe { ffi::Py_INCREF(self.0.as_ptr()) };
        Object { ptr: self.0, life: PhantomData }
    }
}

/// A Python str; bytes that are not UTF-8 become surrogate escapes.
pub(crate) fn text<'a>(attached: &'a Attached<'_>, text: &[u8]) -> PyResult<Object<'a>> {
    // SAFETY: attached; the pointer and length are a slice's.
    unsafe {
        Object::owned(
            attached,
            ffi::PyUnicode_DecodeUTF8(text.as_ptr().cast(), text.len() as ffi::Py_ssize_t, c"surrogateescape".as_ptr()),
        )
    }
}

/// The module `name`, imported if it has to be.
pub(crate) fn import<'a>(attached: &'a Attached<'_>, name: &CStr) -> PyResult<Object<'a>> {
    // SAFETY: attached; NUL-terminated.
    unsafe { Object::owned(attached, ffi::PyImport_ImportModule(name.as_ptr())) }
}

/// Has modules looked for in the folder `path` before all others.
pub(crate) fn prefer_path(attached: &Attached<'_>, path: &[u8]) -> PyResult<()> {
    let list = import(attached, c"sys")?.attribute(attached, c"path")?;
    let path = text(attached, path)?;
    // SAFETY: attached; live objects.
    let done = unsafe {
        match ffi::PySequence_Contains(list.as_ptr(), path.as_ptr()) {
            0 => ffi::PyList_Insert(list.as_ptr(), 0, path.as_ptr()),
            found => found.min(0),
        }
    };
    if done == 0 {
        Ok(())
    } else {
        Err(Raised)
    }
}

/// Compiles a script body. `source` may hold anything; a NUL is a syntax error, as in CPython.
pub(crate) fn compile<'a>(attached: &'a Attached<'_>, source: &[u8], name: &CStr) -> PyResult<Object<'a>> {
    // SAFETY: attached. `compile()` itself takes bytes with a length, so that a NUL is an error and not an end.
    unsafe {
        let builtins = import(attached, c"builtins")?;
        let compile = builtins.attribute(attached, c"compile")?;
        let bytes = Object::owned(
            attached,
            ffi::PyBytes_FromStringAndSize(source.as_ptr().cast(), source.len() as ffi::Py_ssize_t),
        )?;
        let name = text(attached, name.to_bytes())?;
        let mode = text(attached, b"exec")?;
        let flags = Object::owned(attached, ffi::PyLong_FromLong(0))?;
        // dont_inherit: the flags of whatever frame happens to be current are not the script's.
        let inherit = Object::owned(attached, ffi::PyLong_FromLong(1))?;
        compile.call(attached, &[&bytes, &name, &mode, &flags, &inherit])
    }
}

/// Runs compiled code with `globals` as both namespaces.
pub(crate) fn evaluate<'a>(
    attached: &'a Attached<'_>,
    code: &Object<'_>,
    globals: &Object<'_>,
) -> PyResult<Object<'a>> {
    // SAFETY: attached; live objects.
    unsafe { Object::owned(attached, ffi::PyEval_EvalCode(code.as_ptr(), globals.as_ptr(), globals.as_ptr())) }
}

/// Every supported CPython reads it.
const MARSHAL_VERSION: std::ffi::c_int = 4;

/// Serialises code so that another interpreter of this process can load it.
pub(crate) fn marshal(attached: &Attached<'_>, code: &Object<'_>) -> PyResult<Vec<u8>> {
    // SAFETY: attached; the result is a bytes object.
    unsafe {
        let bytes = Object::owned(attached, ffi::PyMarshal_WriteObjectToString(code.as_ptr(), MARSHAL_VERSION))?;
        let data = ffi::PyBytes_AsString(bytes.as_ptr()).cast::<u8>();
        let size = ffi::PyBytes_Size(bytes.as_ptr()) as usize;
        Ok(std::slice::from_raw_parts(data, size).to_vec())
    }
}

/// Loads what [`marshal`] wrote.
pub(crate) fn unmarshal<'a>(attached: &'a Attached<'_>, data: &[u8]) -> PyResult<Object<'a>> {
    // SAFETY: attached; our own marshal data, written by the same CPython.
    unsafe {
        Object::owned(
            attached,
            ffi::PyMarshal_ReadObjectFromString(data.as_ptr().cast(), data.len() as ffi::Py_ssize_t),
        )
    }
}

/// True or False.
pub(crate) fn flag<'a>(attached: &'a Attached<'_>, flag: bool) -> PyResult<Object<'a>> {
    // SAFETY: attached.
    unsafe { Object::owned(attached, ffi::PyBool_FromLong(flag.into())) }
}

/// Loads code that [`marshal`] wrote as the module `name`, runs it, and returns the module.
pub(crate) fn exec_module<'a>(attached: &'a Attached<'_>, name: &CStr, code: &[u8]) -> PyResult<Object<'a>> {
    // SAFETY: attached; our own marshal data, written by the same CPython.
    unsafe {
        let code = unmarshal(attached, code)?;
        Object::owned(attached, ffi::PyImport_ExecCodeModule(name.as_ptr(), code.as_ptr()))
    }
}
