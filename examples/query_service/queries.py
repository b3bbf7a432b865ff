"""What can be asked? The named queries, their arguments, and the key that identical ones share."""

from __future__ import annotations

import hashlib
import inspect
import json
from typing import Any, Callable, Protocol


class Work(Protocol):
    """What a query may do while it computes. Both calls raise as soon as nobody wants the result any more."""

    def report(self, done: float) -> None:
        """Tells how much is done, from 0 to 1."""

    def pause(self, seconds: float) -> None:
        """Waits."""


def primes(work: Work, *, below: int) -> int:
    """How many primes are there below a number? (By trial division: the point is that it takes long.)"""
    found: list[int] = []
    for number in range(2, below):
        if number % 256 == 0:
            work.report(number / below)
        if all(number % prime for prime in found if prime * prime <= number):
            found.append(number)
    return len(found)


def echo(work: Work, *, text: str, seconds: float = 1.0) -> str:
    """The text again, after a while: a query that waits for something slow."""
    steps = max(int(seconds / 0.05), 1)
    for step in range(steps):
        work.report(step / steps)
        work.pause(seconds / steps)
    return text


def divide(work: Work, *, dividend: float, divisor: float) -> float:
    """One number divided by another: a query that can fail."""
    return dividend / divisor


QUERIES: dict[str, Callable[..., Any]] = {query.__name__: query for query in (primes, echo, divide)}

# What JSON brings for a parameter of a type.
ACCEPTED: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,)}


def complete(name: str, args: dict[str, Any]) -> dict[str, Any]:
    """The arguments with the defaults of those that were left out; raises ValueError for what cannot be asked."""
    query = QUERIES.get(name)
    if query is None:
        raise ValueError(f"there is no query '{name}', only {', '.join(QUERIES)}")
    _work, *parameters = inspect.signature(query).parameters.values()
    names = [parameter.name for parameter in parameters]
    for given in args:
        if given not in names:
            raise ValueError(f"{name}: there is no argument '{given}', only {', '.join(names)}")
    # An argument that was left out and one that was given its default are the same question.
    return {parameter.name: _value(name, parameter, args.get(parameter.name, parameter.default)) for parameter in parameters}


def _value(name: str, parameter: inspect.Parameter, value: Any) -> Any:
    if value is parameter.empty:
        raise ValueError(f"{name}: argument '{parameter.name}' is missing")
    if type(value) not in ACCEPTED[parameter.annotation]:
        raise ValueError(f"{name}: {parameter.name} must be of type {parameter.annotation}, not {value!r}")
    if parameter.annotation != "float":
        return value
    try:
        # 1 and 1.0 are the same question, too.
        return float(value)
    except OverflowError:
        raise ValueError(f"{name}: {parameter.name} is too large") from None


def key(name: str, args: dict[str, Any]) -> str:
    """The name under which a query's result is computed once. The same for the same arguments, and short."""
    text = json.dumps(args, sort_keys=True)
    return f"query:{name}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def progress_key(key: str) -> str:
    """Where the one who computes says how far it is."""
    return f"{key}:progress"
