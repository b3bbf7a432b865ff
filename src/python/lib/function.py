"""How does a library declare a function? The decorator redisgears.function, checked and as plain data for the native side."""

import _interlock
import _interlock_pipeline as pipeline
from _interlock_registration import error, raw

pipeline.INTERNAL_FILES.add((lambda: 0).__code__.co_filename)

MODES = ("async_local", "sync")

Function = type(lambda: 0)

# Flags of code objects, as in inspect, which is slow to import.
VARARGS = 0x04
GENERATOR, COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x200


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
        raise error("function argument must be a function")
    if name is None:
        name = function.__name__
    if not isinstance(name, str):
        raise error("function name must be a string")
    if not isinstance(readonly, bool):
        raise error("readonly is not boolean")
    if mode not in MODES:
        raise error(f"unknown mode of function {name}, expected one of {', '.join(MODES)}")
    if description is None:
        description = (function.__doc__ or "").strip().partition("\n")[0]
    if not isinstance(description, str):
        raise error("function description must be a string")
    check_code(name, function)
    options = [b"readonly", readonly, b"mode", raw(mode), b"description", raw(description)]
    _interlock.create_function(function, name, options)
    return function


def check_code(name, function):
    """What can't be called as RG.FCALL does is refused here, not at the first call."""
    code = function.__code__
    if code.co_flags & (GENERATOR | COROUTINE | ASYNC_GENERATOR):
        raise error(f"function {name} must return a value: it can be no coroutine and no generator")
    least = code.co_argcount - len(function.__defaults__ or ())
    named = code.co_kwonlyargcount - len(function.__kwdefaults__ or ())
    if named or least > 2 or (code.co_argcount < 2 and not code.co_flags & VARARGS):
        raise error(f"function {name} must take two arguments, keys and args")
