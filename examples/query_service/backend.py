"""A backend: who computes a query, and what becomes of it when this process ends?

Every request becomes a call of `interlock.aio.once`: of all backends one computes, the others wait without a thread.
The lease is renewed while the query runs. If this process is killed, the lease ends and the server hands the
computation to the next one that waits; on SIGTERM it is handed on at once.
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import contextlib
import json
import logging
import pathlib
import signal
import time
from typing import Any

import interlock
import interlock.aio
import redis
import redis.asyncio
import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

import keys
import queries
from api import HEARTBEAT

# How often a running query tells how far it is, at most; and how long that is kept.
REPORT_EVERY = 0.1
REPORT_KEPT_MS = 3_600_000

log = logging.getLogger("backend")


class Work:
    """What a running query may do: see queries.Work."""

    def __init__(self, store: redis.Redis, name: str):
        self.store, self.name, self.computation = store, name, interlock.computation()
        self.next = 0.0

    def report(self, done: float) -> None:
        self.computation.check()
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + REPORT_EVERY
        said = {"backend": self.name, "token": self.computation.token, "done": round(done, 3)}
        # A report that is lost does no harm; a computation that is lost because of one would.
        with contextlib.suppress(redis.RedisError):
            self.store.set(queries.progress_key(self.computation.key), json.dumps(said), px=REPORT_KEPT_MS)

    def pause(self, seconds: float) -> None:
        self.computation.wait(seconds)
        self.computation.check()


class Backend:
    def __init__(self, socket: zmq.asyncio.Socket, options: argparse.Namespace):
        self.socket, self.name = socket, options.name
        self.refusals = keys.refusals(socket)
        # Each request that waits for another backend's result has a connection, and nothing else.
        self.store = redis.asyncio.Redis.from_url(options.redis, max_connections=10_000)
        # Reports come from the threads that compute.
        self.reports = redis.Redis.from_url(options.redis)
        self.once = interlock.aio.once(self.store, key=queries.key, lease=options.lease, ttl=options.ttl)(self.compute)
        self.answering: set[asyncio.Task[None]] = set()
        self.welcomed = False

    async def compute(self, query: str, args: dict[str, Any]) -> Any:
        """Runs only in the backend whose turn it is. A query is plain code that takes long: it gets a thread."""
        return await asyncio.to_thread(self.run, query, args)

    def run(self, query: str, args: dict[str, Any]) -> Any:
        return queries.QUERIES[query](Work(self.reports, self.name), **args)

    async def answer(self, number: int, query: str, args: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"op": "answer", "id": number}
        try:
            answer["value"] = await self.once(query, args)
        except interlock.OnceFailed as error:
            code = "cancelled" if str(error) == "cancelled" else "failed"
            answer["error"] = {"code": code, "message": f"{query}: {error}"}
        except redis.RedisError as error:
            answer["error"] = {"code": "unavailable", "message": f"the server: {error}"}
        except Exception as error:
            # The query's own: here it failed. The others who asked get the same text from the server.
            answer["error"] = {"code": "failed", "message": f"{query}: {type(error).__name__}: {error}"}
        await self.say(answer)

    async def say(self, message: dict[str, Any]) -> None:
        # Waits while the API is away: a new one at the same address gets what is left to say.
        await self.socket.send(json.dumps(message).encode())

    async def hear(self) -> None:
        while True:
            message = json.loads(await self.socket.recv())
            if message["op"] == "welcome":
                if not self.welcomed:
                    self.welcomed = True
                    print(json.dumps({"ready": self.name}), flush=True)
                continue
            task = asyncio.create_task(self.answer(message["id"], message["query"], message["args"]))
            self.answering.add(task)
            task.add_done_callback(self.answering.discard)

    async def beat(self) -> None:
        while True:
            await self.say({"op": "alive"})
            await asyncio.sleep(HEARTBEAT)

    async def refused(self) -> None:
        """Ends with an error when the API does not take this backend's key."""
        raise keys.refusal(await recv_monitor_message(self.refusals))

    async def end(self) -> None:
        """Hands on what is being done: the API asks the others, and the server lets one of them compute."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.say({"op": "bye"}), HEARTBEAT)
        for task in self.answering:
            task.cancel()
        await asyncio.gather(*self.answering, return_exceptions=True)
        await self.store.aclose()


async def main(options: argparse.Namespace) -> None:
    loop, ending = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    loop.set_default_executor(concurrent.futures.ThreadPoolExecutor(options.threads, "query"))
    with zmq.asyncio.Context() as context:
        socket = context.socket(zmq.DEALER)
        socket.linger = 500
        # Nothing is queued for an API that is not there: old heartbeats would be of no use.
        socket.immediate = True
        keys.join(socket, options.key or options.keys / keys.BACKENDS / f"{options.name}.key_secret",
                  options.keys / "api.key")
        backend = Backend(socket, options)
        over = asyncio.create_task(ending.wait())
        socket.connect(options.api)
        tasks = [asyncio.create_task(each) for each in (backend.refused(), backend.hear(), backend.beat())]
        done, _ = await asyncio.wait([*tasks, over], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, over):
            task.cancel()
        await asyncio.gather(*tasks, over, return_exceptions=True)
        if over in done:
            await backend.end()
        socket.disable_monitor()
        backend.refusals.close()
        socket.close()
        for task in done:
            task.result()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A backend process of the query service.")
    parser.add_argument("name", help="who this is; keys.py makes the key")
    parser.add_argument("--api", default="tcp://127.0.0.1:5571", help="where the API hears backends")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379", help="the server with the module")
    parser.add_argument("--keys", type=pathlib.Path, default=pathlib.Path("keys"), help="the folder that keys.py made")
    parser.add_argument("--key", type=pathlib.Path, help="this backend's secret key, if it is elsewhere")
    parser.add_argument("--lease", type=float, default=2.0, help="seconds until work of a killed backend moves on")
    parser.add_argument("--ttl", type=float, default=3600.0, help="seconds that a result is kept")
    parser.add_argument("--threads", type=int, default=32, help="queries that run here at the same time")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    try:
        asyncio.run(main(parser.parse_args()))
    except PermissionError as error:
        raise SystemExit(f"backend: {error}") from None
