//! What does the module `_interlock` offer to the Python side?
//!
//! Its functions find the run of the calling thread, ask the host with the GIL released, and turn answers into Python
//! objects. The module has per-interpreter state only: the three exceptions.

use std::ffi::{c_char, c_int, c_void, CStr};
use std::mem::size_of;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3_ffi as ffi;

use super::attach::Attached;
use super::background::{
    background_run, enter_run, finish_call, finish_run, leave_run, may_wait, override_reply, resume_run, start_loop,
    RUN,
};
use super::convert::{argument, encode, list_item, records_to_python, to_python, to_reply, tuple_item};
use super::object::{self, Object, Raised};
use crate::python::host::{Host, KeysRequest, LogLevel, Options, PlanInfo, RecordSource, StepInfo};
use crate::python::run::{self, Refused, RunState};
use crate::python::script::Plan;
use crate::reply::Reply;
use crate::sync::Stop;

/// The module's name, for `PyImport_AppendInittab`.
pub(super) const NAME: &CStr = c"_interlock";

/// The exceptions of one interpreter; references are the module's.
#[repr(C)]
struct State {
    error: *mut ffi::PyObject,
    flat: *mut ffi::PyObject,
    stopped: *mut ffi::PyObject,
}

/// Why a native function fails.
pub(super) enum Fault {
    /// An exception is set already.
    Raised,
    /// `gears.error` with this text.
    Error(Vec<u8>),
    /// The run must stop.
    Stopped,
    /// `TypeError`.
    Usage(&'static str),
}

impl From<Raised> for Fault {
    fn from(_: Raised) -> Self {
        Fault::Raised
    }
}

impl From<Stop> for Fault {
    fn from(_: Stop) -> Self {
        Fault::Stopped
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Stopped => Fault::Stopped,
            Refused::Because(text) => Fault::Error(text.as_bytes().to_vec()),
        }
    }
}

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Fault::Error(text.into_bytes())
    }
}

pub(super) type Outcome<'a> = Result<Object<'a>, Fault>;

/// The call of one native function.
pub(super) struct Call<'a> {
    pub(super) attached: &'a Attached<'a>,
    arguments: &'a [*mut ffi::PyObject],
}

impl<'a> Call<'a> {
    pub(super) fn get(&self, at: usize) -> Result<Object<'a>, Fault> {
        match self.arguments.get(at) {
            // SAFETY: arguments are alive during the call.
            Some(argument) => Ok(unsafe { Object::borrowed(self.attached, *argument)? }),
            None => Err(Fault::Usage("an argument is missing")),
        }
    }

    fn text(&self, at: usize) -> Result<Vec<u8>, Fault> {
        Ok(argument(self.attached, &self.get(at)?)?)
    }

    fn utf8(&self, at: usize) -> Result<String, Fault> {
        Ok(String::from_utf8_lossy(&self.text(at)?).into_owned())
    }

    pub(super) fn truth(&self, at: usize) -> Result<bool, Fault> {
        let value = self.get(at)?;
        // SAFETY: attached; alive.
        match unsafe { ffi::PyObject_IsTrue(value.as_ptr()) } {
            -1 => Err(Fault::Raised),
            truth => Ok(truth != 0),
        }
    }

    fn is_none(&self, at: usize) -> bool {
        // SAFETY: compares addresses.
        self.arguments.get(at).is_none_or(|argument| *argument == unsafe { ffi::Py_None() })
    }

    pub(super) fn none(&self) -> Outcome<'a> {
        // SAFETY: attached.
        Ok(unsafe { Object::borrowed(self.attached, ffi::Py_None())? })
    }

    pub(super) fn flag(&self, flag: bool) -> Outcome<'a> {
        Ok(object::flag(self.attached, flag)?)
    }

    pub(super) fn run(&self) -> Result<Arc<RunState>, Fault> {
        run::current().ok_or_else(|| Fault::Error(b"this thread does not belong to a running script".to_vec()))
    }

    /// Asks the host something that may wait for the server's lock.
    fn ask<R>(&self, work: impl FnOnce(&dyn Host) -> R) -> Result<R, Fault> {
        let run = self.run()?;
        run.may_ask()?;
        let host = &*run.host;
        // Under the lock nothing waits, and giving the GIL away would mean to wait for it with the lock held.
        if host.holds_lock() {
            return Ok(work(host));
        }
        Ok(self.attached.detached(|| work(host)))
    }

    /// As [`Call::ask`] for one short question that begins and ends with the lock: if the lock is lent just now, nothing
    /// waits either.
    fn ask_briefly<R>(&self, work: impl FnOnce(&dyn Host) -> R) -> Result<R, Fault> {
        let run = self.run()?;
        run.may_ask()?;
        if run.host.keep_lent() {
            let _lent = Lent(&*run.host);
            return Ok(work(&*run.host));
        }
        self.ask(work)
    }
}

/// What [`Host::keep_lent`] took, until this is dropped.
struct Lent<'h>(&'h dyn Host);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.leave_atomic();
    }
}

/// The bridge from C: attaches the token, catches panics, raises faults.
///
/// # Safety
/// Called by CPython with a module as `module` and `count` live arguments.
unsafe fn enter(
    module: *mut ffi::PyObject,
    arguments: *mut *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    work: for<'a> fn(&Call<'a>) -> Outcome<'a>,
) -> *mut ffi::PyObject {
    // SAFETY: see above; a NULL array comes with a count of zero.
    unsafe {
        let attached = Attached::calling();
        let arguments: &[*mut ffi::PyObject] =
            if count <= 0 { &[] } else { std::slice::from_raw_parts(arguments, count as usize) };
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let call = Call { attached: &attached, arguments };
            work(&call).map(Object::into_ptr)
        }));
        match outcome {
            Ok(Ok(result)) => result,
            Ok(Err(fault)) => {
                raise(module, &attached, fault);
                null_mut()
            }
            Err(_) => {
                ffi::PyErr_SetString(ffi::PyExc_SystemError, c"internal error in the server's module".as_ptr());
                null_mut()
            }
        }
    }
}

/// # Safety
/// Attached; `module` is ours.
unsafe fn raise(module: *mut ffi::PyObject, attached: &Attached<'_>, fault: Fault) {
    // SAFETY: says the caller; the state has been filled by `exec`.
    unsafe {
        let state = ffi::PyModule_GetState(module).cast::<State>();
        match fault {
            Fault::Raised => {}
            Fault::Error(text) => {
                if let Ok(text) = object::text(attached, &text) {
                    ffi::PyErr_SetObject((*state).error, text.as_ptr());
                }
            }
            Fault::Stopped => ffi::PyErr_SetNone((*state).stopped),
            Fault::Usage(text) => {
                if let Ok(text) = object::text(attached, text.as_bytes()) {
                    ffi::PyErr_SetObject(ffi::PyExc_TypeError, text.as_ptr());
                }
            }
        }
    }
}

fn execute<'a>(call: &Call<'a>) -> Outcome<'a> {
    let attached = call.attached;
    if call.arguments.is_empty() {
        return Ok(to_python(attached, &Reply::Array(Vec::new()))?);
    }
    // SAFETY: attached; alive.
    if unsafe { ffi::PyUnicode_Check(call.get(0)?.as_ptr()) } == 0 {
        return Err(Fault::Error(b"the given command must be a string".to_vec()));
    }
    let argv = (0..call.arguments.len()).map(|at| call.text(at)).collect::<Result<Vec<_>, _>>()?;
    match call.ask_briefly(|host| host.execute(argv))? {
        Ok(Reply::Error(text)) | Err(text) => Err(Fault::Error(text)),
        Ok(reply) => Ok(to_python(attached, &reply)?),
    }
}

fn call_next<'a>(call: &Call<'a>) -> Outcome<'a> {
    let arguments = (0..call.arguments.len()).map(|at| call.text(at)).collect::<Result<Vec<_>, _>>()?;
    match call.ask(|host| host.call_next(arguments))? {
        Ok(reply) => Ok(to_python(call.attached, &reply)?),
        Err(text) => Err(Fault::Error(text)),
    }
}

fn get_command<'a>(call: &Call<'a>) -> Outcome<'a> {
    match call.ask(|host| host.command())? {
        Some(words) => Ok(to_python(call.attached, &Reply::bulks(words))?),
        None => Err(Fault::Error(b"Can not get command ctx".to_vec())),
    }
}

fn enter_atomic<'a>(call: &Call<'a>) -> Outcome<'a> {
    let run = call.run()?;
    if run.in_atomic() {
        return Err(Fault::Error(b"Already inside an atomic block".to_vec()));
    }
    call.ask(|host| {
        let entered = host.enter_atomic();
        if entered.is_ok() {
            // Here and not later: from now on whatever ends the run gives the lock back.
            run.entered_atomic();
        }
        entered
    })??;
    call.none()
}

fn leave_atomic<'a>(call: &Call<'a>) -> Outcome<'a> {
    let run = call.run()?;
    if !run.left_atomic() {
        return Err(Fault::Error(b"not inside an atomic block".to_vec()));
    }
    run.host.leave_atomic();
    // As the `__exit__` of a context manager: the exception, if any, goes on.
    call.flag(false)
}

fn holds_lock<'a>(call: &Call<'a>) -> Outcome<'a> {
    call.flag(run::current().is_some_and(|run| run.host.holds_lock()))
}

fn in_atomic<'a>(call: &Call<'a>) -> Outcome<'a> {
    call.flag(run::current().is_some_and(|run| run.in_atomic()))
}

fn in_script_body<'a>(call: &Call<'a>) -> Outcome<'a> {
    call.flag(run::current().is_some_and(|run| run.is_body()))
}

fn attempt_traceback<'a>(call: &Call<'a>) -> Outcome<'a> {
    call.flag(run::current().is_none_or(|run| run.traceback))
}

fn log<'a>(call: &Call<'a>) -> Outcome<'a> {
    let level = match call.text(0)?.as_slice() {
        b"debug" => LogLevel::Debug,
        b"verbose" => LogLevel::Verbose,
        b"warning" => LogLevel::Warning,
        _ => LogLevel::Notice,
    };
    let message = call.utf8(1)?;
    call.ask(|host| host.log(level, &message))?;
    call.none()
}

fn write<'a>(call: &Call<'a>) -> Outcome<'a> {
    let text = call.text(0)?;
    // What a thread prints after its run, or without one, has no log to go to.
    if let Some(run) = run::current() {
        let lines = run.print(&text);
        if !lines.is_empty() && run.may_ask().is_ok() {
            call.ask(|host| lines.iter().for_each(|line| host.log(LogLevel::Notice, line)))?;
        }
    }
    call.none()
}

fn hashtag<'a>(call: &Call<'a>) -> Outcome<'a> {
    let tag = call.ask(|host| host.hashtag())?;
    Ok(object::text(call.attached, tag.as_bytes())?)
}

fn config_get<'a>(call: &Call<'a>) -> Outcome<'a> {
    let key = call.utf8(0)?;
    match call.ask(|host| host.config_get(&key))? {
        Some(value) => Ok(to_python(call.attached, &Reply::Bulk(value))?),
        None => call.none(),
    }
}

/// Reader, description and steps: the arguments after the plan.
fn plan_info(call: &Call<'_>) -> Result<PlanInfo, Fault> {
    let attached = call.attached;
    let mut info = PlanInfo { reader: call.utf8(1)?, ..PlanInfo::default() };
    if !call.is_none(2) {
        info.description = Some(call.utf8(2)?);
    }
    let steps = call.get(3)?;
    while let Some(step) = list_item(attached, &steps, info.steps.len()) {
        let part = |at| -> Result<String, Fault> {
            let part = tuple_item(attached, &step, at)
                .ok_or(Fault::Usage("a step must be a tuple of kind, name and argument"))?;
            Ok(String::from_utf8_lossy(&encode(attached, &part)).into_owned())
        };
        info.steps.push(StepInfo { kind: part(0)?, name: part(1)?, arg: part(2)? });
    }
    Ok(info)
}

/// Hands a plan to the run, under the id that the host gives it.
fn keep_plan<'a>(call: &Call<'a>, registration: Option<Options>) -> Outcome<'a> {
    let run = call.run()?;
    // What comes after its run has returned is not waited for, and neither is what coroutines start.
    let apart = registration.is_none() && (call.truth(4)? || run.ending.is_some());
    let owner = run.owner.upgrade().ok_or_else(|| Fault::Error(b"the script has ended".to_vec()))?;
    let info = plan_info(call)?;
    let id = call.ask(|host| match &registration {
        Some(options) => host.create_registration(&info, options),
        None => host.create_execution(&info, apart),
    })??;
    let text = object::text(call.attached, id.as_bytes())?;
    let plan = Plan::new(id, info, registration, call.get(0)?.store(), owner);
    if apart {
        run.host.start(plan)?;
        return Ok(text);
    }
    run.plans.lock().unwrap_or_else(PoisonError::into_inner).push(plan);
    Ok(text)
}

/// Names and values one after the other.
fn options(call: &Call<'_>, at: usize) -> Result<Options, Fault> {
    let Ok(Reply::Array(flat)) = to_reply(call.attached, &call.get(at)?) else {
        return Err(Fault::Usage("options must be a list"));
    };
    let mut options = Options::default();
    let mut flat = flat.into_iter();
    while let (Some(Reply::Bulk(name)), Some(value)) = (flat.next(), flat.next()) {
        options.0.push((name, value));
    }
    Ok(options)
}

fn create_execution<'a>(call: &Call<'a>) -> Outcome<'a> {
    keep_plan(call, None)
}

fn create_registration<'a>(call: &Call<'a>) -> Outcome<'a> {
    if !call.run()?.is_body() {
        // What a step registers could not be made again from the script after a restart.
        return Err(Fault::Error(b"register() can only be called by the script itself, not by a step of it".to_vec()));
    }
    keep_plan(call, Some(options(call, 4)?))
}

fn create_timer<'a>(call: &Call<'a>) -> Outcome<'a> {
    let run = call.run()?;
    if run::on_thread_of_script() {
        return Err(Fault::Error(b"can not create time event on a python created thread".to_vec()));
    }
    let owner = run.owner.upgrade().ok_or_else(|| Fault::Error(b"the script has ended".to_vec()))?;
    let (info, options, in_body) = (plan_info(call)?, options(call, 4)?, run.is_body());
    let Some(ordinal) = call.ask(|host| host.create_timer(&options, in_body))?? else { return call.flag(false) };
    let plan = Plan::new(ordinal.to_string(), info, Some(options), call.get(0)?.store(), owner);
    if in_body {
        run.plans.lock().unwrap_or_else(PoisonError::into_inner).push(plan);
    } else {
        call.ask(|host| host.start_timer(plan))??;
    }
    call.flag(true)
}

fn create_function<'a>(call: &Call<'a>) -> Outcome<'a> {
    let run = call.run()?;
    let owner = run.owner.upgrade().filter(|_| run.is_body());
    let owner =
        owner.ok_or_else(|| Fault::Error(b"functions can only be declared by the body of a library".to_vec()))?;
    let (name, options) = (call.utf8(1)?, options(call, 2)?);
    call.ask(|host| host.declare_function(&name))??;
    let plan = Plan::new(name, PlanInfo::default(), Some(options), call.get(0)?.store(), owner);
    run.plans.lock().unwrap_or_else(PoisonError::into_inner).push(plan);
    call.none()
}

/// A KeysReader in progress; `None` once it is closed.
type Source = Mutex<Option<Box<dyn RecordSource>>>;

const SOURCE: &CStr = c"_interlock.source";

fn open_source<'a>(call: &Call<'a>) -> Outcome<'a> {
    let request = KeysRequest { pattern: call.text(0)?, no_scan: call.truth(1)?, read_value: call.truth(2)? };
    let source = call.ask(|host| host.open_keys(request))??;
    capsule(call, SOURCE, Box::new(Mutex::new(Some(source))) as Box<Source>, drop_capsule::<Source>)
}

fn next_records<'a>(call: &Call<'a>) -> Outcome<'a> {
    let capsule = call.get(0)?;
    let source: &Source = contents(&capsule, SOURCE)?;
    let batch = call.ask(|_| match source.try_lock() {
        Ok(mut source) => source.as_mut().map_or(Ok(Vec::new()), |source| source.next_batch()),
        Err(_) => Err("two threads read from the same reader at once".to_owned()),
    })??;
    Ok(records_to_python(call.attached, &batch)?)
}

fn close_source<'a>(call: &Call<'a>) -> Outcome<'a> {
    let capsule = call.get(0)?;
    let source: &Source = contents(&capsule, SOURCE)?;
    let taken = source.try_lock().ok().and_then(|mut source| source.take());
    if call.run()?.host.holds_lock() {
        drop(taken);
    } else {
        call.attached.detached(|| drop(taken));
    }
    call.none()
}

fn sleep<'a>(call: &Call<'a>) -> Outcome<'a> {
    let seconds = call.get(0)?;
    // SAFETY: attached; alive.
    let seconds = unsafe { ffi::PyFloat_AsDouble(seconds.as_ptr()) };
    // SAFETY: attached.
    if seconds == -1.0 && unsafe { !ffi::PyErr_Occurred().is_null() } {
        return Err(Fault::Raised);
    }
    let duration = Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX);
    match run::current() {
        Some(run) => call.attached.detached(|| run.sleep(duration))?,
        None => call.attached.detached(|| std::thread::sleep(duration)),
    }
    call.none()
}

fn current_run<'a>(call: &Call<'a>) -> Outcome<'a> {
    match run::current() {
        Some(run) => capsule(call, RUN, Box::new(run), drop_capsule::<Arc<RunState>>),
        None => call.none(),
    }
}

fn adopt_thread<'a>(call: &Call<'a>) -> Outcome<'a> {
    if !call.is_none(0) {
        let capsule = call.get(0)?;
        run::adopt(contents::<Arc<RunState>>(&capsule, RUN)?, call.attached)?;
    }
    call.none()
}

fn leave_thread<'a>(call: &Call<'a>) -> Outcome<'a> {
    run::leave(call.attached);
    call.none()
}

fn check_stop<'a>(call: &Call<'a>) -> Outcome<'a> {
    if run::must_raise() {
        run::raising();
        return Err(Fault::Stopped);
    }
    call.none()
}

pub(super) fn capsule<'a, T>(
    call: &Call<'a>,
    name: &'static CStr,
    content: Box<T>,
    free: unsafe extern "C" fn(*mut ffi::PyObject),
) -> Outcome<'a> {
    let content = Box::into_raw(content);
    // SAFETY: attached; `free` gets the capsule at its end and frees the content.
    unsafe {
        let capsule = ffi::PyCapsule_New(content.cast(), name.as_ptr(), Some(free));
        if capsule.is_null() {
            drop(Box::from_raw(content));
        }
        Ok(Object::owned(call.attached, capsule)?)
    }
}

/// What a capsule of ours holds. Each name goes with one type.
pub(super) fn contents<'c, T>(capsule: &'c Object<'_>, name: &'static CStr) -> Result<&'c T, Fault> {
    // SAFETY: attached; CPython checks that it is a capsule of this name, and the capsule keeps the content.
    unsafe {
        let content = ffi::PyCapsule_GetPointer(capsule.as_ptr(), name.as_ptr()).cast::<T>();
        content.as_ref().ok_or(Fault::Raised)
    }
}

pub(super) unsafe extern "C" fn drop_capsule<T>(capsule: *mut ffi::PyObject) {
    // SAFETY: called once, by CPython, for a capsule whose content is a boxed `T`.
    unsafe {
        let content = ffi::PyCapsule_GetPointer(capsule, ffi::PyCapsule_GetName(capsule)).cast::<T>();
        if !content.is_null() {
            let content = Box::from_raw(content);
            let _ = catch_unwind(AssertUnwindSafe(|| drop(content)));
        }
    }
}

/// The method table, and the C functions in it: one line a function.
macro_rules! functions {
    ($($function:ident: $doc:literal;)*) => {
        mod entry {
            $(
                pub(super) unsafe extern "C" fn $function(
                    module: *mut pyo3_ffi::PyObject,
                    arguments: *mut *mut pyo3_ffi::PyObject,
                    count: pyo3_ffi::Py_ssize_t,
                ) -> *mut pyo3_ffi::PyObject {
                    // SAFETY: CPython calls it as METH_FASTCALL demands.
                    unsafe { super::enter(module, arguments, count, super::$function) }
                }
            )*
        }

        fn methods() -> Vec<ffi::PyMethodDef> {
            let mut methods = vec![$(
                ffi::PyMethodDef {
                    ml_name: concat!(stringify!($function), "\0").as_ptr().cast::<c_char>(),
                    ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: entry::$function },
                    ml_flags: ffi::METH_FASTCALL,
                    ml_doc: concat!($doc, "\0").as_ptr().cast::<c_char>(),
                },
            )*];
            methods.push(ffi::PyMethodDef::zeroed());
            methods
        }
    };
}

functions! {
    execute: "execute(command, *arguments): runs a command of the server.";
    call_next: "call_next(*arguments): runs the command in whose place the execution stands.";
    get_command: "get_command(): the command that the execution was started for, as a list.";
    enter_atomic: "enter_atomic(): takes the server's lock.";
    leave_atomic: "leave_atomic(*exception): gives it back.";
    holds_lock: "holds_lock(): whether this thread holds the server's lock.";
    in_atomic: "in_atomic(): whether this thread is inside atomic().";
    in_script_body: "in_script_body(): whether a script's body runs, not a step of an execution.";
    attempt_traceback: "attempt_traceback(): whether error texts hold the traceback.";
    log: "log(level, message): writes a line to the server's log.";
    write: "write(text): what print() writes.";
    hashtag: "hashtag(): a text that hashes to this shard.";
    config_get: "config_get(key): a value of the extra configuration, or None.";
    create_execution: "create_execution(plan, reader, description, steps, apart): queues an execution, returns its id.";
    create_registration: "create_registration(plan, reader, description, steps, options): notes a registration, returns its id.";
    create_timer: "create_timer(plan, reader, description, steps, options): asks for a timer; whether it will be there.";
    create_function: "create_function(function, name, options): notes a function of a library.";
    open_source: "open_source(pattern, no_scan, read_value): starts to read keys.";
    next_records: "next_records(source): the next records, none at the end.";
    close_source: "close_source(source): stops reading.";
    sleep: "sleep(seconds): sleeps, until the run must stop.";
    current_run: "current_run(): the run of this thread, to give to adopt_thread in another.";
    adopt_thread: "adopt_thread(run): makes this thread one of the run's.";
    leave_thread: "leave_thread(): ends what adopt_thread began; no interrupt reaches this thread any more.";
    start_loop: "start_loop(function): calls a function on the event loop's thread, which it starts; once.";
    background_run: "background_run(queue): what the coroutines of an execution run as.";
    resume_run: "resume_run(run, queue): sees that somebody goes on with an execution that waited.";
    finish_call: "finish_call(run, returned, value): a function that waited has returned a value, or raised this text.";
    finish_run: "finish_run(run, outcome): an execution that waited has ended.";
    enter_run: "enter_run(run): this thread works for a run until leave_run().";
    leave_run: "leave_run(): ends what enter_run began.";
    may_wait: "may_wait(): whether a step may wait for something here.";
    override_reply: "override_reply(value): gives the client that waits another reply than the results.";
    check_stop: "check_stop(): raises when the run must stop.";
}

unsafe extern "C" fn exec(module: *mut ffi::PyObject) -> c_int {
    // SAFETY: CPython calls it once for each interpreter, attached, with the new module.
    unsafe {
        let state = ffi::PyModule_GetState(module).cast::<State>();
        let add = |slot: *mut *mut ffi::PyObject, attribute: &CStr, name: &CStr, base| {
            let class = ffi::PyErr_NewException(name.as_ptr(), base, null_mut());
            *slot = class;
            !class.is_null() && ffi::PyObject_SetAttrString(module, attribute.as_ptr(), class) == 0
        };
        let error = &raw mut (*state).error;
        let flat = &raw mut (*state).flat;
        let stopped = &raw mut (*state).stopped;
        let done = add(error, c"GearsError", c"gears.error", ffi::PyExc_Exception)
            && add(flat, c"GearsFlatError", c"gears.flat_error", ffi::PyExc_Exception)
            && add(stopped, c"GearsForceStopped", c"gears.forcestopped", ffi::PyExc_BaseException);
        if done {
            0
        } else {
            -1
        }
    }
}

unsafe extern "C" fn free(module: *mut c_void) {
    // SAFETY: CPython calls it once, attached, at the module's end; the state may never have been filled.
    unsafe {
        let state = ffi::PyModule_GetState(module.cast()).cast::<State>();
        if !state.is_null() {
            ffi::Py_CLEAR(&raw mut (*state).error);
            ffi::Py_CLEAR(&raw mut (*state).flat);
            ffi::Py_CLEAR(&raw mut (*state).stopped);
        }
    }
}

/// Makes the module's definition: the same for all interpreters. Called by CPython at each first import.
pub(super) extern "C" fn init() -> *mut ffi::PyObject {
    struct Definition(*mut ffi::PyModuleDef);
    // SAFETY: written once below, before anybody reads it.
    unsafe impl Send for Definition {}
    // SAFETY: as above.
    unsafe impl Sync for Definition {}
    static DEFINITION: std::sync::OnceLock<Definition> = std::sync::OnceLock::new();

    let definition = DEFINITION.get_or_init(|| {
        let mut slots = vec![ffi::PyModuleDef_Slot { slot: ffi::Py_mod_exec, value: exec as *mut c_void }];
        #[cfg(Py_3_12)]
        slots.push(ffi::PyModuleDef_Slot {
            slot: ffi::Py_mod_multiple_interpreters,
            value: ffi::Py_MOD_PER_INTERPRETER_GIL_SUPPORTED,
        });
        slots.push(ffi::PyModuleDef_Slot::default());
        // CPython keeps these for ever.
        Definition(Box::leak(Box::new(ffi::PyModuleDef {
            m_base: ffi::PyModuleDef_HEAD_INIT,
            m_name: NAME.as_ptr(),
            m_doc: c"What the server offers to its Python side.".as_ptr(),
            m_size: size_of::<State>() as ffi::Py_ssize_t,
            m_methods: Box::leak(methods().into_boxed_slice()).as_mut_ptr(),
            m_slots: Box::leak(slots.into_boxed_slice()).as_mut_ptr(),
            m_traverse: None,
            m_clear: None,
            m_free: Some(free),
        })))
    });
    // SAFETY: a complete definition that lives for ever.
    unsafe { ffi::PyModuleDef_Init(definition.0) }
}
