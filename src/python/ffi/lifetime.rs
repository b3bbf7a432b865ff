//! How does CPython start, and how are interpreters made and ended?
//!
//! CPython is initialised once and never finalised: `Py_FinalizeEx` aborts the process when a sub-interpreter is left.

#[cfg(Py_3_12)]
use std::ffi::c_int;
use std::ffi::{c_char, c_void, CStr, CString};
use std::mem::zeroed;
#[cfg(Py_3_12)]
use std::ptr::null_mut;

use pyo3_ffi as ffi;

use super::alloc::{self, Heap};
use super::attach::{Attached, Handle};
use super::native;
use super::object::{self, PyResult, Stored};
use super::{audit, error};
use crate::python::boot::{BootOptions, Library};
use crate::python::interpreter::Objects;

/// Makes libpython's symbols visible to extension modules. The server opens modules with RTLD_LOCAL, and with them
/// the libpython that they need; extension modules of Debian's and of most other builds expect
/// its symbols in the global scope, and fail with `undefined symbol` otherwise.
pub(crate) fn promote_libpython() -> Result<(), String> {
    let path = libpython().ok_or("cannot find the file of libpython")?;
    // SAFETY: a NUL-terminated path of a library that is loaded already (NOLOAD: no second copy can appear).
    // The handle is kept for ever: Python is never unloaded.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL | libc::RTLD_NOLOAD) };
    if handle.is_null() {
        return Err(format!("cannot promote {} to the global scope", path.to_string_lossy()));
    }
    Ok(())
}

/// The file that CPython's code was loaded from.
pub(crate) fn libpython() -> Option<CString> {
    // SAFETY: dladdr fills `info` when it returns non-zero; the name belongs to the loader and is copied.
    unsafe {
        let mut info: libc::Dl_info = zeroed();
        let address = ffi::Py_InitializeFromConfig as *const c_void;
        if libc::dladdr(address, &mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        Some(CStr::from_ptr(info.dli_fname).to_owned())
    }
}

/// Initialises CPython, compiles the runtime library, and sets the main interpreter up. The calling thread is attached
/// to nothing afterwards.
pub(crate) fn initialise(
    options: &BootOptions,
    executable: Option<&CStr>,
    sources: &[(&CStr, &str)],
) -> Result<(Handle, Objects, Library), String> {
    // SAFETY: CPython is not initialised yet (checked by the caller through `is_initialised`), so its settings may be
    // changed; all pointers outlive the calls.
    unsafe {
        alloc::install(options.allocator, options.own_heap && super::OWN_GIL);
        if options.guard {
            audit::install();
        }
        if ffi::PyImport_AppendInittab(native::NAME.as_ptr(), Some(native::init)) != 0 {
            return Err("cannot register the native module".to_owned());
        }
        let mut config: ffi::PyConfig = zeroed();
        ffi::PyConfig_InitIsolatedConfig(&mut config);
        config.install_signal_handlers = 0;
        config.parse_argv = 0;
        config.write_bytecode = 0;
        config.buffered_stdio = 0;
        // `site` is run by hand, and once: it is a third of what an interpreter's creation costs. The others
        // get their path from the main one.
        config.site_import = 0;
        if let Some(executable) = executable {
            let target = &raw mut config.executable;
            check(ffi::PyConfig_SetBytesString(&mut config, target, executable.as_ptr()))?;
        }
        check(ffi::Py_InitializeFromConfig(&config))?;
        ffi::PyConfig_Clear(&mut config);
        let root = ffi::PyThreadState_Get();
        let handle = Handle::new(root, Heap::main()).ok_or("the main interpreter is missing")?;
        let result = {
            let attached = Attached::calling();
            prepare_main(&attached, options, sources)
                .map_err(|raised| fault(&attached, raised, "setting the main interpreter up"))
        };
        ffi::PyEval_SaveThread();
        let (objects, library) = result?;
        Ok((handle, objects, library))
    }
}

/// Whether somebody has initialised CPython in this process already.
pub(crate) fn is_initialised() -> bool {
    // SAFETY: always callable.
    unsafe { ffi::Py_IsInitialized() != 0 }
}

/// # Safety
/// The texts of `status` are alive, as CPython's are.
unsafe fn check(status: ffi::PyStatus) -> Result<(), String> {
    // SAFETY: plain data; `err_msg` is NULL or a NUL-terminated text.
    unsafe {
        if ffi::PyStatus_Exception(status) == 0 {
            return Ok(());
        }
        let text = if status.err_msg.is_null() {
            "unknown error".into()
        } else {
            CStr::from_ptr(status.err_msg).to_string_lossy()
        };
        Err(format!("Python does not start: {text}"))
    }
}

fn fault(attached: &Attached<'_>, raised: object::Raised, what: &str) -> String {
    let text = error::take(attached, raised).map(|exception| exception.plain_text(attached)).unwrap_or_default();
    format!("{what} failed: {}", String::from_utf8_lossy(&text))
}

/// Runs `site`, preloads, compiles the library, and loads it.
fn prepare_main(
    attached: &Attached<'_>,
    options: &BootOptions,
    sources: &[(&CStr, &str)],
) -> PyResult<(Objects, Library)> {
    let site = object::import(attached, c"site")?;
    drop(site.attribute(attached, c"main")?.call(attached, &[])?);
    if options.preload_datetime {
        // CPython 3.12 and 3.13 keep types of _datetime in process-wide variables that the first interpreter to
        // import it owns; when two sub-interpreters did, the process aborts (CPython issues 136421, 136423).
        drop(object::import(attached, c"datetime")?);
    }
    let mut library = Library { modules: Vec::new(), path: Vec::new(), guarded: options.guard };
    for (name, source) in sources {
        let file = format!("<{}>", name.to_string_lossy());
        let file = CString::new(file).unwrap_or_default();
        let code = object::compile(attached, source.as_bytes(), &file)?;
        library.modules.push(((*name).to_owned(), object::marshal(attached, &code)?));
    }
    let path = object::import(attached, c"sys")?.attribute(attached, c"path")?;
    library.path = object::marshal(attached, &path)?;
    let objects = load(attached, &library, true)?;
    // Before 3.12 the C part of asyncio keeps objects of the first interpreter that imports it, for all: let that be the one
    // that never ends, or no event loop would start after it. Imported here, for the runtime library has to patch it.
    #[cfg(not(Py_3_12))]
    drop(object::import(attached, c"asyncio")?);
    Ok((objects, library))
}

/// Loads the runtime library into the interpreter this thread is attached to.
fn load(attached: &Attached<'_>, library: &Library, main: bool) -> PyResult<Objects> {
    let mut runtime = None;
    for (name, code) in &library.modules {
        runtime = Some(object::exec_module(attached, name, code)?);
    }
    let runtime = match runtime {
        Some(runtime) => runtime,
        None => object::import(attached, c"builtins")?,
    };
    let path = object::unmarshal(attached, &library.path)?;
    let main = object::flag(attached, main)?;
    let guarded = object::flag(attached, library.guarded)?;
    drop(runtime.attribute(attached, c"prepare")?.call(attached, &[&path, &main, &guarded])?);
    let stored = |name: &CStr| -> PyResult<Stored> { Ok(runtime.attribute(attached, name)?.store()) };
    Ok(Objects {
        template: stored(c"template")?,
        describe: stored(c"describe")?,
        run_plan: stored(c"run_plan")?,
        run_profiled: stored(c"run_profiled")?,
        profile_text: stored(c"profile_text")?,
        resume_plan: stored(c"resume_plan")?,
        call_option: stored(c"call_option")?,
        wait_for: stored(c"wait_for")?,
        farewell: stored(c"farewell")?,
        settle: stored(c"settle")?,
        renew_import_locks: stored(c"renew_import_locks")?,
        stopped: stored(c"GearsForceStopped")?,
    })
}

/// Creates a sub-interpreter, ready to run scripts.
pub(crate) fn create_interpreter(library: &Library, main: &Handle) -> Result<(Handle, Objects), String> {
    let heap = Heap::fresh();
    // SAFETY: the recipe of CPython's embedding documentation: attached to the main interpreter, create; the new
    // thread state is current then. See the comments for what differs between versions.
    unsafe {
        let outer = main.attach();
        let main_thread = ffi::compat::PyThreadState_GetUnchecked();
        let root = heap.owning(|| new_interpreter())?;
        let Some(handle) = Handle::new(root, heap) else {
            return Err("the new interpreter is missing".to_owned());
        };
        heap.claim(handle.interp());
        let result = {
            let attached = Attached::calling();
            load(&attached, library, false).map_err(|raised| fault(&attached, raised, "setting an interpreter up"))
        };
        // Back to the main interpreter's thread state, which this thread's token ends.
        ffi::PyEval_SaveThread();
        ffi::PyEval_RestoreThread(main_thread);
        drop(outer);
        match result {
            Ok(objects) => Ok((handle, objects)),
            Err(text) => {
                finish(&handle);
                Err(text)
            }
        }
    }
}

#[cfg(Py_3_12)]
unsafe fn new_interpreter() -> Result<*mut ffi::PyThreadState, String> {
    let config = ffi::PyInterpreterConfig {
        use_main_obmalloc: c_int::from(!super::OWN_GIL),
        // Forking is refused by the audit hook, with a better text.
        allow_fork: 1,
        allow_exec: 1,
        allow_threads: 1,
        // They may outlive the script, but not the interpreter: it ends after its last thread.
        allow_daemon_threads: 1,
        // With a shared GIL modules of the old kind can be loaded, _ctypes of 3.12 among them.
        check_multi_interp_extensions: c_int::from(super::OWN_GIL),
        gil: if super::OWN_GIL { ffi::PyInterpreterConfig_OWN_GIL } else { ffi::PyInterpreterConfig_SHARED_GIL },
    };
    let mut root = null_mut();
    // SAFETY: attached to the main interpreter, says the caller.
    unsafe { check(ffi::Py_NewInterpreterFromConfig(&mut root, &config))? };
    Ok(root)
}

#[cfg(not(Py_3_12))]
unsafe fn new_interpreter() -> Result<*mut ffi::PyThreadState, String> {
    // SAFETY: attached to the main interpreter, says the caller.
    let root = unsafe { ffi::Py_NewInterpreter() };
    if root.is_null() {
        return Err("Python cannot create an interpreter".to_owned());
    }
    // SAFETY: a live thread state of a new interpreter, attached to it.
    unsafe { number_threads_apart(root) };
    Ok(root)
}

/// The beginning of CPython 3.11's interpreter state.
#[cfg(not(Py_3_12))]
#[repr(C)]
struct InterpreterState {
    next: *mut ffi::PyInterpreterState,
    /// Unsigned in CPython.
    last_thread_id: i64,
    threads: *mut ffi::PyThreadState,
}

/// Lets the numbers of an interpreter's thread states begin where no other one's are.
///
/// Before 3.12 each interpreter counts from 1, but `_asyncio` remembers the running loop of one thread for the whole process, by
/// that number: of two event loops whose threads had the same one, the second would not start, or take the first for its own.
///
/// # Safety
/// `root` is the only thread state of an interpreter, attached.
#[cfg(not(Py_3_12))]
unsafe fn number_threads_apart(root: *mut ffi::PyThreadState) {
    // SAFETY: the caller's promise. The field is written only where those beside it are what they should be.
    unsafe {
        let interp = ffi::PyThreadState_GetInterpreter(root);
        let state = interp.cast::<InterpreterState>();
        let is_known = (*state).threads == ffi::PyInterpreterState_ThreadHead(interp)
            && (*state).last_thread_id == ffi::PyThreadState_GetID(root);
        debug_assert!(is_known, "another layout of the interpreter's state");
        if is_known {
            (*state).last_thread_id = ffi::PyInterpreterState_GetID(interp) << 32;
        }
    }
}

/// Ends an interpreter that nobody uses any more, unless a thread of it is left; whether it ended.
/// `before` is called while attached, to release what Rust still holds of it.
pub(crate) fn end_interpreter(handle: &Handle, objects: &Objects, before: impl FnOnce(&Attached<'_>)) -> bool {
    // SAFETY: nobody else uses the root thread state; the interpreter is alive.
    unsafe {
        ffi::PyEval_RestoreThread(handle.root());
        let alone = {
            let attached = Attached::calling();
            before(&attached);
            let alone = attached.thread_states() == 1;
            if alone {
                release(&attached, objects);
            }
            alone
        };
        ffi::PyEval_SaveThread();
        if alone {
            finish(handle);
        }
        alone
    }
}

/// Drops the references that the native side keeps to the runtime library.
fn release(attached: &Attached<'_>, objects: &Objects) {
    let Objects {
        template,
        describe,
        run_plan,
        run_profiled,
        profile_text,
        resume_plan,
        call_option,
        wait_for,
        farewell,
        settle,
        renew_import_locks,
        stopped,
    } = objects;
    template.get(attached).clear_dict();
    for stored in [template, describe, run_plan, run_profiled, profile_text, resume_plan, call_option, wait_for] {
        stored.release(attached);
    }
    for stored in [farewell, settle, renew_import_locks, stopped] {
        stored.release(attached);
    }
}

/// # Safety
/// The calling thread is attached to nothing, and no other thread uses the interpreter.
unsafe fn finish(handle: &Handle) {
    let heap = handle.heap();
    // SAFETY: attached with the root thread state, the only one, as Py_EndInterpreter demands.
    unsafe {
        ffi::PyEval_RestoreThread(handle.root());
        heap.set_limit(None);
        heap.owning(|| ffi::Py_EndInterpreter(handle.root()));
        #[cfg(not(Py_3_12))]
        {
            // Before 3.12 the GIL is still held now, by nobody: let a thread state of the main interpreter take
            // it over and go.
            let thread = ffi::PyThreadState_New(ffi::PyInterpreterState_Main());
            ffi::PyThreadState_Swap(thread);
            ffi::PyThreadState_Clear(thread);
            ffi::PyThreadState_DeleteCurrent();
        }
    }
    heap.retire(handle.interp());
}

/// The version of CPython, for example `3.11.2`.
pub(crate) fn version() -> String {
    // SAFETY: a static NUL-terminated text.
    let text = unsafe { CStr::from_ptr(ffi::Py_GetVersion().cast::<c_char>()) }.to_string_lossy();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Lets other threads of the process run first.
pub(crate) fn lower_priority() {
    // SAFETY: plain system calls; on Linux the priority belongs to the calling thread.
    unsafe {
        let thread = libc::syscall(libc::SYS_gettid);
        libc::setpriority(libc::PRIO_PROCESS, thread as libc::id_t, 10);
    }
}
