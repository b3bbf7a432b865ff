"""How does a script that waits notice that it must stop?

The exception that stops a thread is delivered when the thread next runs bytecode, and a wait inside C code
runs none. So the functions of the standard library that can wait for long are replaced by ones that wait in
slices. Modules that are expensive to import are patched when the script imports them: a new
interpreter must be cheap.

The functions of this file are not interrupted from outside (a lock must be either taken or not): between two
slices they ask by themselves.
"""

import sys
import time

import _frozen_importlib as _bootstrap
import _imp
import _interlock
import _interlock_guard as guard
import _thread

#: The first and the longest slice of a wait, in seconds.
FIRST = 0.01
LONGEST = 0.2

_monotonic = time.monotonic

#: Whether the interpreter is about to end, and its other threads are gone.
_alone = False


def slices(timeout):
    """The lengths of the slices of a wait that lasts `timeout` seconds (None: for ever).

    Yields at least once; the caller stops early when it has what it waits for. Raises when the run must stop.
    """
    length = FIRST
    if _alone:
        raise RuntimeError("no thread is left that could end this wait")
    _interlock.check_stop()
    if timeout is None:
        while True:
            yield length
            _interlock.check_stop()
            length = min(length * 2, LONGEST)
    end = _monotonic() + timeout
    left = timeout
    while True:
        yield max(min(length, left), 0)
        _interlock.check_stop()
        left = end - _monotonic()
        if left <= 0:
            return
        length = min(length * 2, LONGEST)


# --- time and threads ---------------------------------------------------------------------------------


def sleep(seconds, /):
    """Suspends the calling thread for a number of seconds."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    if seconds != seconds:
        raise ValueError("Invalid value NaN (not a number)")
    _interlock.sleep(seconds)


_allocate = _thread.allocate_lock
_CRLock = _thread.RLock


def _acquire(acquire, blocking, timeout):
    """Takes a lock by its own acquire(), in slices."""
    if not blocking:
        if timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        return acquire(False)
    if timeout < 0 and timeout != -1:
        raise ValueError("timeout value must be a non-negative number")
    if acquire(False):
        return True
    if timeout > _thread.TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")
    for length in slices(None if timeout == -1 else timeout):
        if acquire(True, length):
            return True
    return False


class Lock:
    """threading.Lock, whose acquire() can be interrupted."""

    # The plain lock's own methods where they cannot wait: a `with` block calls __exit__ without running bytecode that an
    # interrupt could strike before the lock is free.
    __slots__ = ("_acquire", "release", "locked", "__exit__", "_at_fork_reinit", "__weakref__")

    def __init__(self):
        lock = _allocate()
        self._acquire = lock.acquire
        self.release = lock.release
        self.locked = lock.locked
        self.__exit__ = lock.__exit__
        self._at_fork_reinit = lock._at_fork_reinit

    def acquire(self, blocking=True, timeout=-1):
        """Takes the lock; whether it was taken."""
        # Most locks are free.
        if timeout == -1 and self._acquire(False):
            return True
        return _acquire(self._acquire, blocking, timeout)

    def __enter__(self):
        return self.acquire()

    def acquire_lock(self, blocking=True, timeout=-1):
        """An old name of acquire()."""
        return self.acquire(blocking, timeout)

    def release_lock(self):
        """An old name of release()."""
        self.release()

    def locked_lock(self):
        """An old name of locked()."""
        return self.locked()

    def __repr__(self):
        return f"<{'locked' if self.locked() else 'unlocked'} Lock object at {id(self):#x}>"


class RLock(_CRLock):
    """threading.RLock, whose acquire() can be interrupted."""

    def acquire(self, blocking=True, timeout=-1):
        """Takes the lock, once more if this thread has it; whether it was taken."""
        return _acquire(super().acquire, blocking, timeout)

    __enter__ = acquire

    def _acquire_restore(self, state):
        # A Condition puts its lock back as it was: taken count times by this thread.
        for _ in range(state[0]):
            self.acquire()


# --- imports --------------------------------------------------------------------------------------------


def renew_import_locks():
    """Gives the import machinery new locks. For when no other thread uses them.

    CPython's own lock of the table of modules' locks cannot be freed for a thread that is gone, and before 3.12
    the whole process has one.
    """
    lock = _CRLock()
    _imp.acquire_lock, _imp.release_lock = lock.acquire, lock.release
    _bootstrap._module_locks.clear()


def settle():
    """Gives back the locks of the import machinery that the calling thread was torn away from."""
    me = _thread.get_ident()
    _release_all(_imp.release_lock)
    for name, reference in list(_bootstrap._module_locks.items()):
        lock = reference()
        if lock is None:
            continue
        if lock.owner == me:
            # Whoever imports the module next makes a new lock; whoever waits for this one is let in.
            _bootstrap._module_locks.pop(name, None)
            _release_all(lock.release)
            if lock.owner == me:
                lock.owner = None


def _release_all(release):
    """Gives a lock back as often as the calling thread has taken it."""
    try:
        while True:
            release()
    except (RuntimeError, AssertionError):
        pass


# --- threads of scripts ---------------------------------------------------------------------------------


def adopted(function):
    """The function as a new thread of the calling thread's run calls it."""
    run = _interlock.current_run()

    def thread(*args, **kwargs):
        _interlock.adopt_thread(run)
        try:
            return function(*args, **kwargs)
        finally:
            # Not interrupted any more, so settle() is done in full.
            _interlock.leave_thread()
            settle()

    return thread


def patch_thread(module):
    """New threads belong to the run that started them; locks can be interrupted."""
    before = dict(vars(module))
    start_new = module.start_new_thread

    def start_new_thread(function, args, kwargs=None, /):
        """Starts a thread that calls the function."""
        if not callable(function):
            raise TypeError("first arg must be callable")
        return start_new(adopted(function), args, {} if kwargs is None else kwargs)

    module.start_new_thread = module.start_new = start_new_thread
    start_joinable = getattr(module, "start_joinable_thread", None)
    if start_joinable is not None:

        def start_joinable_thread(function, *args, **kwargs):
            """Starts a thread that can be joined by its handle."""
            return start_joinable(adopted(function), *args, **kwargs)

        module.start_joinable_thread = start_joinable_thread
    module.allocate_lock = module.allocate = Lock
    # What threading.Lock is a name for, in one version or another.
    for name in ("LockType", "lock"):
        if hasattr(module, name):
            setattr(module, name, Lock)
    module.RLock = RLock
    replaced = [(old, getattr(module, name)) for name, old in before.items() if getattr(module, name) is not old]
    # What site-packages have imported at the start of the interpreter (by a .pth file) has copies of the names.
    threading = sys.modules.get("threading")
    for name, value in list(vars(threading).items()) if threading else ():
        for old, new in replaced:
            if value is old:
                setattr(threading, name, new)


def patch_threading(threading):
    """Waiting for a thread can be interrupted; a thread that was stopped says nothing."""
    join_for = threading.Thread.join

    def join(self, timeout=None):
        """Waits until the thread ends."""
        if timeout is not None and timeout < 0:
            timeout = 0
        for length in slices(timeout):
            join_for(self, length)
            if not self.is_alive():
                return

    threading.Thread.join = join

    excepthook = threading.excepthook

    def quiet_excepthook(args, /):
        """Prints the exception of a thread, unless it was told to stop."""
        if not issubclass(args.exc_type, _interlock.GearsForceStopped):
            excepthook(args)

    threading.excepthook = quiet_excepthook

    def shutdown():
        """What the end of the interpreter calls; by then its threads are gone.

        What they were torn away from they may have left locked, and nobody interrupts this thread any more.
        """
        global _alone
        _alone = True
        for call in reversed(threading._threading_atexits):
            try:
                call()
            except Exception:
                pass

    # The original expects the thread that imported the module to be the interpreter's only one.
    threading._shutdown = shutdown


def patch_queue(queue):
    """The SimpleQueue in C waits without slices; the one in Python is built of locks."""
    queue.SimpleQueue = queue._PySimpleQueue


# --- descriptors ----------------------------------------------------------------------------------------


_plain = {}


def plain(name):
    """A function that was replaced, as it was; None if there is no such one."""
    return _plain.get(name)


def patch_select(select):
    """select(), poll() and epoll() wait in slices."""
    plain_select = select.select

    def sliced_select(rlist, wlist, xlist, timeout=None, /):
        """Waits until one of the descriptors is ready."""
        if timeout is not None and timeout < 0:
            raise ValueError("timeout must be non-negative")
        # An iterator could be used once only.
        rlist, wlist, xlist = list(rlist), list(wlist), list(xlist)
        ready = [], [], []
        for length in slices(timeout):
            ready = plain_select(rlist, wlist, xlist, length)
            if any(ready):
                break
        return ready

    select.select = sliced_select

    class Poll:
        """select.poll, whose poll() waits in slices."""

        __slots__ = ("_poll", "__weakref__")

        def __init__(self):
            self._poll = plain_poll()

        def __getattr__(self, name):
            return getattr(self._poll, name)

        def poll(self, timeout=None, /):
            """Waits for events, for a number of milliseconds."""
            ready = []
            for length in slices(None if timeout is None or timeout < 0 else timeout / 1000):
                ready = self._poll.poll(length * 1000)
                if ready:
                    break
            return ready

    plain_poll = select.poll
    select.poll = Poll
    plain_epoll = getattr(select, "epoll", None)
    if plain_epoll is None:
        return
    _plain["epoll"] = plain_epoll

    class Epoll:
        """select.epoll, whose poll() waits in slices."""

        __slots__ = ("_epoll", "__weakref__")

        def __init__(self, *args, **kwargs):
            self._epoll = plain_epoll(*args, **kwargs)

        @classmethod
        def fromfd(cls, fd):
            """An epoll object of an open descriptor."""
            self = cls.__new__(cls)
            self._epoll = plain_epoll.fromfd(fd)
            return self

        def __getattr__(self, name):
            return getattr(self._epoll, name)

        def __enter__(self):
            self._epoll.__enter__()
            return self

        def __exit__(self, *_exception):
            self._epoll.close()

        def poll(self, timeout=None, maxevents=-1):
            """Waits for events, for a number of seconds."""
            ready = []
            for length in slices(None if timeout is None or timeout < 0 else timeout):
                ready = self._epoll.poll(length, maxevents)
                if ready:
                    break
            return ready

    select.epoll = Epoll


def patch_socket(socket):
    """Blocking socket calls wait, in slices, until the socket is ready, and only then call the original."""
    import errno
    import select

    base = socket.socket
    do_not_wait = socket.MSG_DONTWAIT

    def wait(sock, event):
        """Waits until a socket that may block is ready; TimeoutError at its time limit."""
        timeout = sock.gettimeout()
        if timeout == 0 or sock.fileno() < 0:
            return
        poll = select.poll()
        poll.register(sock.fileno(), event)
        if not poll.poll(None if timeout is None else timeout * 1000):
            raise TimeoutError("timed out")

    def reading(name):
        original = getattr(base, name)

        def method(self, *args, **kwargs):
            wait(self, select.POLLIN)
            return original(self, *args, **kwargs)

        method.__name__ = method.__qualname__ = name
        method.__doc__ = original.__doc__
        setattr(base, name, method)

    for name in ("recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "accept"):
        reading(name)

    plain_send = base.send

    def send(self, data, flags=0):
        """Sends what fits; returns how much that was."""
        while True:
            wait(self, select.POLLOUT)
            if self.gettimeout() == 0:
                return plain_send(self, data, flags)
            try:
                return plain_send(self, data, flags | do_not_wait)
            except BlockingIOError:
                pass

    plain_sendall = base.sendall

    def sendall(self, data, flags=0):
        """Sends everything."""
        if self.gettimeout() == 0:
            return plain_sendall(self, data, flags)
        with memoryview(data) as view, view.cast("B") as rest:
            sent = 0
            while sent < len(rest):
                sent += send(self, rest[sent:], flags)
        return None

    plain_connect = base.connect

    def connect(self, address):
        """Connects to an address."""
        timeout = self.gettimeout()
        if timeout == 0:
            return plain_connect(self, address)
        self.settimeout(0)
        try:
            for length in slices(timeout):
                try:
                    return plain_connect(self, address)
                except BlockingIOError as error:
                    if error.errno != errno.EAGAIN:
                        break
                # A UNIX socket whose listener is busy: there is nothing to wait for but time.
                _interlock.sleep(length)
            else:
                raise TimeoutError("timed out")
        finally:
            self.settimeout(timeout)
        wait(self, select.POLLOUT)
        code = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            import os

            raise OSError(code, os.strerror(code))
        return None

    def connect_ex(self, address):
        """Connects to an address; returns an error number instead of raising."""
        try:
            connect(self, address)
        except OSError as error:
            if error.errno is None:
                return errno.EAGAIN
            return error.errno
        return 0

    base.send, base.sendall, base.connect, base.connect_ex = send, sendall, connect, connect_ex


def patch_ssl(ssl):
    """Reading and the handshake wait in slices; the rest of a record that has begun is waited for in C."""
    import select

    base = ssl.SSLSocket

    def wait(sock, event):
        timeout = sock.gettimeout()
        poll = select.poll()
        poll.register(sock.fileno(), event)
        if not poll.poll(None if timeout is None else timeout * 1000):
            raise TimeoutError("timed out")

    plain_read = base.read

    def read(self, *args, **kwargs):
        """Reads decrypted data."""
        if self._sslobj is not None and self.gettimeout() != 0 and not self.pending():
            wait(self, select.POLLIN)
        return plain_read(self, *args, **kwargs)

    plain_handshake = base.do_handshake

    def do_handshake(self, block=False):
        """Performs the handshake."""
        timeout = self.gettimeout()
        if timeout == 0:
            return plain_handshake(self, block)
        try:
            while True:
                self.settimeout(0)
                try:
                    return plain_handshake(self)
                except ssl.SSLWantReadError:
                    event = select.POLLIN
                except ssl.SSLWantWriteError:
                    event = select.POLLOUT
                self.settimeout(timeout)
                wait(self, event)
        finally:
            self.settimeout(timeout)

    base.read, base.do_handshake = read, do_handshake


# --- processes ------------------------------------------------------------------------------------------


def patch_processes():
    """Waiting for a child process can be interrupted."""
    import posix

    plain_waitpid = posix.waitpid

    def waitpid(pid, options, /):
        """Waits until a child process ends."""
        if options & posix.WNOHANG:
            return plain_waitpid(pid, options)
        for length in slices(None):
            found = plain_waitpid(pid, options | posix.WNOHANG)
            if found[0]:
                return found
            _interlock.sleep(length)

    def system(command):
        """Runs a command in a shell; returns its exit status."""
        import os

        pid = posix.posix_spawn("/bin/sh", ("sh", "-c", os.fsdecode(command)), os.environ)
        return waitpid(pid, 0)[1]

    for module in (posix, sys.modules.get("os")):
        if module is not None:
            module.waitpid, module.system = waitpid, system


def patch_subprocess(subprocess):
    """Popen.wait() without a time limit waits in slices."""
    plain_wait = subprocess.Popen.wait

    def wait(self, timeout=None):
        """Waits until the process ends."""
        if timeout is not None:
            return plain_wait(self, timeout)
        for length in slices(None):
            try:
                return plain_wait(self, length)
            except subprocess.TimeoutExpired:
                pass

    subprocess.Popen.wait = wait


# --- patching at import ---------------------------------------------------------------------------------

PATCHES = {
    "threading": patch_threading,
    "queue": patch_queue,
    "select": patch_select,
    "socket": patch_socket,
    "ssl": patch_ssl,
    "subprocess": patch_subprocess,
}


class PatchingLoader:
    """A module's own loader, and a patch after it."""

    def __init__(self, loader, patches):
        self._loader = loader
        self._patches = patches

    def create_module(self, spec):
        """As the module's own loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module):
        """Loads the module and patches it."""
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        for patch in self._patches:
            patch(module)


class PatchingFinder:
    """Finds the modules to patch, by asking the other finders."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """The module's own spec with a loader that patches."""
        found = patches(name)
        if not found:
            return None
        for finder in sys.meta_path:
            if finder is PatchingFinder:
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = PatchingLoader(spec.loader, found)
                return spec
        return None


def patches(name):
    """The patches for a module."""
    return [patch[name] for patch in (PATCHES, guard.PATCHES) if name in patch]


def install():
    """Puts the replacements in place."""
    time.sleep = sleep
    renew_import_locks()
    patch_thread(_thread)
    patch_processes()
    for name in {*PATCHES, *guard.PATCHES}:
        if name in sys.modules:
            for patch in patches(name):
                patch(sys.modules[name])
    sys.meta_path.insert(0, PatchingFinder)
    unraisablehook = sys.unraisablehook

    def quiet_unraisablehook(unraisable, /):
        """Reports an exception that nobody can catch, unless it only stops a thread."""
        if not issubclass(unraisable.exc_type, _interlock.GearsForceStopped):
            unraisablehook(unraisable)

    sys.unraisablehook = quiet_unraisablehook
