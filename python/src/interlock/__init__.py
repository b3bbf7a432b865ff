"""Locks, compute-once and scripts across processes, for a server with the Interlock module.

Everything here is a thin layer over commands of the module; see its documentation for what they promise.
The functions of this package block; `interlock.aio` has the same for asyncio.
"""

from .computation import Computation, computation
from .errors import LeaseLost, LockLost, OnceFailed
from .functions import Function, Library, fcall, function_delete, function_dump, function_list, function_load, function_restore
from .gears import Result, pyexecute, stats
from .keyspace import keys
from .lock import Lock
from .once import once
from .scripts import BulletproofScript

__all__ = [
    "BulletproofScript",
    "Computation",
    "Function",
    "LeaseLost",
    "Library",
    "Lock",
    "LockLost",
    "OnceFailed",
    "Result",
    "computation",
    "fcall",
    "function_delete",
    "function_dump",
    "function_list",
    "function_load",
    "function_restore",
    "keys",
    "once",
    "pyexecute",
    "stats",
]
