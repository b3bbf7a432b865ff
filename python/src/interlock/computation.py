"""What may a function know about the computation that it runs for?"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Optional

from .errors import LeaseLost


class Computation:
    """One run of a function under `once`: the key, the fencing token, and whether the result is still wanted."""

    def __init__(self, key: str, token: int):
        self.key, self.token = key, token
        self._over = threading.Event()

    @property
    def lost(self) -> bool:
        """Whether the result would be refused: the computation was cancelled or reset, or its lease was over."""
        return self._over.is_set()

    def wait(self, seconds: Optional[float] = None) -> bool:
        """Waits until the computation is lost, at most so long; whether it is. Blocks the thread."""
        return self._over.wait(seconds)

    def check(self) -> None:
        """Raises LeaseLost when the computation is lost: for loops that would go on in vain."""
        if self.lost:
            raise LeaseLost(f"{self.key} is not computed here any more")

    def lose(self) -> None:
        """Called by `once`."""
        self._over.set()


CURRENT: ContextVar[Computation] = ContextVar("interlock.computation")


def computation() -> Computation:
    """The computation that the caller runs for; also in a thread that asyncio.to_thread started for it."""
    try:
        return CURRENT.get()
    except LookupError:
        raise RuntimeError("computation() is for functions that `once` runs") from None
