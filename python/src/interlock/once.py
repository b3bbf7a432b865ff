"""Compute once, wait, share: a decorator over IL.ONCE."""

from __future__ import annotations

import functools
import json
from typing import Any, Callable, Optional, Union

from redis.exceptions import ResponseError

from .computation import CURRENT, Computation
from .errors import LeaseLost, OnceFailed, code
from .renewal import RENEWER, Renewal
from .wait import Patience, millis

Key = Union[str, Callable[..., str], None]


class Plan:
    """What a decorated function is called, and how its results are written."""

    def __init__(
        self,
        function: Callable[..., Any],
        key: Key,
        ttl: Optional[float],
        lease: float,
        wait: Optional[float],
        retry: bool,
        dumps: Callable[[Any], Union[str, bytes]],
        loads: Callable[[bytes], Any],
    ):
        self.function, self.key, self.ttl, self.lease = function, key, ttl, lease
        self.wait, self.retry, self.dumps, self.loads = wait, retry, dumps, loads

    def name(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The key of one call."""
        if callable(self.key):
            return self.key(*args, **kwargs)
        if self.key is not None:
            return self.key.format(*args, **kwargs)
        named = ",".join([repr(arg) for arg in args] + [f"{name}={value!r}" for name, value in sorted(kwargs.items())])
        return f"{self.function.__module__}.{self.function.__qualname__}({named})"

    def ask(self, name: str, patience: Patience) -> list[Any]:
        return ["IL.ONCE", name, *patience.words(), "LEASE", millis(self.lease)]

    def publish(self, name: str, token: Any, value: Any) -> list[Any]:
        ttl = [] if self.ttl is None else ["TTL", millis(self.ttl)]
        return ["IL.PUBLISH", name, token, self.dumps(value), *ttl]

    def fail(self, name: str, token: Any, error: BaseException) -> list[Any]:
        text = f"{type(error).__name__}: {error}"
        # Who is stopped (KeyboardInterrupt, SystemExit, a cancelled task) has learnt nothing about the value.
        retry = self.retry or not isinstance(error, Exception)
        return ["IL.FAIL", name, token, text, *(["RETRY"] if retry else [])]


def is_stale(error: ResponseError) -> bool:
    """Whether the reply says that somebody else computes by now."""
    return code(error) in ("STALE", "WRONGTYPE")


def word(reply: Any) -> str:
    return reply.decode() if isinstance(reply, bytes) else reply


def failed(message: Any) -> OnceFailed:
    return OnceFailed(message.decode(errors="replace") if isinstance(message, bytes) else message)


def once(
    client: Any,
    *,
    key: Key = None,
    ttl: Optional[float] = None,
    lease: float = 30.0,
    wait: Optional[float] = None,
    retry: bool = False,
    dumps: Callable[[Any], Union[str, bytes]] = json.dumps,
    loads: Callable[[bytes], Any] = json.loads,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Lets one process compute what many ask for.

    The result is kept for `ttl` seconds (for ever without). The one who computes has a lease of `lease` seconds,
    renewed while it works; if it dies, the next one computes. Others wait at most `wait` seconds and then
    raise TimeoutError. A failure is everybody's (OnceFailed), unless `retry` lets the next one try.
    The function may ask `interlock.computation()` whether its result is still wanted.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        plan = Plan(function, key, ttl, lease, wait, retry, dumps, loads)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            name = plan.name(args, kwargs)
            patience = Patience(client, wait)
            while True:
                reply = client.execute_command(*plan.ask(name, patience))
                if reply is None:
                    if patience.is_over():
                        raise TimeoutError(f"nobody has computed {name} within {wait} s")
                    continue
                what, content = word(reply[0]), reply[1]
                if what == "ready":
                    return loads(content)
                if what == "failed":
                    raise failed(content)
                done, value = _compute(client, plan, name, content, args, kwargs)
                if done:
                    return value
                # The lease was lost: share what another one brings, or its failure.

        return call

    return decorate


def _compute(client: Any, plan: Plan, name: str, token: Any, args: Any, kwargs: Any) -> tuple[bool, Any]:
    """Computes the value and brings it; whether it was taken, and what it is."""

    def renew() -> bool:
        try:
            client.execute_command("IL.RENEW", name, token, "LEASE", millis(plan.lease))
            return True
        except ResponseError as error:
            if is_stale(error):
                return False
            raise

    running = Computation(name, token)
    renewal = RENEWER.add(Renewal(plan.lease, renew, running.lose))
    outer = CURRENT.set(running)
    try:
        value = plan.function(*args, **kwargs)
        command = plan.publish(name, token, value)
    except BaseException as error:
        renewal.stop()
        if running.lost and isinstance(error, LeaseLost):
            return False, None
        try:
            client.execute_command(*plan.fail(name, token, error))
        except Exception:
            # The lease ends by itself; the caller must learn of its own error.
            pass
        raise
    finally:
        CURRENT.reset(outer)
    renewal.stop()
    try:
        client.execute_command(*command)
    except ResponseError as error:
        if is_stale(error):
            return False, None
        raise
    return True, value
