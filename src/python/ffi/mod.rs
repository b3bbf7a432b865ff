//! Where does the layer touch CPython's C interface?
//!
//! Only here, and so only here is `unsafe` allowed. What the rest of the layer gets is small: [`Handle`] and
//! [`Attached`] say which interpreter a thread is attached to, [`Object`] and [`Stored`] hold references, and a
//! handful of functions create interpreters, run code, convert values and read exceptions.
//! `pyo3-ffi` only: pyo3's safe layer keeps process-wide statics and refuses sub-interpreters.

#![allow(unsafe_code)]

mod alloc;
mod answer;
mod attach;
mod audit;
mod background;
mod convert;
mod error;
mod lifetime;
mod native;
mod object;

pub use alloc::RawAllocator;
pub(crate) use alloc::{note_peak, totals};
pub(crate) use answer::to_answer;
pub(crate) use attach::{ident, Attached, Handle, Ident, ThreadRef};
pub(crate) use background::run_in;
pub(crate) use convert::{encode, list_item, to_python, to_reply, tuple_item, Refusal};
pub(crate) use error::{clear, take};
pub(crate) use lifetime::{
    create_interpreter, end_interpreter, initialise, is_initialised, libpython, lower_priority, promote_libpython,
    version,
};
pub(crate) use object::{compile, evaluate, prefer_path, text, Object, PyResult, Raised, Stored};

/// Whether each sub-interpreter has a GIL of its own. CPython 3.12 could, but aborts under load.
pub(crate) const OWN_GIL: bool = cfg!(Py_3_13);
