"""What does a script find when it starts?

The names that every script has without importing anything, the module `redisgears` (also `rg`), and the functions
by which the native side sets an interpreter up, runs plans and describes exceptions.
"""

import gc
import io
import sys

import _interlock
import _interlock_builder as builder
import _interlock_function as function
import _interlock_guard as guard
import _interlock_interrupt as interrupt
import _interlock_loop as loop
import _interlock_pipeline as pipeline
import _interlock_profile as profile
import _interlock_timer as timer
import _interlock_waiting as waiting
from _interlock import GearsError, GearsFlatError, GearsForceStopped

run_plan = pipeline.run_plan
resume_plan = pipeline.resume_plan
run_profiled = profile.run_profiled
profile_text = profile.profile_text
call_option = pipeline.call_option
wait_for = function.wait_for
settle = interrupt.settle
renew_import_locks = interrupt.renew_import_locks
pipeline.INTERNAL_FILES.add((lambda: 0).__code__.co_filename)

#: Extension modules that can be loaded once per process, and poison it when a sub-interpreter tries. Where each
#: interpreter has its own GIL, from 3.13 on, CPython refuses such modules itself.
SINGLE_INTERPRETER = ("numpy",)

#: What the refusal of an extension module looks like, by CPython and by Cython.
REFUSALS = ("subinterpreter", "more than once per process", "Interpreter change detected")

#: What to do about it.
ADVICE = "use ISOLATION shared for scripts that need it"


# --- the server ---------------------------------------------------------------------------------------------

LEVELS = ("debug", "verbose", "notice", "warning")

execute = _interlock.execute
hashtag = _interlock.hashtag


class PyAtomic:
    """Holds the server's lock inside a `with` block."""

    # Native functions are no descriptors: they are called without self, and no bytecode of ours runs
    # that an interrupt could strike between taking the lock and the block.
    __enter__ = _interlock.enter_atomic
    __exit__ = _interlock.leave_atomic


def log(*args, msg=None, level="notice"):
    """Writes a line to the server's log: log(msg, level='notice')."""
    if len(args) == 2:
        level, msg = args
    elif len(args) == 1 and msg is None:
        msg = args[0]
    elif args or msg is None:
        raise TypeError("log() takes a message and a level")
    if not isinstance(msg, str):
        raise GearsError("Log message must be a string")
    if level not in LEVELS:
        raise GearsError(f"Log level should be one of the following : {','.join(LEVELS)}")
    _interlock.log(level, msg)


def config_get(*args):
    """A value of the extra configuration as str, or None."""
    if len(args) != 1:
        raise GearsError("get_config function must get a single key input")
    if not isinstance(args[0], str):
        raise GearsError("get_config key must be a string")
    return _interlock.config_get(args[0])


def gearsConfigGet(key, default=None):
    """As configGet, with a default."""
    value = config_get(key)
    return default if value is None else value


def flat_error(msg):
    """Raises an error whose text is exactly msg."""
    raise GearsFlatError(msg)


call_next = _interlock.call_next
get_command = _interlock.get_command


def isAsyncAllow():
    """Whether a step may return a coroutine or a future here."""
    return not loop.in_loop() and _interlock.may_wait()


def override_reply(*args):
    """Gives the client that started this execution another reply than its results."""
    if len(args) != 1:
        raise GearsError("override_reply takes one value")
    _interlock.override_reply(pipeline.nulls(args[0]))


def setGearsSession(session):
    """Makes the calling thread work for what getGearsSession() returned elsewhere, unless it works for something."""
    if session is not None and _interlock.current_run() is None:
        _interlock.adopt_thread(session)


def registerGearsThread():
    """Every thread that a script starts belongs to it: there is nothing to register."""


registerTE = timer.registerTE
gearsFuture = waiting.Future
createFuture = loop.createFuture
setFutureResults = loop.setFutureResults
setFutureException = loop.setFutureException
runCoroutine = builder.runCoroutine
getGearsSession = _interlock.current_run
gearsCtx = builder.GearsBuilder


class KeySource:
    """Batches of key records, read from the server."""

    __slots__ = ("_source",)

    def __init__(self, pattern, no_scan=False, read_value=True):
        self._source = _interlock.open_source(pattern, no_scan, read_value)

    def next(self):
        """The next records, as a list of dicts; empty at the end."""
        return _interlock.next_records(self._source)

    def close(self):
        """Stops reading."""
        _interlock.close_source(self._source)


_interlock.open_keys = KeySource


# --- names that cost an import ------------------------------------------------------------------------------


class Lazy:
    """A module, or a class of one, that is imported when it is first used."""

    def __init__(self, module, name=None):
        self.__dict__["_target"] = (module, name)

    def _real(self):
        module, name = self._target
        __import__(module)
        real = sys.modules[module]
        return real if name is None else getattr(real, name)

    def __getattr__(self, name):
        return getattr(self._real(), name)

    def __setattr__(self, name, value):
        setattr(self._real(), name, value)

    def __call__(self, *args, **kwargs):
        return self._real()(*args, **kwargs)

    def __mro_entries__(self, bases):
        return (self._real(),)

    def __instancecheck__(self, instance):
        return isinstance(instance, self._real())

    def __subclasscheck__(self, cls):
        return issubclass(cls, self._real())

    def __repr__(self):
        return repr(self._real())


# --- the module redisgears ----------------------------------------------------------------------------------


def _module():
    module = type(sys)("redisgears", "What RedisGears offers to Python code.")
    vars(module).update(
        executeCommand=execute,
        callNext=call_next,
        getCommand=get_command,
        overrideReply=override_reply,
        atomicCtx=PyAtomic,
        getMyHashTag=hashtag,
        registerTimeEvent=registerTE,
        gearsCtx=gearsCtx,
        gearsFutureCtx=gearsFuture,
        function=function.function,
        log=log,
        config_get=config_get,
        setGearsSession=setGearsSession,
        getGearsSession=getGearsSession,
        registerGearsThread=registerGearsThread,
        isInAtomicBlock=_interlock.in_atomic,
        isAsyncAllow=isAsyncAllow,
        flatError=flat_error,
        PyAtomic=PyAtomic,
        PyFuture=builder.PyFuture,
        PyFlatExecution=builder.GearsBuilder,
        GearsError=GearsError,
        GearsForceStopped=GearsForceStopped,
        GearsFlatError=GearsFlatError,
    )
    return module


redisgears = sys.modules["redisgears"] = _module()


def _deprecated(old, new, function):
    def call(*args, **kwargs):
        log(f"{old} is deprecated, use {new} instead", level="warning")
        return function(*args, **kwargs)

    call.__name__ = call.__qualname__ = old
    return call


#: What the globals of each script are a copy of.
template = {
    "__name__": "not_main",
    "__builtins__": __builtins__,
    "__doc__": None,
    "GearsBuilder": builder.GearsBuilder,
    "GB": builder.GearsBuilder,
    "execute": execute,
    "atomic": PyAtomic,
    "hashtag": hashtag,
    "log": log,
    "configGet": config_get,
    "gearsConfigGet": gearsConfigGet,
    "call_next": call_next,
    "get_command": get_command,
    "override_reply": override_reply,
    "flat_error": flat_error,
    "gearsFuture": gearsFuture,
    "createFuture": createFuture,
    "setFutureResults": setFutureResults,
    "setFutureException": setFutureException,
    "runCoroutine": runCoroutine,
    "isInAtomicBlock": _interlock.in_atomic,
    "isAsyncAllow": isAsyncAllow,
    "registerTE": registerTE,
    "gearsCtx": gearsCtx,
    "getGearsSession": getGearsSession,
    "setGearsSession": setGearsSession,
    "registerGearsThread": registerGearsThread,
    "createKeysOnlyReader": builder.createKeysOnlyReader,
    "shardReaderCallback": builder.shardReaderCallback,
    "PyFlatExecution": builder.GearsBuilder,
    "Log": _deprecated("Log", "log", log),
    "ConfigGet": _deprecated("ConfigGet", "configGet", config_get),
    "GearsConfigGet": _deprecated("GearsConfigGet", "gearsConfigGet", gearsConfigGet),
    "redisgears": redisgears,
    "rg": redisgears,
    "asyncio": Lazy("asyncio"),
    "copy": Lazy("copy"),
    "io": io,
    "cProfile": Lazy("cProfile"),
    "pstats": Lazy("pstats"),
    "Thread": Lazy("threading", "Thread"),
    "Future": Lazy("asyncio", "Future"),
}


# --- for the native side ------------------------------------------------------------------------------------


def describe(kind, value, traceback, with_traceback):
    """The text of an exception, as a client sees it."""
    if isinstance(value, GearsFlatError):
        return str(value)
    if not with_traceback:
        return f"Error type: {kind}, Value: {value}"
    if isinstance(value, GearsForceStopped):
        return str(stopped_lines(kind, pipeline.outer_frames_removed(traceback)))
    from traceback import format_exception

    return str(format_exception(kind, value, pipeline.outer_frames_removed(traceback)))


def stopped_lines(kind, traceback):
    """The lines of a traceback, made without importing anything: the thread is being interrupted."""
    lines = ["Traceback (most recent call last):\n"]
    while traceback is not None and len(lines) < 50:
        code = traceback.tb_frame.f_code
        lines.append(f'  File "{code.co_filename}", line {traceback.tb_lineno}, in {code.co_name}\n')
        traceback = traceback.tb_next
    lines.append(f"{kind.__module__}.{kind.__name__}: the script was stopped\n")
    return lines


class Output(io.TextIOBase):
    """sys.stdout and sys.stderr: lines of the server's log."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def writable(self):
        """True."""
        return True

    def write(self, text, /):
        """Logs the lines that the text completes."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        _interlock.write(text)
        return len(text)


def refuse_extensions(shared_gil):
    """Makes the refusal of an extension module say what to do about it."""
    loader = __import__("_frozen_importlib_external").ExtensionFileLoader
    create = loader.create_module

    def create_module(self, spec):
        """Creates an extension module, if it can live in a sub-interpreter."""
        package = spec.name.partition(".")[0]
        if shared_gil and package in SINGLE_INTERPRETER:
            raise ImportError(
                f"{spec.name} does not support loading in subinterpreters: {ADVICE}", name=spec.name, path=spec.origin
            )
        try:
            return create(self, spec)
        except ImportError as error:
            if any(refusal in str(error) for refusal in REFUSALS):
                raise ImportError(f"{error}: {ADVICE}", name=spec.name, path=spec.origin) from None
            raise

    loader.create_module = create_module


def bound_recursion():
    """Before 3.12 the recursion limit is all that keeps a recursion through C code from the end of the stack.

    A level takes up to two kilobytes, and the smallest stack is that of the server: its main thread's, 8 MB.
    """
    plain = sys.setrecursionlimit

    def setrecursionlimit(limit, /):
        """Sets the recursion limit, to at most 3000."""
        plain(limit if limit < 3000 else 3000)

    sys.setrecursionlimit = setrecursionlimit


def prepare(path, main, guarded):
    """Sets this interpreter up; called once."""
    # Modules that scripts import may look for the names there, as redgrease does.
    names = {name: value for name, value in template.items() if not name.startswith("__")}
    vars(sys.modules["__main__"]).update(names)
    shared_gil = sys.version_info < (3, 13)
    if not main:
        sys.path[:] = path
        refuse_extensions(shared_gil)
    if sys.version_info < (3, 12):
        bound_recursion()
    if main and shared_gil:
        # One GIL for all: what waits for it waits for the companion's tick, and then for this.
        sys.setswitchinterval(0.001)
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = Output()
    # input() would read what the server was started with.
    sys.stdin = sys.__stdin__ = None
    import _thread

    _thread.stack_size(32 * 1024 * 1024)
    if guarded:
        guard.install()
    interrupt.install()
    # An interpreter's first compilation makes the hundred classes of its syntax trees, which takes
    # milliseconds: here, and not in the first script.
    exec(compile("None", "<first>", "exec"), {})


def farewell():
    """What a script left for its end."""
    loop.end()
    atexit = sys.modules.get("atexit")
    if atexit is not None:
        atexit._run_exitfuncs()
    gc.collect()
