"""How does a script have something done again and again? registerTE, checked and as a plan for the native side."""

import _interlock
import _interlock_pipeline as pipeline
from _interlock import GearsError
from _interlock_registration import raw

pipeline.INTERNAL_FILES.add((lambda: 0).__code__.co_filename)

#: The longest period, in seconds: thirty years.
LONGEST = 10**9

Function = type(lambda: 0)
MISSING = object()


def registerTE(period_seconds=MISSING, callback=MISSING, key=None):
    """Calls `callback()` every `period_seconds`, counted from the end of one call to the next, until it raises.

    With `key` the timer is a key of the data set: it is saved and replicated, and ends with the key. Returns whether it
    was made: False if the key is there already.
    """
    if period_seconds is MISSING or callback is MISSING:
        raise GearsError("not enough arguments for time event")
    if type(callback) is not Function:
        raise GearsError("callback must be a function")
    check_code(callback)
    if isinstance(period_seconds, bool) or not isinstance(period_seconds, (int, float)):
        raise GearsError("time argument must be a long")
    if not 0 < period_seconds <= LONGEST:
        raise GearsError(f"time argument must be more than 0 and at most {LONGEST} seconds, not {period_seconds}")
    if key is not None and not isinstance(key, str):
        raise GearsError("key argument must be a string")

    def once():
        yield None

    step = pipeline.Step("foreach", lambda _: callback(), callback)
    plan = pipeline.Plan("PythonReader", once, {}, [step], "timer")
    options = [b"millis", max(1, int(period_seconds * 1000))]
    if key is not None:
        # A list, since it may be missing.
        options += [b"key", [raw(key)]]
    return _interlock.create_timer(plan, "TimeEvent", plan.description, plan.describe(), options)


def check_code(callback):
    """What can't be called without arguments is refused here, not at the first call."""
    if callback.__code__.co_flags & (pipeline.GENERATOR | pipeline.ASYNC_GENERATOR):
        raise GearsError("callback must not be a generator")
    if any(needed > 0 for needed in pipeline.required(callback)):
        raise GearsError("callback must take no arguments")
