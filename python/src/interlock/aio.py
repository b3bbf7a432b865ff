"""The same for asyncio: Lock, once and keys over redis.asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import uuid
from typing import Any, AsyncIterator, Awaitable, Callable, Optional, Union

from redis.exceptions import ResponseError

from .computation import CURRENT, Computation
from .errors import LockLost, is_lost
from .keyspace import words
from .once import Key, Plan, failed, is_stale, word
from .renewal import SHARE
from .wait import Patience, millis

__all__ = ["Lock", "keys", "once"]


async def _renew_for_ever(lease: float, renew: Callable[[], Awaitable[Any]], is_over: Callable[[ResponseError], bool]) -> None:
    """Renews a lease until it is lost; returns then."""
    loop = asyncio.get_running_loop()
    good_until = loop.time() + lease
    while True:
        await asyncio.sleep(lease * SHARE)
        asked = loop.time()
        try:
            await renew()
            good_until = asked + lease
        except ResponseError as error:
            if is_over(error):
                return
        except Exception:
            # The server cannot be reached now. It may be again before the lease is over.
            pass
        if loop.time() >= good_until:
            return


async def _stop(task: Optional[asyncio.Task[None]]) -> None:
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Lock:
    """A re-entrant, fair lock across processes. Each object is an owner of its own unless `owner` says otherwise."""

    def __init__(self, client: Any, name: str, *, lease: float = 30.0, owner: Optional[str] = None, renew: bool = True):
        self.client, self.name, self.lease, self.renew = client, name, lease, renew
        self.owner = owner or uuid.uuid4().hex
        self.token: Optional[int] = None
        self._renewal: Optional[asyncio.Task[None]] = None

    @property
    def lost(self) -> bool:
        """Whether the lock was held and lost without having been left."""
        return self.token is not None and self._renewal is not None and self._renewal.done()

    async def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Takes the lock; whether it was taken. Waits for ever unless `timeout` (seconds) or `blocking` says otherwise."""
        patience = Patience(self.client, None if timeout < 0 else timeout)
        while True:
            wait = patience.words() if blocking else []
            reply = await self.client.execute_command(
                "IL.LOCK", self.name, self.owner, *wait, "LEASE", millis(self.lease)
            )
            if reply is not None:
                if int(reply[0]) != self.token:
                    await _stop(self._renewal)
                    self.token = int(reply[0])
                    self._renewal = asyncio.create_task(self._keep()) if self.renew else None
                return True
            if not blocking or patience.is_over():
                return False

    async def _keep(self) -> None:
        renew = functools.partial(
            self.client.execute_command, "IL.RENEW", self.name, self.owner, "LEASE", millis(self.lease)
        )
        await _renew_for_ever(self.lease, renew, is_lost)

    async def release(self) -> None:
        """Leaves the lock once; raises LockLost when it is not held (any more)."""
        try:
            depth = int(await self.client.execute_command("IL.UNLOCK", self.name, self.owner))
        except ResponseError as error:
            if not is_lost(error):
                raise
            await self._forget()
            raise LockLost(f"{self.name} is not held: {error}") from None
        if depth == 0:
            await self._forget()

    async def _forget(self) -> None:
        task, self._renewal, self.token = self._renewal, None, None
        await _stop(task)

    async def __aenter__(self) -> "Lock":
        await self.acquire()
        return self

    async def __aexit__(self, *_exception: Any) -> None:
        await self.release()


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
) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    """Lets one process compute what many ask for: `interlock.once` for coroutine functions.

    A function whose result is not wanted any more (cancelled, reset, the lease over) is cancelled.
    """

    def decorate(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        plan = Plan(function, key, ttl, lease, wait, retry, dumps, loads)

        @functools.wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            name = plan.name(args, kwargs)
            patience = Patience(client, wait)
            while True:
                reply = await client.execute_command(*plan.ask(name, patience))
                if reply is None:
                    if patience.is_over():
                        raise TimeoutError(f"nobody has computed {name} within {wait} s")
                    continue
                what, content = word(reply[0]), reply[1]
                if what == "ready":
                    return loads(content)
                if what == "failed":
                    raise failed(content)
                done, value = await _compute(client, plan, name, content, args, kwargs)
                if done:
                    return value

        return call

    return decorate


async def _compute(client: Any, plan: Plan, name: str, token: Any, args: Any, kwargs: Any) -> tuple[bool, Any]:
    """Computes the value and brings it; whether it was taken, and what it is."""
    running = Computation(name, token)

    async def work() -> Any:
        CURRENT.set(running)
        return await plan.function(*args, **kwargs)

    renew = functools.partial(client.execute_command, "IL.RENEW", name, token, "LEASE", millis(plan.lease))
    renewal = asyncio.create_task(_renew_for_ever(plan.lease, renew, is_stale))
    working = asyncio.create_task(work())
    try:
        try:
            await asyncio.wait({working, renewal}, return_when=asyncio.FIRST_COMPLETED)
            lost = not working.done()
        finally:
            # Also when this task is cancelled: nobody else may begin while the function still runs.
            running.lose()
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        if lost:
            return False, None
        value = working.result()
        command = plan.publish(name, token, value)
    except BaseException as error:
        # Also when this task is cancelled: the others must not wait for a lease to end.
        with contextlib.suppress(Exception):
            await asyncio.shield(client.execute_command(*plan.fail(name, token, error)))
        raise
    finally:
        await _stop(renewal)
    try:
        await client.execute_command(*command)
    except ResponseError as error:
        if is_stale(error):
            return False, None
        raise
    return True, value


async def keys(
    client: Any, pattern: Any = "*", *, type: Optional[str] = None, count: Optional[int] = None, limit: Optional[int] = None
) -> AsyncIterator[Any]:
    """All keys that match, each once, without holding the server up."""
    for key in await client.execute_command(*words(pattern, type, count, limit)):
        yield key
