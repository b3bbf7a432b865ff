"""Which calls of the standard library would take the server down, and have no audit event?

A sub-interpreter has its own modules but shares the process: its exit, its signal handlers, its file
descriptors. The functions that reach those are replaced, and refuse with PermissionError what would
hit the server. This keeps accidents away, not attackers: there is no way to lock Python code in.

Descriptors: a script may close what it opened. What it opened is remembered together with the identity
of the open file, for a number that was closed elsewhere may by now be the server's.
"""

import posix
import sys

_fstat = posix.fstat
_close = posix.close
_dup2 = posix.dup2

#: Descriptors that functions of this interpreter returned, and what they referred to then.
_owned = {}
#: Descriptors of this interpreter that its scripts must not close: its event loop's.
_kept = {}


def refused(name, why):
    """A function that refuses."""

    def refuse(*_args, **_kwargs):
        raise PermissionError(f"{name} {why}: refused in a script")

    refuse.__name__ = refuse.__qualname__ = name.rpartition(".")[2]
    return refuse


def identity(fd):
    """What a descriptor refers to; OSError when it is closed."""
    status = _fstat(fd)
    return status.st_dev, status.st_ino


def own(fd):
    """Remembers a descriptor as this interpreter's."""
    if isinstance(fd, int) and fd >= 0:
        _owned[fd] = identity(fd)
    return fd


def keep(fd):
    """Remembers a descriptor as none that a script may close."""
    _kept[fd] = identity(fd)


def owns(fd):
    """Whether an open descriptor is this interpreter's to close; OSError when it is not open."""
    now = identity(fd)
    if _kept.get(fd) == now:
        return False
    if _owned.get(fd) == now:
        return True
    _owned.pop(fd, None)
    return any(number == fd for number in _numbers_of_objects())


def _numbers_of_objects():
    """The descriptors of all live files, sockets and selectors of this interpreter."""
    import gc
    import io

    kinds = [io.FileIO]
    for module, name in (("_socket", "socket"), ("select", "epoll")):
        kind = getattr(sys.modules.get(module), name, None)
        if isinstance(kind, type):
            kinds.append(kind)
    for candidate in gc.get_objects():
        if isinstance(candidate, tuple(kinds)):
            try:
                yield candidate.fileno()
            except (OSError, ValueError):
                pass


def close(fd):
    """Closes a descriptor of this interpreter."""
    number = fd.__index__() if hasattr(fd, "__index__") else fd
    if isinstance(number, int) and _is_open(number):
        if not owns(number):
            raise PermissionError(f"os.close({number}) would close a descriptor of the server: refused in a script")
        _owned.pop(number, None)
    return _close(fd)


def _is_open(fd):
    try:
        _fstat(fd)
        return True
    except (OSError, OverflowError):
        return False


def closerange(fd_low, fd_high, /):
    """Closes the descriptors from fd_low to fd_high - 1, all of which must be this interpreter's."""
    numbers = sorted(int(name) for name in posix.listdir("/proc/self/fd"))
    numbers = [fd for fd in numbers if fd_low <= fd < fd_high and _is_open(fd)]
    for fd in numbers:
        if not owns(fd):
            raise PermissionError(
                f"os.closerange({fd_low}, {fd_high}) would close descriptor {fd} of the server: refused in a script"
            )
    for fd in numbers:
        _owned.pop(fd, None)
        try:
            _close(fd)
        except OSError:
            pass


def dup2(fd, fd2, inheritable=True):
    """Duplicates fd onto fd2, which must be closed or this interpreter's."""
    if _is_open(fd2) and not owns(fd2):
        raise PermissionError(f"os.dup2(..., {fd2}) would close a descriptor of the server: refused in a script")
    return own(_dup2(fd, fd2, inheritable))


def _owning(function):
    """The function, with the descriptors it returns remembered."""

    def wrapper(*args, **kwargs):
        result = function(*args, **kwargs)
        if isinstance(result, tuple):
            for fd in result[:2]:
                own(fd)
            return result
        return own(result)

    wrapper.__name__ = wrapper.__qualname__ = function.__name__
    wrapper.__doc__ = function.__doc__
    return wrapper


def _replace(name, function):
    """Replaces a function in posix and in os, which copied it."""
    for module in (posix, sys.modules.get("os")):
        if module is not None and hasattr(module, name):
            setattr(module, name, function)


#: What is patched when a script imports it; filled by install().
PATCHES = {}


def install():
    """Puts the replacements in place."""
    for name in ("open", "pipe", "pipe2", "dup", "openpty", "eventfd", "memfd_create", "pidfd_open"):
        function = getattr(posix, name, None)
        if function is not None:
            _replace(name, _owning(function))
    for name, function in (("close", close), ("closerange", closerange), ("dup2", dup2)):
        _replace(name, function)
    for name in ("_exit", "abort"):
        _replace(name, refused(f"os.{name}", "would end the server"))
    for name in ("fork", "forkpty"):
        _replace(name, refused(f"os.{name}", "would fork the server"))
    PATCHES.update(
        _signal=patch_signal, signal=patch_signal, socket=patch_socket, _posixshmem=patch_posixshmem
    )


def patch_signal(signal):
    """The handlers and timers of signals are the server's."""
    for name in ("signal", "siginterrupt", "set_wakeup_fd", "setitimer", "alarm", "raise_signal"):
        if hasattr(signal, name):
            setattr(signal, name, refused(f"signal.{name}", "would change how the server handles signals"))


def patch_socket(socket):
    """socket.close(fd) is another os.close, and detach() gives a descriptor away."""
    original = socket.socket.detach

    def detach(self):
        """Closes the socket object without closing its descriptor, which is returned."""
        return own(original(self))

    socket.socket.detach = detach
    if hasattr(socket, "close"):
        socket.close = close


def patch_posixshmem(module):
    """Shared memory opens descriptors and closes them with os.close."""
    module.shm_open = _owning(module.shm_open)
