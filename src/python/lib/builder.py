"""How does a script say what to run? GearsBuilder: a reader, steps one after the other, then run() or register().

Every operation checks its arguments at once, adds steps to the builder and returns it. Operations
that are more than one step (count, sort, avg, ...) are written in terms of the others, so that they
mean the same when records come from several shards.
"""

import sys

import _interlock
import _interlock_loop as loop
import _interlock_pipeline as pipeline
import _interlock_registration as registration
from _interlock import GearsError

pipeline.INTERNAL_FILES.add((lambda: 0).__code__.co_filename)

READERS = ("KeysReader", "StreamReader", "CommandReader", "PythonReader", "ShardsIDReader", "KeysOnlyReader")

#: The options that run() takes beside the reader's argument.
RUN_OPTIONS = {
    "KeysReader": ("noScan", "readValue"),
    "KeysOnlyReader": ("count", "noScan", "patternGenerator"),
    "StreamReader": ("fromId",),
    "PythonReader": (),
    "ShardsIDReader": (),
}

#: The name that marks a script's globals once its body has created an execution.
RAN = "__execution_created__"

Function = type(lambda: 0)

#: Types whose values need no copy of their own when one is the zero of an aggregation.
IMMUTABLE = frozenset((int, float, complex, bool, str, bytes, type(None)))


class PyFuture:
    """What run() returns: the execution that was created. A coroutine that awaits it gets [results, errors]."""

    __slots__ = ("executionId", "_outcome", "_future")

    def __init__(self, plan):
        self.executionId = self._outcome = self._future = None
        plan.ended = self._ended

    def __await__(self):
        # In this order: the execution may end on another thread meanwhile.
        self._future = future = self._future or loop.createFuture()
        if self._outcome is not None:
            self._tell()
        return future.__await__()

    def _ended(self, outcome, error):
        self._outcome = outcome, error
        if self._future is not None:
            self._tell()

    def _tell(self):
        outcome, error = self._outcome
        if outcome is None:
            loop.setFutureException(self._future, f"the execution did not end: {error or type(error).__name__}")
        else:
            loop.setFutureResults(self._future, list(outcome))

    def __repr__(self):
        return f"<PyFuture of execution {self.executionId}>"


class GearsBuilder:
    """A pipeline in the making."""

    def __init__(self, reader="KeysReader", defaultArg="*", desc=None):
        if not isinstance(reader, str):
            raise GearsError("reader argument must be a string")
        if desc is not None and not isinstance(desc, str):
            raise GearsError("desc argument must be a string")
        if reader not in READERS:
            raise GearsError("The given reader does not exists")
        self.reader = reader
        self.defaultArg = defaultArg
        self.description = desc
        self._steps = []

    # --- steps -------------------------------------------------------------------------------------

    def map(self, *args):
        """Replaces each record by the callback's result."""
        return self._add("map", callback("map", args))

    def filter(self, *args):
        """Keeps the records for which the callback returns something true."""
        return self._add("filter", callback("filter", args))

    def foreach(self, *args):
        """Calls the callback with each record, which then goes on itself."""
        return self._add("foreach", callback("foreach", args))

    def flatmap(self, *args):
        """As map; a list that the callback returns becomes one record an element, the last first."""
        return self._add("flatmap", callback("flatmap", args))

    def accumulate(self, *args):
        """Makes one record of all: the callback gets the value so far (None at first) and a record."""
        return self._add("accumulate", callback("accumulate", args))

    def limit(self, *args):
        """Lets only `length` records pass, after the first `start`."""
        if len(args) not in (1, 2):
            raise GearsError("wrong number of args to limit function")
        if not all(isinstance(arg, int) for arg in args):
            raise GearsError("limit argument must be a number")
        self._steps.append(pipeline.Step("limit", length=args[0], start=args[1] if len(args) == 2 else 0))
        return self

    def collect(self, *args):
        """Brings all records to the shard where the execution was started."""
        if args:
            raise GearsError("wrong number of args to collect function")
        return self._add("collect")

    def repartition(self, *args):
        """Brings each record to the shard that owns the key which the callback returns."""
        return self._add("extractkey", callback("repartition", args))._add("repartition")

    def groupby(self, *args):
        """One record {'key', 'value'} a key: the callback gets the key, the value so far, a record."""
        extractor, reducer = callbacks("groupby", args)
        return self._add("extractkey", extractor)._add("repartition")._add("accumulatebykey", reducer)

    def localgroupby(self, *args):
        """As groupby, each shard for itself."""
        extractor, reducer = callbacks("localgroupby", args)
        return self._add("extractkey", extractor)._add("accumulatebykey", reducer)

    def batchgroupby(self, *args):
        """One record {'key', 'value'} a key: the callback gets the key and all its records."""
        extractor, reducer = callbacks("batchgroupby", args)
        self._add("extractkey", extractor)._add("repartition")
        return self._add("group")._add("reduce", reducer)

    def _add(self, kind, function=None, shown=None):
        self._steps.append(pipeline.Step(kind, function, shown))
        return self

    def _group(self, extractor, reducer, shown, everywhere):
        """groupby for the operations below, whose callbacks may be anything callable."""
        self._add("extractkey", extractor)
        if everywhere:
            self._add("repartition")
        return self._add("accumulatebykey", reducer, shown)

    # --- operations made of steps ------------------------------------------------------------------

    def aggregate(self, zero, seqOp, combOp):
        """One record of all: seqOp takes in the records of a shard, combOp what the shards have."""
        fresh = copier(zero)
        self._add("accumulate", lambda a, r: seqOp(a if a else fresh(), r), seqOp)
        self._add("collect")
        return self._add("accumulate", lambda a, r: combOp(a if a else fresh(), r), combOp)

    def aggregateby(self, extractor, zero, seqOp, combOp):
        """One record {'key', 'value'} a key; both callbacks get the key first."""
        fresh = copier(zero)
        self.__localAggregateby__(extractor, zero, seqOp)
        return self._group(
            lambda r: r["key"],
            lambda k, a, r: combOp(k, a if a else fresh(), r["value"]),
            combOp,
            everywhere=True,
        )

    def __localAggregateby__(self, extractor, zero, aggregator):
        fresh = copier(zero)
        return self._group(
            extractor,
            lambda k, a, r: aggregator(k, a if a else fresh(), r),
            aggregator,
            everywhere=False,
        )

    def count(self):
        """The number of records; no record where there are none."""
        self._add("accumulate", lambda a, r: a + 1 if a else 1, GearsBuilder.count)
        self._add("collect")
        return self._add("accumulate", lambda a, r: a + r if a else r, GearsBuilder.count)

    def countby(self, extractor=lambda x: x):
        """One record {'key', 'value'} a key: how many records have it."""
        return self.aggregateby(extractor, 0, lambda k, a, r: a + 1, lambda k, a, r: a + r)

    def sort(self, reverse=True):
        """All records in order: ascending by default, since the list is unfolded from its end."""
        self.aggregate([], appended, extended)
        self._add("map", lambda records: sorted(records, reverse=reverse), GearsBuilder.sort)
        return self._add("flatmap", lambda records: records, GearsBuilder.sort)

    def distinct(self):
        """Each record once; records must be hashable."""
        self.aggregate(set(), added, lambda a, r: a | r)
        return self._add("flatmap", list, GearsBuilder.distinct)

    def avg(self, extractor=float):
        """The mean of what the callback makes of the records; no record where there are none."""
        self.aggregate(
            (0, 0),
            lambda a, r: (a[0] + extractor(r), a[1] + 1),
            lambda a, r: (a[0] + r[0], a[1] + r[1]),
        )
        return self._add("map", lambda a: a[0] / a[1], GearsBuilder.avg)

    # --- ends --------------------------------------------------------------------------------------

    def run(self, arg=None, convertToStr=True, collect=True, mode="async", **kargs):
        """Creates an execution of what was built, over what the reader has now."""
        registration.check_mode(mode, registration.BACKGROUND)
        plan = self._plan(arg if arg else self.defaultArg, convertToStr, collect, kargs)
        body = script_body_globals()
        if body is not None and RAN in body:
            raise GearsError("Can not run more then 1 executions in a single script")
        future = PyFuture(plan)
        future.executionId = _interlock.create_execution(
            plan, plan.shown_reader, self.description, plan.describe(), loop.in_loop()
        )
        if body is not None:
            body[RAN] = future.executionId
        return future

    def register(self, prefix="*", convertToStr=True, collect=True, **kwargs):
        """Runs what was built at every event that the reader finds; returns the registration's id."""
        arg, options, known = registration.checked(self.reader, prefix, kwargs)
        plan = self._new_plan(arg, options, convertToStr, collect)
        if "hook" in known:
            plan.steps += (pipeline.Step("map", pipeline.nulls),)
        return _interlock.create_registration(
            plan, plan.shown_reader, self.description, plan.describe(), registration.described(self.reader, arg, known)
        )

    def _plan(self, arg, convert_to_str, collect, options):
        if self.reader not in RUN_OPTIONS:
            raise GearsError("Given reader do not support run or not exists")
        check_options(self.reader, options)
        check_argument(self.reader, arg, options)
        return self._new_plan(arg, options, convert_to_str, collect)

    def _new_plan(self, arg, options, convert_to_str, collect):
        steps = list(self._steps)
        if convert_to_str:
            steps.append(pipeline.Step("map", str))
        if collect:
            steps.append(pipeline.Step("collect"))
        return pipeline.Plan(self.reader, arg, options, steps, self.description)


GB = GearsBuilder


def runCoroutine(cr, f=None, delay=0):
    """Runs a coroutine after `delay` seconds, beside whatever called this, and ends the future `f` as it ends.

    It is an execution of its own: it is listed, can be aborted, and keeps the script's interpreter.
    """
    if type(cr) is not pipeline.Coroutine:
        raise GearsError("runCoroutine argument must be a coroutine")
    coroutine = loop.relayed(cr, f, delay)

    def once():
        yield None

    step = pipeline.Step("map", lambda _: coroutine, cr)
    plan = pipeline.Plan("PythonReader", once, {}, [step], "coroutine")
    _interlock.create_execution(plan, plan.shown_reader, plan.description, plan.describe(), True)


# --- checks -------------------------------------------------------------------------------------------


def callback(operation, args):
    """The one callback of an operation."""
    if len(args) != 1:
        raise GearsError(f"wrong number of args to {operation} function")
    return checked(operation, args[0])


def callbacks(operation, args):
    """The two callbacks of a grouping."""
    if len(args) != 2:
        raise GearsError(f"wrong number of args to {operation} function")
    return checked(operation, args[0]), checked(operation, args[1])


def checked(operation, function):
    if type(function) is not Function:
        raise GearsError(f"{operation} argument must be a function")
    return function


def check_options(reader, options):
    """Names every option that the reader does not know: a misspelt one must not pass in silence."""
    registration.refuse_unknown("run", reader, options, RUN_OPTIONS[reader])


def check_argument(reader, arg, options):
    if reader == "PythonReader":
        if type(arg) is not Function:
            raise GearsError("pyreader argument must be a function")
    elif reader in ("KeysReader", "StreamReader") and not isinstance(arg, str):
        raise GearsError("regex argument must be a string")
    if reader == "KeysReader":
        if not isinstance(options.get("noScan", False), bool):
            raise GearsError("exactMatch value is not boolean")
        if not isinstance(options.get("readValue", True), bool):
            raise GearsError("readValue value is not boolean")
    elif reader == "StreamReader" and not isinstance(options.get("fromId", ""), str):
        raise GearsError("fromId argument must be a string")


def script_body_globals():
    """The globals of the script whose body is running; None inside steps, where run() may repeat."""
    in_body = getattr(_interlock, "in_script_body", None)
    if in_body is None or not in_body():
        return None
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") == "not_main":
            return frame.f_globals
        frame = frame.f_back
    return None


# --- values -------------------------------------------------------------------------------------------


def copier(zero):
    """A function that returns the zero of an aggregation, a copy of its own where that matters."""
    if type(zero) in IMMUTABLE:
        return lambda: zero
    from copy import deepcopy

    return lambda: deepcopy(zero)


def appended(a, r):
    a.append(r)
    return a


def extended(a, r):
    a.extend(r)
    return a


def added(a, r):
    a.add(r)
    return a


# --- readers that scripts may build on the PythonReader -------------------------------------------------


def createKeysOnlyReader(pattern="*", count=1000, noScan=False, patternGenerator=None):
    """A generator function over the names of keys, for a PythonReader."""
    options = {"count": count, "noScan": noScan, "patternGenerator": patternGenerator}
    plan = pipeline.Plan("KeysOnlyReader", pattern, options, ())

    def keys():
        for batch in pipeline.read_key_names(plan):
            yield from batch

    return keys


def shardReaderCallback():
    """A generator function for a PythonReader: one record, this shard's id."""
    yield pipeline.shard_id()
