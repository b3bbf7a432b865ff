"""How does an execution run?

A plan is a reader and its steps. The steps are cut into segments: a segment takes records one by one
through its streaming steps (map, filter, ...) into a sink (accumulate, a grouping, or the results).
Streaming steps are closures that push a record into the next one, so a record costs one call a step
and nothing is held but the batch that the reader delivered; a segment that follows a sink starts
when the sink has everything.

An exception in a step becomes an error record: it skips the steps that follow, lands in the errors,
and the reader reads no more. Records that were already read, and groups that were already built, go
on: results may be partial, beside the error.

A step whose function returns a coroutine or a future lets the record wait (see `waiting`). The execution goes on with
other records; when there is nothing else to do it is suspended, and goes on later on another thread.
"""

from time import perf_counter as clock

import _interlock
import _interlock_loop as loop
from _interlock_steps import SINKS, STREAMING, Results
from _interlock_waiting import MOST, Closed, Coroutine, Failed, Queue, fail

#: Files whose frames say nothing to the author of a script.
INTERNAL_FILES = {"<_interlock_loop>", "<_interlock_waiting>", "<_interlock_steps>", "<_interlock_pipeline>"}

# Flags of code objects, as in inspect, which is slow to import.
VARARGS, GENERATOR, COROUTINE, ASYNC_GENERATOR = 0x04, 0x20, 0x80, 0x200

#: Entries that a StreamReader asks for at a time.
STREAM_BATCH = 500


def _generator():
    yield


async def _async_generator():
    yield


Generator = type(_generator())
AsyncGenerator = type(_async_generator())


class Step:
    """One step as data: what it is, its callback, and what RG.GETEXECUTION shows of it."""

    __slots__ = ("kind", "function", "shown", "start", "length", "short")

    def __init__(self, kind, function=None, shown=None, start=0, length=0):
        self.kind = kind
        self.function = function
        self.shown = function if shown is None else shown
        self.start = start
        self.length = length
        self.short = is_short(self)

    def timed(self, function):
        """The same step with another function, or as it is without one."""
        return self if function is None else Step(self.kind, function, self.shown, self.start, self.length)

    def describe(self):
        """The step as RG.GETEXECUTION shows it: kind, name of the callback, text of the callback."""
        if self.kind == "limit":
            return (self.kind, self.kind, f"{self.length} from {self.start}")
        if self.shown is None:
            return (self.kind, self.kind, "")
        name = getattr(self.shown, "__name__", None) or type(self.shown).__name__
        return (self.kind, name, str(self.shown))


class Plan:
    """One execution as data: a reader, its argument and options, and the steps."""

    __slots__ = ("reader", "arg", "options", "steps", "description", "ended", "_segments")

    def __init__(self, reader, arg, options, steps, description=None):
        self.reader = reader
        self.arg = arg
        self.options = options
        self.steps = tuple(steps)
        self.description = description
        #: What to call with the results and errors, or None and an exception, when a coroutine waits for the execution.
        self.ended = None
        self._segments = None

    @property
    def shown_reader(self):
        """The reader's name in dumps: two readers are generators over the PythonReader."""
        return "PythonReader" if self.reader in ("KeysOnlyReader", "ShardsIDReader") else self.reader

    def segments(self):
        """The steps, cut into segments."""
        if self._segments is None:
            self._segments = tuple(segments(self.steps))
        return self._segments

    def describe(self):
        """All steps as RG.GETEXECUTION shows them, first step first."""
        return [step.describe() for step in self.steps]


class Timed:
    """A step's function, and how long its calls took."""

    __slots__ = ("function", "spent")

    def __init__(self, function):
        self.function = function
        self.spent = 0.0

    def __call__(self, *arguments):
        began = clock()
        try:
            return self.function(*arguments)
        finally:
            self.spent += clock() - began


def run_plan(plan, event=None, timed=False):
    """Runs a plan to its end and returns (results, errors, spent), or what it runs as when it has to wait.

    `event` holds the records of one event of a registration, which are read in the place of the reader's. `spent` has the
    microseconds that its reader took and, if it is `timed`, those of each step's function. Raises only when it was
    stopped.
    """
    running = Running(plan, event, timed)
    outcome = running.advance()
    return outcome if running.run is None else running.run


def resume_plan(running):
    """Goes on with a plan that waited."""
    running.advance()


class Running(Queue):
    """An execution under way."""

    _timed = ()
    #: Seconds that the reader took.
    _reading = 0.0
    #: Whether all was read, and only what waits is left.
    _all_read = False

    def __init__(self, plan, event, timed):
        super().__init__()
        self._plan = plan
        if timed:
            self._timed = [Timed(step.function) if callable(step.function) else None for step in plan.steps]
        self._event = event
        self.errors = Errors()
        self._results = []
        self._steps = self._go()

    def advance(self):
        """Runs as far as it can without waiting; at the end returns (results, errors, spent).

        What has waited gives them to what it runs as.
        """
        try:
            for _ in self._steps:
                if self.leave():
                    return None
        except Exception as error:
            self._ended(([], [f"{type(error).__name__}: {error}"], self._spent()), error)
            raise
        except BaseException as error:
            # It was stopped; whoever stopped it ends it.
            if self._plan.ended is not None:
                self._plan.ended(None, error)
            raise
        outcome = self._results, self.errors.texts, self._spent()
        self._ended(outcome, None)
        return outcome

    def _spent(self):
        """The microseconds of the reader and of the steps that were timed."""
        return [int(self._reading * 1e6), *(0 if step is None else int(step.spent * 1e6) for step in self._timed)]

    def _ended(self, outcome, error):
        if self._plan.ended is not None:
            self._plan.ended(None if error else outcome[:2], error)
        if self.run is not None:
            _interlock.finish_run(self.run, outcome)

    def resume(self, entry):
        """Sees that somebody goes on with it, now that an entry may."""
        if not (self._all_read and entry.line.short and loop.in_loop()):
            # What follows is the script's own code: it must not keep others from the loop.
            _interlock.resume_run(self.run, self)
        else:
            self.advance()

    def _go(self):
        """Runs the plan; a generator that gives way whenever it has to wait."""
        plan, errors = self._plan, self.errors
        records = None
        if self._timed:
            parts = segments([step.timed(with_clock) for step, with_clock in zip(plan.steps, self._timed)])
        else:
            parts = plan.segments()
        for streaming, sink in parts:
            self.closed = self._all_read = False
            short = sink is None
            collector = SINKS[sink[0].kind](sink, errors, self) if sink else Results(self._results)
            push = collector.push
            wanted = True
            for step in reversed(streaming):
                if step.kind == "limit" and step.length <= 0:
                    wanted = False
                push = STREAMING[step.kind](step, push, self, short)
                short = short and step.short
            if wanted:
                if records is None:
                    event = self._event
                    yield from self._read(READERS[plan.reader](plan), push) if event is None else self._take(event, push)
                else:
                    yield from self._drain(records, push)
            # Lines and what they are lines of refer to each other.
            self.lines.clear()
            records = collector.finish()

    def _read(self, batches, push):
        """Pushes everything that a reader delivers, until its end, a limit or the first error."""
        errors, held = self.errors, self.waiting
        began = clock()
        try:
            for batch in batches:
                self._reading += clock() - began
                for record in self._reading_from(batch) if self._timed else batch:
                    push(record)
                    if held:
                        yield from self._pause()
                        if self.closed or errors.texts:
                            raise Closed
                began = clock()
            self._reading += clock() - began
        except (Closed, Failed):
            pass
        except GeneratorExit:
            raise
        except BaseException as error:
            errors.add(error)
        finally:
            try:
                batches.close()
            except BaseException as error:
                # A reader's generator may raise while it is closed.
                errors.add(error)
        yield from self._end()

    def _take(self, records, push):
        """Pushes the records of an event, until their end, a limit or the first error."""
        errors, held = self.errors, self.waiting
        try:
            for record in self._reading_from(records) if self._timed else records:
                push(record)
                if held:
                    yield from self._pause()
                    if self.closed or errors.texts:
                        break
        except (Closed, Failed):
            pass
        except GeneratorExit:
            raise
        except BaseException as error:
            errors.add(error)
        if held:
            yield from self._end()

    def _reading_from(self, batch):
        """The records of a batch; the time that it takes to make them, one by one, counts."""
        began = clock()
        for record in batch:
            self._reading += clock() - began
            yield record
            began = clock()

    def _drain(self, records, push):
        """Pushes what a sink gave; an error costs only its own record."""
        errors, held = self.errors, self.waiting
        for record in records:
            try:
                push(record)
            except Closed:
                break
            except Failed:
                pass
            except BaseException as error:
                errors.add(error)
            if held:
                yield from self._pause()
                if self.closed:
                    break
        yield from self._end()

    def _pause(self):
        """Between two records: lets go on what can, and waits while too many wait."""
        self.flow(self.errors)
        while self.waiting and len(self.waiting) + self.behind >= MOST:
            yield
            self.flow(self.errors)

    def _end(self):
        """All was read: waits for what waits."""
        self._all_read = True
        self.flow(self.errors)
        while self.waiting:
            yield
            self.flow(self.errors)


def is_short(step):
    """Whether a step runs no code of the script: the call of an `async def` only makes a coroutine."""
    if step.kind == "limit" or step.function is str:
        return True
    code = getattr(step.function, "__code__", None)
    return code is not None and bool(code.co_flags & COROUTINE)


def required(function):
    """How many arguments a function must be given by position, and how many by name."""
    code = function.__code__
    return (code.co_argcount - len(function.__defaults__ or ()),
            code.co_kwonlyargcount - len(function.__kwdefaults__ or ()))


def segments(steps):
    """Cuts steps into pairs of streaming steps and the steps that make the sink (None: the results)."""
    streaming = []
    key = None
    for step in steps:
        kind = step.kind
        if kind == "extractkey":
            key = step
        elif kind in SINKS:
            yield streaming, ((step,) if kind == "accumulate" else (step, key))
            streaming, key = [], None
        elif kind not in ("collect", "repartition"):
            if key is not None:
                streaming.append(key)
                key = None
            streaming.append(step)
    if key is not None:
        streaming.append(key)
    yield streaming, None


def call_option(plan, name):
    """Calls the function that a registration was given as onRegistered or onUnregistered, if any."""
    function = plan.options.get(name)
    value = None if function is None else function()
    if type(value) is Coroutine:
        value.close()
        fail(f"{name} must not be a coroutine")


class Errors:
    """The error records of one execution."""

    __slots__ = ("texts",)

    def __init__(self):
        self.texts = []

    def add(self, error):
        """Records an exception; one that means "stop" is not a record's and goes on."""
        if isinstance(error, _interlock.GearsForceStopped):
            raise error
        self.texts.append(self.text_of(error))

    def add_text(self, error):
        """Records what a coroutine raised or a future was given: its text, without a traceback."""
        if isinstance(error, _interlock.GearsForceStopped):
            raise error
        try:
            text = str(error)
        except Exception as broken:
            text = f"(the text of the error raised {type(broken).__name__})"
        self.texts.append(text or type(error).__name__)

    def text_of(self, error):
        """The text of an exception, with its traceback if they are wanted."""
        if isinstance(error, _interlock.GearsFlatError):
            return str(error)
        kind = type(error)
        try:
            if _interlock.attempt_traceback():
                # Costs milliseconds to import, and most executions have no error.
                import traceback

                return str(traceback.format_exception(kind, error, outer_frames_removed(error.__traceback__)))
        except Exception:
            # No memory, or an exception whose str() raises: the plain form may still succeed.
            pass
        try:
            return f"Error type: {kind}, Value: {error}"
        except Exception as broken:
            return f"Error type: {kind}, Value: (its text raised {type(broken).__name__})"


def outer_frames_removed(tb):
    """The traceback from the first frame that is the script's own."""
    while tb is not None and tb.tb_frame.f_code.co_filename in INTERNAL_FILES:
        tb = tb.tb_next
    return tb


def nulls(value):
    """A value as a reply, where None is null: by itself it would be the text of an unknown type."""
    if value is None:
        return ...
    if type(value) is list and any(item is None or type(item) is list for item in value):
        return [nulls(item) for item in value]
    return value


# --- readers: generators of batches -----------------------------------------------------------------


def read_keys(plan):
    options = plan.options
    return key_batches(plan.arg, options.get("noScan", False), options.get("readValue", True))


def key_batches(pattern, no_scan, read_value):
    source = _interlock.open_keys(pattern, no_scan, read_value)
    try:
        while batch := source.next():
            yield batch
    finally:
        source.close()


def read_key_names(plan):
    options = plan.options
    pattern, no_scan = plan.arg, options.get("noScan", False)
    generator = options.get("patternGenerator")
    if generator is not None:
        pattern, no_scan = generator()
    # Slices are sized by time, so the count decides nothing; a bad one is still an error.
    try:
        valid = int(options.get("count", 1000)) > 0
    except (TypeError, ValueError):
        valid = False
    if not valid:
        fail("ERR value is not an integer or out of range")
    if no_scan:
        if server_command("EXISTS", pattern) == 1:
            yield (pattern,)
        return
    for batch in key_batches(pattern, False, False):
        yield [record["key"] for record in batch]


def read_stream(plan):
    key, last = plan.arg, plan.options.get("fromId", "0-0")
    while entries := server_command("XRANGE", key, "(" + last, "+", "COUNT", STREAM_BATCH):
        yield [{"key": key, "id": entry[0], "value": field_dict(entry[1])} for entry in entries]
        last = entries[-1][0]


def field_dict(fields):
    """The fields of a stream entry; the last of two fields of one name wins."""
    if isinstance(fields, dict):
        return fields
    return {text(fields[at]): fields[at + 1] for at in range(0, len(fields), 2)}


def text(field):
    """A field's name, as something that can be a key of a dict."""
    return bytes(field) if isinstance(field, bytearray) else field


def server_command(*command):
    """A reader's own command; its error is the error record, as the server wrote it."""
    try:
        return _interlock.execute(*command)
    except _interlock.GearsError as error:
        refused = str(error)
    fail(refused)


def read_python(plan):
    function = plan.arg
    value = function()
    if type(value) is Generator:
        try:
            yield value
        finally:
            value.close()
        return
    # As in RedisGears: a function that is not a generator is asked for one record after the other,
    # until it raises or a limit has enough.
    while True:
        if type(value) in (Coroutine, AsyncGenerator):
            if type(value) is Coroutine:
                value.close()
            fail("a reader's function must not be asynchronous")
        yield (value,)
        value = function()


def read_shard_ids(_plan):
    yield (shard_id(),)


def shard_id():
    """This shard's id; '1' where there is no cluster."""
    return "1"


READERS = {
    "KeysReader": read_keys,
    "KeysOnlyReader": read_key_names,
    "StreamReader": read_stream,
    "PythonReader": read_python,
    "ShardsIDReader": read_shard_ids,
}
