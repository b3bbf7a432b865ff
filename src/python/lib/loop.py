"""Where do coroutines run? In their interpreter's event loop, on a thread of its own.

The loop starts when the first coroutine comes and ends with the interpreter. Every step of a task belongs to the run that
the task was made in: it uses the server as that run may, and stops when that run must.

The functions of this file are not interrupted from outside: what they do is short, and others depend on it.
"""

import sys

import _interlock
import _thread
from _collections import deque

#: How long tasks may take to end when the interpreter ends, in seconds.
FAREWELL = 0.5

#: What to call on the loop's thread. Appending to it and taking from it are one step each, for any thread.
_inbox = deque()
_loop = None
_thread_id = None
_make_task = None
_woken = False
_ending = False
#: Why there is no loop, while those who counted on it are told.
_failure = None

_enter, _leave, _in_atomic = _interlock.enter_run, _interlock.leave_run, _interlock.in_atomic


def call(function):
    """Calls a function on the loop's thread, soon. From any thread; never waits."""
    global _woken
    _inbox.append(function)
    if _loop is None:
        # Does nothing when it has been started, and looks into the inbox when it runs.
        _interlock.start_loop(_run)
    elif not _woken:
        _woken = True
        if _thread.get_ident() == _thread_id:
            _loop.call_soon(_take)
        elif not _ending:
            _loop.call_soon_threadsafe(_take)


def in_loop():
    """Whether this is the loop's thread."""
    return _thread.get_ident() == _thread_id


def start(coroutine, run, entry):
    """Runs a coroutine as a part of `run`, and settles the entry on the loop's thread after it."""

    def begin():
        if _failure is not None:
            coroutine.close()
            return entry.settle(None, RuntimeError(f"the event loop has ended: {_failure}"))
        entry.task = _make_task(_Guided(_drive(coroutine, entry.settle), run), loop=_loop)

    call(begin)


async def _drive(coroutine, settle):
    try:
        value = await coroutine
    except BaseException as error:
        settle(None, error)
    else:
        settle(value, None)


class _Guided:
    """A coroutine whose steps are parts of a run."""

    __slots__ = ("_coroutine", "_run")

    def __init__(self, coroutine, run):
        self._coroutine = coroutine
        self._run = run

    def __await__(self):
        return self

    def send(self, value):
        """The next step."""
        _enter(self._run)
        try:
            return self._checked(self._coroutine.send(value))
        finally:
            _leave()

    def throw(self, *error):
        """The next step, which begins with an exception."""
        _enter(self._run)
        try:
            return self._checked(self._coroutine.throw(*error))
        finally:
            _leave()

    def close(self):
        """Ends the coroutine where it is."""
        self._coroutine.close()

    def _checked(self, awaited):
        # The next coroutine would run inside this one's block.
        while _in_atomic():
            awaited = self._coroutine.throw(Exception("await is not allow inside atomic block"))
        return awaited


def _task_factory(loop, coroutine, **options):
    if type(coroutine) is not _Guided:
        coroutine = _Guided(coroutine, _interlock.current_run())
    return _make_task(coroutine, loop=loop, **options)


def _take():
    global _woken
    # First, so that whoever adds something from here on wakes the loop again.
    _woken = False
    while _inbox:
        _inbox.popleft()()
    if _ending:
        _loop.stop()


def _run(failure=None):
    """The loop's thread; with a failure, what is left to do when the loop has ended with it."""
    global _loop, _thread_id, _make_task
    if failure is not None:
        return _refuse(failure)
    import asyncio
    import selectors

    import _interlock_guard
    import _interlock_interrupt

    class Selector(selectors.DefaultSelector):
        # Nobody interrupts the loop while it waits: it need not look up now and then.
        _selector_cls = _interlock_interrupt.plain("epoll") or selectors.DefaultSelector._selector_cls

    loop = asyncio.SelectorEventLoop(Selector())
    asyncio.set_event_loop(loop)
    for end in (loop._ssock, loop._csock, loop._selector):
        _interlock_guard.keep(end.fileno())
    loop.set_task_factory(_task_factory)
    _make_task, _thread_id, _loop = asyncio.Task, _thread.get_ident(), loop
    loop.call_soon(_take)
    try:
        while not _ending:
            # A script may stop its loop; others of it still need it.
            loop.run_forever()
    finally:
        _wind_down(asyncio, loop)


def _refuse(failure):
    """Tells those who count on the loop that there is none. The next one starts it again."""
    global _loop, _thread_id, _failure
    _loop, _thread_id, _failure = None, None, failure
    try:
        while _inbox:
            _inbox.popleft()()
    finally:
        _failure = None


def _wind_down(asyncio, loop):
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    try:
        if tasks:
            loop.run_until_complete(_make_task(asyncio.wait(tasks, timeout=FAREWELL), loop=loop))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def end():
    """The interpreter is about to end."""
    global _ending
    _ending = True
    if _loop is not None:
        _loop.call_soon_threadsafe(_take)


# --- futures ------------------------------------------------------------------------------------------------


def _running_loop():
    """The loop, once it runs."""
    if _loop is None:
        started = _thread.allocate_lock()
        started.acquire()
        call(started.release)
        started.acquire()
    if _loop is None:
        raise RuntimeError("there is no event loop")
    return _loop


def createFuture():
    """A future that coroutines can await; see setFutureResults."""
    return _running_loop().create_future()


def setFutureResults(f, res):
    """Ends a future with a value. From any thread."""
    call(lambda: f.done() or f.set_result(res))


def setFutureException(f, exception):
    """Ends a future with an exception, or with an error of this text. From any thread."""
    error = exception if isinstance(exception, BaseException) else Exception(exception)
    call(lambda: f.done() or f.set_exception(error))


async def _relayed(coroutine, future, delay):
    if delay:
        await sys.modules["asyncio"].sleep(delay)
    try:
        value = await coroutine
    except BaseException as error:
        if future is None:
            _interlock.log("warning", f"GEARS: a coroutine failed: {type(error).__name__}: {error}")
            raise
        setFutureException(future, error)
    else:
        if future is not None:
            setFutureResults(future, value)
        return value


def relayed(coroutine, future=None, delay=0):
    """A coroutine that runs another one after `delay` seconds, and ends a future as that one ends."""
    return _relayed(coroutine, future, delay)
