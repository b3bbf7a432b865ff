"""How long does a command wait, in the words of the server?"""

from __future__ import annotations

import functools
import inspect
import time
from typing import Any, Optional

# Of a client's socket timeout: what is left is for the reply's way.
SHARE = 0.8


def millis(seconds: float) -> int:
    """Milliseconds, at least one: 0 means for ever to the server."""
    return max(int(seconds * 1000), 1)


@functools.lru_cache(maxsize=None)
def _default_timeout(connection: type) -> Optional[float]:
    """The socket timeout of connections that were given none: redis-py has one since version 8, and a client made
    with `from_url` does not show it."""
    for base in connection.__mro__:
        parameter = inspect.signature(base.__init__).parameters.get("socket_timeout")
        if parameter is not None:
            return parameter.default
    return None


class Patience:
    """A wait of so many seconds (None: for ever), in pieces that the client's socket timeout allows."""

    def __init__(self, client: Any, seconds: Optional[float]):
        self.end = None if seconds is None else time.monotonic() + seconds
        pool = client.connection_pool
        limit = pool.connection_kwargs.get("socket_timeout", _default_timeout(pool.connection_class))
        self.piece = None if limit is None else limit * SHARE

    def words(self) -> list[Any]:
        """WAIT for the next piece."""
        left = None if self.end is None else max(self.end - time.monotonic(), 0.0)
        candidates = [seconds for seconds in (left, self.piece) if seconds is not None]
        return ["WAIT", millis(min(candidates)) if candidates else 0]

    def is_over(self) -> bool:
        return self.end is not None and time.monotonic() >= self.end
