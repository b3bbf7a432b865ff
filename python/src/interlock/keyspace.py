"""Which keys are there? IL.KEYS as an iterator."""

from __future__ import annotations

from typing import Any, Iterator, Optional


def words(pattern: Any, type: Optional[str], count: Optional[int], limit: Optional[int]) -> list[Any]:
    options: list[Any] = ["IL.KEYS", pattern]
    for name, value in (("TYPE", type), ("COUNT", count), ("LIMIT", limit)):
        if value is not None:
            options += [name, value]
    return options


def keys(
    client: Any, pattern: Any = "*", *, type: Optional[str] = None, count: Optional[int] = None, limit: Optional[int] = None
) -> Iterator[Any]:
    """All keys that match, each once, without holding the server up.

    `type` is one of TYPE's, `count` bounds the keys that one slice looks at, `limit` the keys returned.
    """
    yield from client.execute_command(*words(pattern, type, count, limit))
