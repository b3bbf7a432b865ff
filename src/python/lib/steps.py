"""What does each step do with a record?

A streaming step is a function that takes one record and pushes what it makes of it into the next step. A sink takes every
record of a segment, and gives what the next segment starts with.
"""

from _collections import deque
from _interlock_waiting import AWAITED, Closed, Coroutine, Failed, Line, fail


def map_step(step, push, queue, short):
    function = step.function
    if function is str:
        # Ends nearly every pipeline, and cannot return a coroutine.
        return lambda record: push(str(record))
    return pushing(function, push, queue, short)


def pushing(function, push, queue, short):
    """Pushes what a function makes of each record, in the records' order."""
    line = Line(queue, short)

    def push_mapped(record):
        value = function(record)
        if type(value) in AWAITED:
            line.wait(value, push)
        elif line.entries:
            line.follow(value, push)
        else:
            push(value)

    return push_mapped


def filter_step(step, push, queue, short):
    function = step.function
    line = Line(queue, short)

    def push_filtered(record):
        keep = function(record)
        if type(keep) in AWAITED or line.entries:
            judge(line, keep, record)
        elif keep:
            push(record)

    def judge(line, keep, record):
        def push_kept(keep):
            if keep:
                push(record)

        if type(keep) in AWAITED:
            line.wait(keep, push_kept)
        else:
            line.follow(keep, push_kept)

    return push_filtered


def foreach_step(step, push, queue, short):
    function = step.function
    line = Line(queue, short)

    def push_seen(record):
        value = function(record)
        if type(value) in AWAITED:
            line.wait(value, lambda _: push(record))
        elif line.entries:
            line.follow(record, push)
        else:
            push(record)

    return push_seen


def flatmap_step(step, push, queue, short):
    errors = queue.errors

    def push_expanded(value):
        if not isinstance(value, list):
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

    return pushing(step.function, push_expanded, queue, short)


def limit_step(step, push, queue, _short):
    start = max(step.start, 0)
    end = start + step.length
    seen = 0
    after = len(queue.lines)
    lines = queue.lines

    def push_limited(record):
        nonlocal seen
        seen += 1
        if seen > start:
            push(record)
        if seen >= end:
            for line in lines[after:]:
                line.close()
            raise Closed

    return push_limited


def key_step(step, push, _queue, _short):
    """A repartition without a grouping: here every record is already where it belongs."""
    function = step.function

    def push_keyed(record):
        key_text(function(record))
        push(record)

    return push_keyed


def reduce_step(step, push, _queue, _short):
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

    def __init__(self, sink, errors, queue):
        function = sink[0].function
        accumulator = None
        any_record = False
        line = Line(queue)
        #: Records that came while one waits.
        behind = Backlog(queue, line, lambda record: push_folded(record))

        def push_folded(record):
            nonlocal accumulator, any_record
            any_record = True
            if line.entries:
                behind.add(record)
                return
            value = result(line, function, accumulator, record)
            if type(value) in AWAITED:
                line.wait(value, arrived, behind.clear)
            else:
                accumulator = value

        def arrived(value):
            nonlocal accumulator
            accumulator = value
            behind.flow()

        def finish():
            nonlocal accumulator, behind
            # It refers to the function that refers to it.
            behind = None
            value, accumulator = accumulator, None
            return (value,) if any_record and not errors.texts else ()

        self.push = push_folded
        self.finish = finish


class Backlog:
    """The records that wait before a step that takes one at a time."""

    __slots__ = ("_queue", "_line", "_push", "_records")

    def __init__(self, queue, line, push):
        self._queue = queue
        self._line = line
        self._push = push
        self._records = deque()

    def add(self, record):
        """A record came."""
        self._records.append(record)
        self._queue.behind += 1

    def clear(self):
        """An error: the value would be that of a part."""
        self._queue.behind -= len(self._records)
        self._records.clear()

    def flow(self):
        """Lets records in until one waits again."""
        records, line = self._records, self._line
        while records and not line.entries:
            self._queue.behind -= 1
            try:
                self._push(records.popleft())
            except BaseException as error:
                self._queue.errors.add(error)


def result(line, function, *arguments):
    """What a reducer returns; None if it made a future and returned something else, as in RedisGears."""
    try:
        value = function(*arguments)
    except BaseException:
        if line.made is None:
            raise
        value = None
    if line.made is not None and type(value) not in AWAITED:
        line.made = value = None
    return value


class AccumulateByKey:
    """One value for each key. A key whose callback failed is dropped, the others stay."""

    def __init__(self, sink, _errors, queue):
        function, extractor = sink[0].function, sink[1].function
        groups = {}
        line = Line(queue)
        behind = Backlog(queue, line, lambda pair: reduce(*pair))

        def push_grouped(record):
            key = extractor(record)
            if type(key) is not str:
                key = key_text(key)
            reduce(key, record)

        def reduce(key, record):
            if line.entries:
                behind.add((key, record))
                return
            try:
                value = result(line, function, key, groups.get(key), record)
                if type(value) in AWAITED:
                    line.wait(value, lambda value: arrived(key, value), lambda: failed(key))
                else:
                    groups[key] = value
            except BaseException:
                groups.pop(key, None)
                raise

        def arrived(key, value):
            groups[key] = value
            behind.flow()

        def failed(key):
            groups.pop(key, None)
            behind.flow()

        def finish():
            nonlocal behind
            # It refers to the function that refers to it.
            behind = None
            return ({"key": key, "value": value} for key, value in groups.items())

        self.push = push_grouped
        self.finish = finish


class Group:
    """The records of each key, for a reducer that wants them all at once."""

    def __init__(self, sink, _errors, _queue):
        extractor = sink[1].function
        self.groups = groups = {}

        def push_grouped(record):
            key = extractor(record)
            if type(key) is not str:
                key = key_text(key)
            records = groups.get(key)
            if records is None:
                groups[key] = [record]
            else:
                records.append(record)

        self.push = push_grouped

    def finish(self):
        return iter(self.groups.items())


SINKS = {"accumulate": Accumulate, "accumulatebykey": AccumulateByKey, "group": Group}
