"""How does a library declare a function, and how is it called?

The decorator redisgears.function is checked and becomes plain data for the native side. A function that is a coroutine goes
on in the event loop when its call has returned, and answers the client at its end.
"""

import _interlock
import _interlock_loop as loop
import _interlock_pipeline as pipeline
from _interlock import GearsError
from _interlock_registration import raw

pipeline.INTERNAL_FILES.add((lambda: 0).__code__.co_filename)

MODES = ("async_local", "sync")

Function = type(lambda: 0)


def function(function=None, /, *, name=None, readonly=False, mode="async_local", description=None):
    """Declares a function of a library, which RG.FCALL calls with two lists: the keys, the arguments.

    `name` is the function's own unless it is given; a `readonly` function may not write, and RG.FCALL_RO can call it;
    `mode` is where it runs: 'async_local' on a worker, 'sync' at once and atomically.
    """
    if function is None:
        return lambda function: declared(function, name, readonly, mode, description)
    return declared(function, name, readonly, mode, description)


def declared(function, name, readonly, mode, description):
    """Notes a function; returns it as it is."""
    if type(function) is not Function:
        raise GearsError("function argument must be a function")
    if name is None:
        name = function.__name__
    if not isinstance(name, str):
        raise GearsError("function name must be a string")
    if not isinstance(readonly, bool):
        raise GearsError("readonly is not boolean")
    if mode not in MODES:
        raise GearsError(f"unknown mode of function {name}, expected one of {', '.join(MODES)}")
    if description is None:
        description = (function.__doc__ or "").strip().partition("\n")[0]
    if not isinstance(description, str):
        raise GearsError("function description must be a string")
    check_code(name, function, mode)
    options = [b"readonly", readonly, b"mode", raw(mode), b"description", raw(description)]
    _interlock.create_function(function, name, options)
    return function


def check_code(name, function, mode):
    """What can't be called as RG.FCALL does is refused here, not at the first call."""
    code = function.__code__
    if code.co_flags & (pipeline.GENERATOR | pipeline.ASYNC_GENERATOR):
        raise GearsError(f"function {name} must return a value: it can be no generator")
    if code.co_flags & pipeline.COROUTINE and mode == "sync":
        raise GearsError(f"function {name} of mode sync is atomic: it can be no coroutine")
    least, named = pipeline.required(function)
    if named or least > 2 or (code.co_argcount < 2 and not code.co_flags & pipeline.VARARGS):
        raise GearsError(f"function {name} must take two arguments, keys and args")


class Call:
    """The call of a function whose coroutine a client waits for."""

    __slots__ = ("run", "task")

    def __init__(self, coroutine):
        #: Set by the loop.
        self.task = None
        self.run = _interlock.background_run(self)
        loop.start(coroutine, self.run, self)

    def settle(self, value, error):
        """The coroutine has ended."""
        if error is None:
            _interlock.finish_call(self.run, True, value)
        else:
            _interlock.finish_call(self.run, False, pipeline.Errors().text_of(error))

    def abandon(self):
        """The call was stopped: nobody waits any more."""
        loop.call(lambda: self.task is not None and self.task.cancel())


def wait_for(coroutine):
    """What a call runs as whose function has returned a coroutine."""
    if not _interlock.may_wait():
        coroutine.close()
        pipeline.fail("ERR the function is a coroutine, which can not be waited for in MULTI, in Lua and in mode sync")
    return Call(coroutine).run
