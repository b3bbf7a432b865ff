"""A re-entrant lock across processes: threading.RLock's interface over IL.LOCK."""

from __future__ import annotations

import threading
import uuid
from typing import Any, Callable, Optional

from redis.exceptions import ResponseError

from .errors import LockLost, is_lost
from .renewal import RENEWER, Renewal
from .wait import Patience, millis


class _Identity(threading.local):
    """A name for each thread, which no later thread has again."""

    def __init__(self) -> None:
        self.name = uuid.uuid4().hex


_IDENTITY = _Identity()


class _Holding:
    """What one owner holds through this object."""

    def __init__(self, token: int):
        self.token, self.depth, self.lost = token, 1, False
        self.renewal: Optional[Renewal] = None


class Lock:
    """A lock that its owner may take again, that is fair, and that ends with its holder.

    The lease is renewed in the background while the lock is held; if the process dies, the lock is free
    when the lease is over. `on_lost` is called (on the renewing thread) when a held lock is lost nevertheless.
    Give `token` to what the lock protects, and let it refuse smaller ones than it has seen.
    """

    def __init__(
        self,
        client: Any,
        name: str,
        *,
        lease: float = 30.0,
        owner: Optional[str] = None,
        renew: bool = True,
        on_lost: Optional[Callable[["Lock"], None]] = None,
    ):
        self.client, self.name, self.lease, self.renew, self.on_lost = client, name, lease, renew, on_lost
        self._owner = owner
        self._holdings: dict[str, _Holding] = {}

    @property
    def owner(self) -> str:
        """Who the caller is to the lock."""
        return self._owner or _IDENTITY.name

    @property
    def token(self) -> Optional[int]:
        """The fencing token of the caller's ownership; None when it holds nothing."""
        holding = self._holdings.get(self.owner)
        return holding.token if holding and not holding.lost else None

    @property
    def lost(self) -> bool:
        """Whether the caller held the lock and lost it without having left it."""
        holding = self._holdings.get(self.owner)
        return bool(holding and holding.lost)

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Takes the lock; whether it was taken. Waits for ever unless `timeout` (seconds) or `blocking` says otherwise."""
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        owner = self.owner
        lease = ["LEASE", millis(self.lease)]
        if not blocking:
            return self._taken(owner, self.client.execute_command("IL.LOCK", self.name, owner, *lease))
        patience = Patience(self.client, None if timeout < 0 else timeout)
        while True:
            reply = self.client.execute_command("IL.LOCK", self.name, owner, *patience.words(), *lease)
            if self._taken(owner, reply):
                return True
            if patience.is_over():
                return False

    def _taken(self, owner: str, reply: Any) -> bool:
        if reply is None:
            return False
        token, depth = int(reply[0]), int(reply[1])
        holding = self._holdings.get(owner)
        if holding is None or holding.token != token:
            self._forget(owner)
            holding = self._holdings[owner] = _Holding(token)
            if self.renew:
                holding.renewal = RENEWER.add(
                    Renewal(self.lease, lambda: self._renew(owner), lambda: self._lose(holding))
                )
        holding.depth = depth
        return True

    def _renew(self, owner: str) -> bool:
        try:
            self.client.execute_command("IL.RENEW", self.name, owner, "LEASE", millis(self.lease))
            return True
        except ResponseError as error:
            if is_lost(error):
                return False
            raise

    def _lose(self, holding: _Holding) -> None:
        holding.lost = True
        if self.on_lost is not None:
            self.on_lost(self)

    def _forget(self, owner: str) -> None:
        holding = self._holdings.pop(owner, None)
        if holding and holding.renewal:
            holding.renewal.stop()

    def release(self) -> None:
        """Leaves the lock once.

        Raises LockLost when the caller does not hold it (any more).
        """
        owner = self.owner
        holding = self._holdings.get(owner)
        if holding is not None and holding.depth == 1 and holding.renewal:
            # Before, so that a renewal under way does not find the lock gone and call it lost.
            holding.renewal.stop()
        try:
            depth = int(self.client.execute_command("IL.UNLOCK", self.name, owner))
        except ResponseError as error:
            if not is_lost(error):
                raise
            self._forget(owner)
            raise LockLost(f"{self.name} is not held: {error}") from None
        if depth == 0:
            self._forget(owner)
        elif holding is not None:
            holding.depth = depth

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return bool(self.client.exists(self.name))

    def __enter__(self) -> "Lock":
        self.acquire()
        return self

    def __exit__(self, *_exception: Any) -> None:
        self.release()
