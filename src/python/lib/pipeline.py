"""How does an execution run?

A plan is a reader and its steps. The steps are cut into segments: a segment takes records one by one
through its streaming steps (map, filter, ...) into a sink (accumulate, a grouping, or the results).
Streaming steps are closures that push a record into the next one, so a record costs one call a step
and nothing is held but the batch that the reader delivered; a segment that follows a sink starts
when the sink has everything.

An exception in a step becomes an error record: it skips the steps that follow, lands in the errors,
and the reader reads no more. Records that were already read, and groups that were already built, go
on: results may be partial, beside the error.
"""

import _interlock

#: Files whose frames say nothing to the author of a script.
INTERNAL_FILES = {(lambda: 0).__code__.co_filename}

#: Entries that a StreamReader asks for at a time.
STREAM_BATCH = 500


async def _coroutine():
    pass


def _generator():
    yield


async def _async_generator():
    yield


_started = _coroutine()
Coroutine = type(_started)
_started.close()
del _started
Generator = type(_generator())
AsyncGenerator = type(_async_generator())


class Closed(BaseException):
    """A limit is reached: nothing more is wanted from the steps before it."""


class Failed(BaseException):
    """An error was recorded further down, where the records of a list were expanded."""


class Step:
    """One step as data: what it is, its callback, and what RG.GETEXECUTION shows of it."""

    __slots__ = ("kind", "function", "shown", "start", "length")

    def __init__(self, kind, function=None, shown=None, start=0, length=0):
        self.kind = kind
        self.function = function
        self.shown = function if shown is None else shown
        self.start = start
        self.length = length

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

    __slots__ = ("reader", "arg", "options", "steps", "description")

    def __init__(self, reader, arg, options, steps, description=None):
        self.reader = reader
        self.arg = arg
        self.options = options
        self.steps = tuple(steps)
        self.description = description

    @property
    def shown_reader(self):
        """The reader's name in dumps: two readers are generators over the PythonReader."""
        return "PythonReader" if self.reader in ("KeysOnlyReader", "ShardsIDReader") else self.reader

    def describe(self):
        """All steps as RG.GETEXECUTION shows them, first step first."""
        return [step.describe() for step in self.steps]


def run_plan(plan, event=None):
    """Runs a plan to its end and returns (results, errors); raises only when it was stopped.

    `event` holds the records of one event of a registration, which are read in the place of the reader's.
    """
    errors = Errors()
    results = []
    records = None
    for streaming, sink in segments(plan.steps):
        collector = SINKS[sink[0].kind](sink, errors) if sink else Results(results)
        push = collector.push
        wanted = True
        for step in reversed(streaming):
            if step.kind == "limit" and step.length <= 0:
                wanted = False
            push = STREAMING[step.kind](step, push, errors)
        if records is None:
            if wanted:
                read(READERS[plan.reader](plan) if event is None else given(event), push, errors)
        elif wanted:
            drain(records, push, errors)
        records = collector.finish()
    return results, errors.texts


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


def read(batches, push, errors):
    """Pushes everything that a reader delivers, until its end, a limit or the first error."""
    try:
        for batch in batches:
            for record in batch:
                push(record)
    except (Closed, Failed):
        pass
    except BaseException as error:
        errors.add(error)
    finally:
        try:
            batches.close()
        except BaseException as error:
            # A reader's generator may raise while it is closed.
            errors.add(error)


def call_option(plan, name):
    """Calls the function that a registration was given as onRegistered or onUnregistered, if any."""
    function = plan.options.get(name)
    value = None if function is None else function()
    if type(value) is Coroutine:
        value.close()
        fail(f"{name} must not be a coroutine")


def drain(records, push, errors):
    """Pushes what a sink gave; an error costs only its own record."""
    for record in records:
        try:
            push(record)
        except Closed:
            return
        except Failed:
            pass
        except BaseException as error:
            errors.add(error)


class Errors:
    """The error records of one execution."""

    __slots__ = ("texts", "_stopped", "_flat")

    def __init__(self):
        # Imported here: that module may import this one.
        import redisgears

        self.texts = []
        self._stopped = redisgears.GearsForceStopped
        self._flat = redisgears.GearsFlatError

    def add(self, error):
        """Records an exception; one that means "stop" is not a record's and goes on."""
        if isinstance(error, self._stopped):
            raise error
        self.texts.append(self._text(error))

    def _text(self, error):
        if isinstance(error, self._flat):
            return str(error)
        kind = type(error)
        try:
            if attempts_traceback():
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


def attempts_traceback():
    """Whether errors come with their traceback (PythonAttemptTraceback)."""
    asked = getattr(_interlock, "attempt_traceback", None)
    return True if asked is None else asked()


def outer_frames_removed(tb):
    """The traceback from the first frame that is the script's own."""
    while tb is not None and tb.tb_frame.f_code.co_filename in INTERNAL_FILES:
        tb = tb.tb_next
    return tb


def refuse_coroutine(value):
    """Closes a coroutine that cannot be awaited here, and says so in an error record."""
    value.close()
    fail("coroutine results are not available yet: async steps come with a later version")


def fail(text):
    """Raises an error whose text is exactly this, without a traceback."""
    import redisgears

    raise redisgears.GearsFlatError(text)


def nulls(value):
    """A value as a reply, where None is null: by itself it would be the text of an unknown type."""
    if value is None:
        return ...
    if type(value) is list and any(item is None or type(item) is list for item in value):
        return [nulls(item) for item in value]
    return value


# --- streaming steps: each returns a function that takes one record and pushes on ------------------


def map_step(step, push, _errors):
    function = step.function
    if function is str:
        # Ends nearly every pipeline, and cannot return a coroutine.
        return lambda record: push(str(record))

    def push_mapped(record):
        value = function(record)
        if type(value) is Coroutine:
            refuse_coroutine(value)
        push(value)

    return push_mapped


def filter_step(step, push, _errors):
    function = step.function

    def push_filtered(record):
        keep = function(record)
        if type(keep) is Coroutine:
            refuse_coroutine(keep)
        if keep:
            push(record)

    return push_filtered


def foreach_step(step, push, _errors):
    function = step.function

    def push_seen(record):
        value = function(record)
        if type(value) is Coroutine:
            refuse_coroutine(value)
        push(record)

    return push_seen


def flatmap_step(step, push, errors):
    function = step.function

    def push_expanded(record):
        value = function(record)
        if not isinstance(value, list):
            if type(value) is Coroutine:
                refuse_coroutine(value)
            push(value)
            return
        failed = False
        # From the end, as RedisGears does: its sort() has its order from this. Reversing a copy,
        # for a callback may return a list that it goes on changing.
        for element in value[::-1]:
            try:
                push(element)
            except Closed:
                raise
            except Failed:
                failed = True
            except BaseException as error:
                errors.add(error)
                failed = True
        if failed:
            # These elements were already read and had their turn; nothing more is read.
            raise Failed

    return push_expanded


def limit_step(step, push, _errors):
    start = max(step.start, 0)
    end = start + step.length
    seen = 0

    def push_limited(record):
        nonlocal seen
        seen += 1
        if seen > start:
            push(record)
        if seen >= end:
            raise Closed

    return push_limited


def key_step(step, push, _errors):
    """A repartition without a grouping: here every record is already where it belongs."""
    function = step.function

    def push_keyed(record):
        key_text(function(record))
        push(record)

    return push_keyed


def reduce_step(step, push, _errors):
    function = step.function

    def push_reduced(group):
        key, records = group
        value = function(key, records)
        if type(value) is Coroutine:
            value.close()
            fail("coroutine are not allow on reduce")
        push({"key": key, "value": value})

    return push_reduced


STREAMING = {
    "map": map_step,
    "filter": filter_step,
    "foreach": foreach_step,
    "flatmap": flatmap_step,
    "limit": limit_step,
    "extractkey": key_step,
    "reduce": reduce_step,
}


def key_text(key):
    """A group's key as text."""
    if isinstance(key, str):
        return key
    if type(key) is Coroutine:
        key.close()
        fail("coroutine are not allow on extractor")
    return repr(key)


# --- sinks: take every record of a segment, then give what the next segment starts with ------------


class Results:
    """What is left at the end."""

    def __init__(self, results):
        self.push = results.append

    def finish(self):
        return ()


class Accumulate:
    """One value from all records. After an error there is none: it would be the value of a part."""

    def __init__(self, sink, errors):
        function = sink[0].function
        accumulator = None
        any_record = False

        def push(record):
            nonlocal accumulator, any_record
            any_record = True
            accumulator = function(accumulator, record)
            if type(accumulator) is Coroutine:
                refuse_coroutine(accumulator)

        def finish():
            nonlocal accumulator
            value, accumulator = accumulator, None
            return (value,) if any_record and not errors.texts else ()

        self.push = push
        self.finish = finish


class AccumulateByKey:
    """One value for each key. A key whose callback failed is dropped, the others stay."""

    def __init__(self, sink, _errors):
        function, extractor = sink[0].function, sink[1].function
        self.groups = groups = {}

        def push(record):
            key = extractor(record)
            if type(key) is not str:
                key = key_text(key)
            try:
                groups[key] = value = function(key, groups.get(key), record)
                if type(value) is Coroutine:
                    refuse_coroutine(value)
            except BaseException:
                groups.pop(key, None)
                raise

        self.push = push

    def finish(self):
        return ({"key": key, "value": value} for key, value in self.groups.items())


class Group:
    """The records of each key, for a reducer that wants them all at once."""

    def __init__(self, sink, _errors):
        extractor = sink[1].function
        self.groups = groups = {}

        def push(record):
            key = extractor(record)
            if type(key) is not str:
                key = key_text(key)
            records = groups.get(key)
            if records is None:
                groups[key] = [record]
            else:
                records.append(record)

        self.push = push

    def finish(self):
        return iter(self.groups.items())


SINKS = {"accumulate": Accumulate, "accumulatebykey": AccumulateByKey, "group": Group}


# --- readers: generators of batches -----------------------------------------------------------------


def given(event):
    """The records that an event brought."""
    yield event


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
    import redisgears

    try:
        return redisgears.executeCommand(*command)
    except redisgears.GearsError as error:
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
        if type(value) is Coroutine:
            refuse_coroutine(value)
        if type(value) is AsyncGenerator:
            fail("asynchronous generators are not available yet: async readers come with a later version")
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
