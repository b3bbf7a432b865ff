"""Python functions inside the server, typed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Optional, Union


@dataclass(frozen=True)
class Result:
    """What an execution brought."""

    results: list[Any]
    errors: list[Any]


def pyexecute(
    client: Any,
    script: Union[str, bytes],
    *,
    unblocking: bool = False,
    id: Optional[str] = None,
    description: Optional[str] = None,
    upgrade: bool = False,
    isolation: Optional[str] = None,
    scope: Optional[str] = None,
    timeout: Optional[float] = None,
    max_memory: Optional[int] = None,
    requirements: Iterable[str] = (),
) -> Any:
    """Runs a script with RG.PYEXECUTE.

    A Result when the script ends with run(); else what the server answers (OK, or with `unblocking` the execution's id).
    `timeout` is in seconds, `max_memory` in bytes; `isolation` is `subinterpreter` or `shared`, `scope` `call` or `script`.
    `requirements` are packages as pip understands them.
    """
    words: list[Any] = ["RG.PYEXECUTE", script]
    words += ["UNBLOCKING"] if unblocking else []
    words += ["UPGRADE"] if upgrade else []
    options = (
        ("ID", id), ("DESCRIPTION", description), ("ISOLATION", isolation), ("SCOPE", scope),
        ("TIMEOUT", None if timeout is None else max(int(timeout * 1000), 1)), ("MAXMEMORY", max_memory),
    )  # fmt: skip
    for name, value in options:
        if value is not None:
            words += [name, value]
    names = list(requirements)
    words += ["REQUIREMENTS", *names] if names else []
    reply = client.execute_command(*words)
    if isinstance(reply, list) and len(reply) == 2 and all(isinstance(part, list) for part in reply):
        return Result(*reply)
    return reply


def stats(client: Any) -> dict[str, Any]:
    """IL.STATS as a dictionary: numbers as numbers, the rest as text."""
    reply = client.execute_command("IL.STATS")
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2])

    def text(value: Any) -> Any:
        return value.decode() if isinstance(value, bytes) else value

    def number(value: Any) -> Any:
        # RESP2 has no doubles: they come as text.
        try:
            return float(value)
        except (TypeError, ValueError):
            return value

    return {text(name): value if isinstance(value, int) else number(text(value)) for name, value in pairs}
