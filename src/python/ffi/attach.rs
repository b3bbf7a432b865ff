//! Which interpreter is this thread attached to?
//!
//! [`Handle`] is one interpreter, [`Attached`] the proof that the current thread is attached to one (and so holds its
//! GIL). Any operating system thread attaches with a thread state of its own, which ends with the
//! token. CPython's `PyGILState` functions only know the main interpreter and are not used.

use std::cell::Cell;
use std::ffi::c_int;
use std::marker::PhantomData;
use std::ptr::{null_mut, NonNull};

use pyo3_ffi as ffi;

use super::alloc::Heap;
use super::object::Object;
use crate::python::run;

/// The files of functions that must not be interrupted: see [`Attached::is_delicate_frame`].
const DELICATE: [&[u8]; 4] =
    [b"<frozen importlib._bootstrap>", b"<_interlock_interrupt>", b"<_interlock_loop>", b"<_interlock_waiting>"];

thread_local! {
    /// The thread state this thread is attached with, as far as this module attached it. Not CPython's own
    /// notion: before 3.12 that is one variable for the whole process.
    static CURRENT: Cell<*mut ffi::PyThreadState> = const { Cell::new(null_mut()) };
}

/// One interpreter of this process.
#[derive(Debug)]
pub(crate) struct Handle {
    interp: NonNull<ffi::PyInterpreterState>,
    /// The thread state it was created with; it lives as long as the interpreter.
    root: *mut ffi::PyThreadState,
    heap: &'static Heap,
}

// SAFETY: the pointers are used only to attach to the interpreter, which CPython allows from any thread.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// Proof that this thread is attached to an interpreter.
pub(crate) struct Attached<'i> {
    thread: *mut ffi::PyThreadState,
    /// What this thread was attached with before, when it was.
    outer: *mut ffi::PyThreadState,
    kind: Kind,
    life: PhantomData<(&'i Handle, *mut ())>,
}

#[derive(PartialEq)]
enum Kind {
    /// We made the thread state and end it.
    Ours,
    /// CPython called us: the thread was attached before, and stays it.
    Calling,
}

impl Handle {
    /// The handle of the interpreter whose root thread state is `root`.
    ///
    /// # Safety
    /// `root` is a live thread state that nobody else uses, of an interpreter that allocates from `heap`.
    pub(super) unsafe fn new(root: *mut ffi::PyThreadState, heap: &'static Heap) -> Option<Self> {
        // SAFETY: `root` is alive.
        let interp = NonNull::new(unsafe { ffi::PyThreadState_GetInterpreter(root) })?;
        Some(Self { interp, root, heap })
    }

    pub(super) fn interp(&self) -> *mut ffi::PyInterpreterState {
        self.interp.as_ptr()
    }

    pub(super) fn root(&self) -> *mut ffi::PyThreadState {
        self.root
    }

    /// Its memory.
    pub(crate) fn heap(&self) -> &'static Heap {
        self.heap
    }

    /// Attaches this thread; waits for the interpreter's GIL. A thread that is attached to another
    /// interpreter (a script's command ran a script inline) is detached from that one until the token is dropped.
    pub(crate) fn attach(&self) -> Attached<'_> {
        let outer = CURRENT.get();
        // SAFETY: the interpreter is alive as long as its handle is used (see `python::interpreter`); when this
        // thread is attached already, it is with `outer`.
        let thread = unsafe {
            if !outer.is_null() {
                ffi::PyEval_SaveThread();
            }
            let thread = ffi::PyThreadState_New(self.interp.as_ptr());
            assert!(!thread.is_null(), "no memory for a Python thread state");
            ffi::PyEval_RestoreThread(thread);
            thread
        };
        CURRENT.set(thread);
        Attached { thread, outer, kind: Kind::Ours, life: PhantomData }
    }
}

impl Attached<'_> {
    /// The token of a function that CPython called.
    ///
    /// # Safety
    /// The calling thread is attached to an interpreter, and stays it while the token lives.
    pub(super) unsafe fn calling() -> Self {
        // SAFETY: attached, so there is a current thread state, and it is this thread's.
        let thread = unsafe { ffi::compat::PyThreadState_GetUnchecked() };
        let outer = CURRENT.replace(thread);
        Attached { thread, outer, kind: Kind::Calling, life: PhantomData }
    }

    /// Lets others have the GIL while `work` runs, which must not touch Python objects.
    pub(crate) fn detached<R>(&self, work: impl FnOnce() -> R) -> R {
        struct Reattach(*mut ffi::PyThreadState);
        impl Drop for Reattach {
            fn drop(&mut self) {
                // SAFETY: this thread's own thread state, saved below.
                unsafe { ffi::PyEval_RestoreThread(self.0) };
                CURRENT.set(self.0);
            }
        }
        CURRENT.set(null_mut());
        // SAFETY: the token proves that this thread is attached.
        let _reattach = Reattach(unsafe { ffi::PyEval_SaveThread() });
        work()
    }

    /// Gives waiting threads a chance to take the GIL.
    pub(crate) fn breathe(&self) {
        self.detached(|| ());
    }

    /// How many thread states the interpreter has, including this thread's and the root's.
    pub(crate) fn thread_states(&self) -> usize {
        self.threads().count()
    }

    /// The thread states of the interpreter.
    fn threads(&self) -> impl Iterator<Item = *mut ffi::PyThreadState> + '_ {
        // SAFETY: attached; thread states are unlinked only by threads that hold the same GIL.
        let first = unsafe { ffi::PyInterpreterState_ThreadHead(ffi::PyThreadState_GetInterpreter(self.thread)) };
        let some = |thread: *mut ffi::PyThreadState| (!thread.is_null()).then_some(thread);
        // SAFETY: as above.
        std::iter::successors(some(first), move |thread| some(unsafe { ffi::PyThreadState_Next(*thread) }))
    }

    /// The identity of this thread as `threading.get_ident()` and [`Attached::raise_in`] know it.
    pub(crate) fn ident(&self) -> Ident {
        ident()
    }

    /// This thread's state, for [`Attached::is_delicate`].
    pub(crate) fn thread(&self) -> ThreadRef {
        ThreadRef(self.thread)
    }

    /// Whether another thread of this interpreter is where an exception would do harm.
    pub(crate) fn is_delicate(&self, target: ThreadRef) -> bool {
        if !self.threads().any(|thread| thread == target.0) {
            return false;
        }
        // SAFETY: the thread state is in the interpreter's list, so it is alive; with the GIL held its frame does not
        // change.
        let frame = unsafe { ffi::PyThreadState_GetFrame(target.0) };
        // SAFETY: NULL or an owned reference; NULL without an exception when the thread runs no code.
        let frame = unsafe { Object::owned(self, frame.cast()) };
        frame.is_ok_and(|frame| self.is_delicate_frame(&frame))
    }

    /// Whether an exception raised in `frame` from outside would do harm: inside the bookkeeping of the import
    /// machinery, and inside the functions that replace locks. Both take and give back locks
    /// in Python code, and a lock whose taker was torn away at the wrong place stays locked for ever.
    fn is_delicate_frame(&self, frame: &Object<'_>) -> bool {
        // No collection, so no code of the script, and so no change of the GIL's holder in here.
        // SAFETY: attached.
        let collecting = unsafe { ffi::PyGC_Disable() != 0 };
        let file = frame
            .attribute(self, c"f_code")
            .and_then(|code| code.attribute(self, c"co_filename"))
            .map(|file| super::convert::encode(self, &file));
        let delicate = match file {
            Ok(file) => DELICATE.contains(&file.as_slice()),
            Err(raised) => {
                super::error::clear(self, raised);
                false
            }
        };
        if collecting {
            // SAFETY: attached.
            unsafe { ffi::PyGC_Enable() };
        }
        delicate
    }

    /// Raises `exception` (a class) in the thread `target` of this interpreter, as soon as it runs bytecode.
    pub(crate) fn raise_in(&self, target: Ident, exception: &Object<'_>) {
        // SAFETY: attached; CPython looks the thread up among the interpreter's own.
        unsafe { ffi::PyThreadState_SetAsyncExc(target.0 as _, exception.as_ptr()) };
    }

    /// Makes `targets` raise `exception` at every line and call for as long as
    /// [`must_raise`](run::must_raise) says so on that thread.
    ///
    /// A raised exception can be swallowed, and a loop that does so is hit at the same safe place every time. This
    /// leaves no line to run, not even in the handler.
    pub(crate) fn trace(&self, targets: &[ThreadRef], exception: &Object<'_>) {
        let class = exception.as_ptr();
        // SAFETY: attached; setting a C function as tracer runs no code.
        #[cfg(Py_3_12)]
        unsafe {
            // All threads is all that is on offer; the others' tracer does nothing.
            if !targets.is_empty() {
                PyEval_SetTraceAllThreads(Some(strike), class);
            }
        }
        #[cfg(not(Py_3_12))]
        for thread in self.threads().filter(|thread| targets.contains(&ThreadRef(*thread))) {
            // SAFETY: as above; the thread state is alive.
            unsafe { _PyEval_SetTrace(thread, Some(strike), class) };
        }
    }

    /// Ends what [`Attached::trace`] began, for all threads of this interpreter.
    pub(crate) fn trace_none(&self) {
        // SAFETY: attached.
        #[cfg(Py_3_12)]
        unsafe {
            PyEval_SetTraceAllThreads(None, null_mut());
        }
        #[cfg(not(Py_3_12))]
        for thread in self.threads().filter(|thread| *thread != self.thread) {
            // SAFETY: attached; the thread state is alive.
            unsafe { _PyEval_SetTrace(thread, None, null_mut()) };
        }
    }

    /// Takes back what [`Attached::raise_in`] has not delivered to the calling thread yet. `function` is one without
    /// arguments; it may be called, but does not run.
    #[cfg(Py_3_12)]
    pub(crate) fn forget_raised(&self, _function: &Object<'_>) {
        // SAFETY: attached.
        unsafe { ffi::PyThreadState_SetAsyncExc(self.ident().0 as _, null_mut()) };
    }

    /// Takes back what [`Attached::raise_in`] has not delivered to the calling thread yet. `function` is one without
    /// arguments; it is called, but does not run.
    ///
    /// Before 3.12 CPython notes for the whole interpreter that an exception waits, until one is delivered: taking it
    /// back by hand leaves the note, and a function that begins while it is traced then looks for the exception
    /// for ever. So one is delivered, at the beginning of the call.
    #[cfg(not(Py_3_12))]
    pub(crate) fn forget_raised(&self, function: &Object<'_>) {
        let (mut class, mut value, mut traceback) = (null_mut(), null_mut(), null_mut());
        // SAFETY: attached; what is fetched is restored.
        unsafe {
            ffi::PyErr_Fetch(&mut class, &mut value, &mut traceback);
            ffi::PyThreadState_SetAsyncExc(self.ident().0 as _, ffi::PyExc_BaseException);
        }
        if let Err(raised) = function.call(self, &[]) {
            super::error::clear(self, raised);
        }
        // SAFETY: as above.
        unsafe { ffi::PyErr_Restore(class, value, traceback) };
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        if self.kind == Kind::Ours {
            // SAFETY: the thread is attached with `thread`, which we made; `outer` was saved in `attach`.
            unsafe {
                ffi::PyThreadState_Clear(self.thread);
                ffi::PyThreadState_DeleteCurrent();
                if !self.outer.is_null() {
                    ffi::PyEval_RestoreThread(self.outer);
                }
            }
        }
        CURRENT.set(self.outer);
    }
}

type Trace = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyFrameObject, c_int, *mut ffi::PyObject) -> c_int;

extern "C" {
    // Exported by CPython, but not among pyo3-ffi's declarations.
    #[cfg(Py_3_12)]
    fn PyEval_SetTraceAllThreads(function: Option<Trace>, argument: *mut ffi::PyObject);
    #[cfg(not(Py_3_12))]
    fn _PyEval_SetTrace(
        thread: *mut ffi::PyThreadState,
        function: Option<Trace>,
        argument: *mut ffi::PyObject,
    ) -> c_int;
}

/// The tracer of [`Attached::trace`]; `class` is the exception to raise.
unsafe extern "C" fn strike(
    class: *mut ffi::PyObject,
    frame: *mut ffi::PyFrameObject,
    event: c_int,
    _: *mut ffi::PyObject,
) -> c_int {
    if !(event == ffi::PyTrace_LINE || event == ffi::PyTrace_CALL) || !run::must_raise() {
        return 0;
    }
    // SAFETY: CPython calls tracers attached, with a live frame.
    unsafe {
        let attached = Attached::calling();
        if Object::borrowed(&attached, frame.cast()).is_ok_and(|frame| attached.is_delicate_frame(&frame)) {
            return 0;
        }
        run::raising();
        ffi::PyErr_SetNone(class);
    }
    -1
}

/// A thread's state, seen from another thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ThreadRef(*mut ffi::PyThreadState);

// SAFETY: used only by threads that hold the GIL of the same interpreter.
unsafe impl Send for ThreadRef {}
// SAFETY: as above.
unsafe impl Sync for ThreadRef {}

/// A thread's identity within Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ident(std::ffi::c_ulong);

/// The calling thread's identity.
pub(crate) fn ident() -> Ident {
    // SAFETY: always callable.
    Ident(unsafe { ffi::PyThread_get_thread_ident() })
}
