"""Who renews leases while their holders work? One thread for the whole process (a greenlet under gevent)."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import Callable

# A lease is renewed when so much of it is over: there is time for two more attempts.
SHARE = 1 / 3


class Renewal:
    """One lease that is renewed until it is stopped, or lost."""

    def __init__(self, lease: float, renew: Callable[[], bool], lost: Callable[[], None]):
        self.lease, self.renew, self.lost = lease, renew, lost
        self.good_until = time.monotonic() + lease
        self.stopped = False

    def step(self) -> bool:
        """Renews once. Whether to go on."""
        if self.stopped:
            return False
        asked = time.monotonic()
        try:
            good = self.renew()
        except Exception:
            # The server cannot be reached now. It may be again before the lease is over.
            good = None
        if self.stopped:
            return False
        if good:
            self.good_until = asked + self.lease
        elif good is not None or time.monotonic() >= self.good_until:
            self.lost()
            return False
        return True

    def stop(self) -> None:
        self.stopped = True


class Renewer:
    """Renews leases in the order in which they are due."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.due: list[tuple[float, int, Renewal]] = []
        self.number = itertools.count()
        self.running = False

    def add(self, renewal: Renewal) -> Renewal:
        with self.changed:
            self._push(renewal)
            if not self.running:
                self.running = True
                threading.Thread(target=self._run, name="interlock-renewer", daemon=True).start()
            self.changed.notify()
        return renewal

    def _push(self, renewal: Renewal) -> None:
        heapq.heappush(self.due, (time.monotonic() + renewal.lease * SHARE, next(self.number), renewal))

    def _next(self) -> "Renewal | None":
        """Waits for the next one that is due; None when there is none left at all."""
        with self.changed:
            while True:
                while self.due and self.due[0][2].stopped:
                    heapq.heappop(self.due)
                if not self.due:
                    self.running = False
                    return None
                wait = self.due[0][0] - time.monotonic()
                if wait <= 0:
                    return heapq.heappop(self.due)[2]
                self.changed.wait(wait)

    def _run(self) -> None:
        while True:
            renewal = self._next()
            if renewal is None:
                return
            if renewal.step():
                with self.changed:
                    self._push(renewal)


RENEWER = Renewer()
