"""What becomes of a record at a step whose value is not there yet, and of the records behind it?

Every step that may wait has a line. A record whose callback returned a coroutine, or a future, waits in it; records that
come after one that waits go on after it, so that the order stays. An execution whose reader has nothing more to do while
records wait is suspended: it needs no thread until one of them may go on.
"""

import sys

import _interlock
import _interlock_loop as loop
from _collections import deque
from _interlock import GearsError


async def _coroutine():
    pass


_started = _coroutine()
Coroutine = type(_started)
_started.close()
del _started

#: The entries of a line where nothing has waited yet.
NONE = ()

#: Records that may wait in one execution before its reader pauses.
MOST = 1000


class Closed(BaseException):
    """A limit is reached: nothing more is wanted from the steps before it."""


class Failed(BaseException):
    """An error was recorded further down, where the records of a list were expanded."""


def fail(text):
    """Raises an error whose text is exactly this, without a traceback."""
    raise _interlock.GearsFlatError(text)


class Entry:
    """One record at a step: what it waits for, and how it goes on."""

    __slots__ = ("line", "then", "failed", "value", "error", "done", "task")

    def __init__(self, line, then, failed):
        self.line = line
        self.then = then
        self.failed = failed
        self.value = self.error = self.task = None
        self.done = False

    def settle(self, value, error):
        """Its value, or the error in the place of one, is there. From any thread, once."""
        self.value, self.error, self.done = value, error, True
        self.line.queue.settled(self)


class Line:
    """The records at one step that wait, in their order."""

    __slots__ = ("queue", "entries", "made", "closed", "short")

    def __init__(self, queue, short=False):
        self.queue = queue
        #: A queue from the first record on that waits: most lines never have one, and an empty one is 600 bytes.
        self.entries = NONE
        #: The call of the step's function in which a future was made that was not returned yet.
        self.made = None
        self.closed = False
        #: Whether what comes after it runs no code of the script.
        self.short = short
        queue.lines.append(self)

    def wait(self, awaited, then, failed=None):
        """A record waits for a coroutine or a future; then(value) lets it go on."""
        entry = Entry(self, then, failed)
        try:
            run = self.queue.background()
        except BaseException:
            if type(awaited) is Coroutine:
                awaited.close()
            raise
        self._add(entry)
        self.queue.waiting.add(entry)
        if type(awaited) is Coroutine:
            loop.start(awaited, run, entry)
        else:
            self.made = None
            awaited._returned(entry)

    def follow(self, value, then):
        """A record whose value is there goes on after those that wait."""
        entry = Entry(self, then, None)
        entry.value, entry.done = value, True
        self._add(entry)

    def _add(self, entry):
        if self.entries is NONE:
            self.entries = deque()
        self.entries.append(entry)

    def flow(self, errors):
        """Lets records go on until one must wait."""
        entries = self.entries
        while entries and entries[0].done:
            entry = entries.popleft()
            try:
                if entry.error is None:
                    entry.then(entry.value)
                    continue
                if entry.failed is not None:
                    entry.failed()
                errors.add_text(entry.error)
            except Closed:
                self.queue.closed = True
            except Failed:
                pass
            except BaseException as error:
                errors.add(error)

    def close(self):
        """Nothing is wanted from here any more."""
        self.closed = True
        if self.entries:
            self.queue.waiting.difference_update(self.entries)
            self.entries.clear()


class Queue:
    """The lines of an execution: what it waits for, and who goes on with it."""

    # Of the class until they change: most executions never wait for anything.
    #: Records that wait before steps that take one at a time.
    behind = 0
    closed = False
    #: What the coroutines run as; made when it is first needed.
    run = None
    _ready = ()
    _abandoned = False
    #: Holds one thing while nobody works on the execution: the right to go on with it.
    _idle = ()

    def __init__(self):
        self.lines = []
        self.waiting = set()

    def background(self):
        """What the coroutines of this execution run as. To be called before anything can be settled."""
        if self.run is None:
            self._ready, self._idle = deque(), []
            self.run = _interlock.background_run(self)
        return self.run

    def settled(self, entry):
        """An entry may go on. From any thread."""
        self._ready.append(entry)
        if not self._abandoned and self._may_begin():
            self.resume(entry)

    def _may_begin(self):
        try:
            self._idle.pop()
        except IndexError:
            return False
        return True

    def flow(self, errors):
        """Lets everything go on that can; whether there was something."""
        ready = self._ready
        any_ready = bool(ready)
        while ready:
            entry = ready.popleft()
            self.waiting.discard(entry)
            if not entry.line.closed:
                entry.line.flow(errors)
        return any_ready

    def abandon(self):
        """The execution was stopped: nobody waits for its coroutines any more."""
        self._abandoned = True
        tasks = [entry.task for entry in self.waiting if entry.task is not None]
        loop.call(lambda: [task.cancel() for task in tasks])

    def leave(self):
        """The thread that works on the execution leaves it; false if it has to go on instead."""
        self._idle.append(None)
        return not (self._ready and self._may_begin())


class Future:
    """gearsFuture: a record that a step's function returned waits for continueRun() or continueFailed()."""

    __slots__ = ("_entry", "_outcome", "_ended")

    def __init__(self, *args):
        self._entry = self._outcome = None
        self._ended = True
        if args:
            raise GearsError("Future gets no arguments")
        line, frame = _step_of(sys._getframe(1))
        if line.made is frame:
            raise GearsError("Can not create async record twice on the same step")
        line.queue.background()
        line.made = frame
        self._ended = False

    def continueRun(self, *args):
        """The record goes on with this value."""
        if len(args) != 1:
            raise GearsError("Continue function expect an object")
        self._end(args[0], None)

    def continueFailed(self, *args):
        """The record becomes an error of this text."""
        if len(args) != 1:
            raise GearsError("Continue function expect an object")
        self._end(None, args[0])

    def _end(self, value, error):
        if self._ended:
            raise GearsError("Can not continue with the same future twice")
        self._ended = True
        if self._entry is None:
            # Faster than the function that returns it.
            self._outcome = (value, error)
        if self._entry is not None:
            self._settle(value, error)

    def _returned(self, entry):
        self._entry = entry
        if self._ended and self._outcome is not None:
            self._settle(*self._outcome)

    def _settle(self, value, error):
        entry = self._entry
        if not entry.done:
            entry.settle(value, error)

    def __del__(self):
        if not self._ended and self._entry is not None:
            self._end(None, "Async record did not called continue")


#: The functions of `steps` that call a step's callback: whether the step can wait.
CALLERS = {
    "push_mapped": True,
    "push_filtered": True,
    "push_seen": True,
    "push_folded": True,
    "reduce": True,
    "push_keyed": False,
    "push_reduced": False,
    "push_grouped": False,
}


def _step_of(frame):
    """The line of the step whose function is running, and the call of it."""
    while frame is not None:
        code = frame.f_code
        if code.co_filename == "<_interlock_steps>" and code.co_name in CALLERS:
            if not CALLERS[code.co_name]:
                raise GearsError("Step does not support async")
            return frame.f_locals["line"], frame
        frame = frame.f_back
    raise GearsError("Future object can only be created inside certain execution steps")


#: What a step's function may return in the place of a value.
AWAITED = (Coroutine, Future)
