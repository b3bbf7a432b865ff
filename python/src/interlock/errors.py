"""What can go wrong that is not redis-py's own?"""

from __future__ import annotations

from redis.exceptions import ResponseError


class LockLost(RuntimeError):
    """The lock is not held (any more): its lease was over, it was deleted, or it was never taken."""


class LeaseLost(RuntimeError):
    """What a function computes is not wanted any more: cancelled, reset, or its lease was over."""


class OnceFailed(Exception):
    """The value could not be computed; the text is what the one who tried said."""


def code(error: ResponseError) -> str:
    """The first word of an error reply."""
    return str(error).split(" ", 1)[0]


def is_lost(error: ResponseError) -> bool:
    """Whether the reply says that a lock is not held by the one who asks."""
    return code(error) in ("NOTOWNER", "NOTLOCKED", "WRONGTYPE")
