"""The API: who asks, and which backend answers?

Clients come in at one socket, backends at the other; both must have a certificate. A `run` goes to the backend that
has least to do, identical or not: that the same query is computed once is the backends' and the server's affair
(IL.ONCE), so nothing is lost if this process ends, and several of them may run side by side. A backend that is
silent for too long is given up, and what it was asked goes to the others.

Messages are JSON, one frame each:

    client  -> API       {"id", "op": "run" | "state" | "cancel" | "reset", "query", "args"}
    API     -> client    {"id", "value"} or {"id", "error": {"code", "message"}}
    API     -> backend   {"op": "welcome"} or {"op": "run", "id", "query", "args"}
    backend -> API       {"op": "alive"}, {"op": "bye"}, or {"op": "answer", "id", and "value" or "error"}
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import itertools
import json
import logging
import pathlib
import signal
import time
from typing import Any, Optional

import redis.asyncio
import zmq
import zmq.asyncio
from zmq.auth.asyncio import AsyncioAuthenticator

import keys
import queries

# Backends say that they are alive so often; one that has said nothing for so long is given up.
HEARTBEAT = 0.25
SILENCE = 8 * HEARTBEAT
# So long a request waits for a backend when there is none.
NO_BACKEND = 5.0
# So many backends may end over one request before it is taken for the cause.
ATTEMPTS = 10

log = logging.getLogger("api")


class Refused(Exception):
    """What a client gets instead of a value."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(eq=False)
class Request:
    """A query that a client waits for."""

    client: bytes
    number: Any
    message: bytes
    since: float = dataclasses.field(default_factory=time.monotonic)
    backend: Optional[bytes] = None
    attempts: int = 0


@dataclasses.dataclass
class Backend:
    """A backend that has been heard of."""

    heard: float
    asked: set[int] = dataclasses.field(default_factory=set)


class Api:
    def __init__(self, front: zmq.asyncio.Socket, back: zmq.asyncio.Socket, store: redis.asyncio.Redis):
        self.front, self.back, self.store = front, back, store
        self.numbers = itertools.count(1)
        self.requests: dict[int, Request] = {}
        self.backends: dict[bytes, Backend] = {}

    # -- clients ----------------------------------------------------------------------------------

    async def hear_clients(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            while True:
                client, *frames = await self.front.recv_multipart()
                tasks.create_task(self.serve(client, b"".join(frames)))

    async def serve(self, client: bytes, body: bytes) -> None:
        number = None
        try:
            message = self.read(body)
            number = message["id"]
            operation, query, args = self.check(message)
            key = queries.key(query, args)
            if operation == "run":
                own = next(self.numbers)
                order = {"op": "run", "id": own, "query": query, "args": args}
                self.requests[own] = Request(client, number, json.dumps(order).encode())
                await self.assign(own)
                return
            if operation == "state":
                value: Any = await self.state(key)
            else:
                value = await self.store.execute_command(f"IL.{operation.upper()}", key) == 1
            await self.tell(client, {"id": number, "value": value})
        except Refused as error:
            await self.refuse(client, number, error)
        except redis.RedisError as error:
            await self.refuse(client, number, Refused("unavailable", f"the server: {error}"))

    @staticmethod
    def read(body: bytes) -> dict[str, Any]:
        """A client's message. Who has a key may still be mistaken."""
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict) or not {"id", "op", "query", "args"} <= message.keys():
            raise Refused("malformed", "a message is a JSON object with id, op, query and args")
        return message

    @staticmethod
    def check(message: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
        """What is to be done with which query."""
        operation, query, args = message["op"], message["query"], message["args"]
        if operation not in ("run", "state", "cancel", "reset"):
            raise Refused("malformed", f"op must be run, state, cancel or reset, not {operation!r}")
        if not isinstance(query, str) or not isinstance(args, dict):
            raise Refused("malformed", "query must be a string, args an object")
        try:
            return operation, query, queries.complete(query, args)
        except ValueError as error:
            raise Refused("bad-query", str(error)) from None

    async def state(self, key: str) -> Optional[dict[str, Any]]:
        """Where a query is in its life; None if nobody has asked it."""
        async with self.store.pipeline(transaction=True) as both:
            both.execute_command("IL.STATE", key)
            both.get(queries.progress_key(key))
            reply, progress = await both.execute()
        if reply is None:
            return None
        pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2])
        fields = {name.decode(): value.decode(errors="replace") if isinstance(value, bytes) else value
                  for name, value in pairs}
        state = {name: fields[name] for name in ("state", "since_ms", "waiting", "runs", "message")}
        # What a backend said that computes no more (killed, or too slow) is not the progress of the one that does.
        if progress and (said := json.loads(progress))["token"] == fields["token"]:
            state |= {"backend": said["backend"], "progress": 1.0 if state["state"] == "completed" else said["done"]}
        return state

    async def tell(self, client: bytes, message: dict[str, Any]) -> None:
        # Dropped by the socket if the client is gone.
        await self.front.send_multipart([client, json.dumps(message).encode()])

    async def refuse(self, client: bytes, number: Any, error: Refused) -> None:
        await self.tell(client, {"id": number, "error": {"code": error.code, "message": str(error)}})

    # -- backends ---------------------------------------------------------------------------------

    async def hear_backends(self) -> None:
        while True:
            identity, body = await self.back.recv_multipart()
            message = json.loads(body)
            if message["op"] == "bye":
                await self.give_up("said good-bye", identity)
                continue
            if identity in self.backends:
                self.backends[identity].heard = time.monotonic()
            else:
                await self.welcome(identity)
            if message["op"] == "answer":
                await self.answer(message)

    async def welcome(self, identity: bytes) -> None:
        self.backends[identity] = Backend(time.monotonic())
        log.info("backend %s is there", identity.hex())
        await self.send(identity, b'{"op": "welcome"}')
        for number in [number for number, request in self.requests.items() if request.backend is None]:
            await self.assign(number)

    async def answer(self, message: dict[str, Any]) -> None:
        # Two backends answer one request if the first was given up too early. Both say the same.
        number = message.pop("id")
        request = self.requests.pop(number, None)
        if request is None:
            return
        if request.backend in self.backends:
            self.backends[request.backend].asked.discard(number)
        del message["op"]
        await self.tell(request.client, {"id": request.number, **message})

    async def assign(self, number: int) -> None:
        """Gives a request to the backend that has least to do."""
        request = self.requests.get(number)
        if request is None:
            return
        request.backend = min(self.backends, key=lambda identity: len(self.backends[identity].asked), default=None)
        if request.backend is None:
            request.since = time.monotonic()
            return
        request.attempts += 1
        if request.attempts > ATTEMPTS:
            await self.drop(number, Refused("failed", f"{ATTEMPTS} backends ended before they had the result"))
            return
        self.backends[request.backend].asked.add(number)
        await self.send(request.backend, request.message)

    async def send(self, identity: bytes, message: bytes) -> None:
        try:
            await self.back.send_multipart([identity, message])
        except zmq.ZMQError as error:
            # ROUTER_MANDATORY: it is known at once that the connection is gone.
            await self.give_up(str(error), identity)

    async def give_up(self, why: str, *identities: bytes) -> None:
        # All at once, so that none of them gets what the others were asked.
        asked: set[int] = set()
        for identity in identities:
            if (backend := self.backends.pop(identity, None)) is not None:
                log.info("backend %s is given up: %s", identity.hex(), why)
                asked |= backend.asked
        for number in sorted(asked):
            await self.assign(number)

    async def drop(self, number: int, error: Refused) -> None:
        request = self.requests.pop(number)
        await self.refuse(request.client, request.number, error)

    async def watch(self) -> None:
        """Gives up who is silent, and tells clients when there is nobody to ask."""
        last = time.monotonic()
        while True:
            await asyncio.sleep(HEARTBEAT)
            now = time.monotonic()
            # That this process itself stood still (a busy machine) is not the backends' silence.
            late, last = now - last - HEARTBEAT, now
            for backend in self.backends.values():
                backend.heard += late
            silent = [identity for identity, backend in self.backends.items() if now - backend.heard > SILENCE]
            await self.give_up(f"silent for {SILENCE} s", *silent)
            waiting = [number for number, request in self.requests.items() if request.backend is None]
            for number in waiting:
                request = self.requests.get(number)
                if request and request.backend is None and now - request.since > NO_BACKEND:
                    await self.drop(number, Refused("unavailable", "there is no backend"))

    async def end(self) -> None:
        for number in list(self.requests):
            await self.drop(number, Refused("unavailable", "the API ends; ask again: what is computed is not lost"))


async def main(options: argparse.Namespace) -> None:
    loop, ending = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    with zmq.asyncio.Context() as context:
        # Looks at the key of everybody who connects, before anything they say is read.
        authenticator = AsyncioAuthenticator(context)
        authenticator.start()
        sockets = {}
        for domain, address in ((keys.CLIENTS, options.clients), (keys.BACKENDS, options.backends)):
            authenticator.configure_curve(domain=domain, location=options.keys / domain)
            sockets[domain] = socket = context.socket(zmq.ROUTER)
            # The last answers may take so long to leave.
            socket.linger = 1000
            keys.serve(socket, options.keys, domain)
            socket.router_mandatory = domain == keys.BACKENDS
            socket.bind(address)
        # A crowd of clients takes turns at a few connections.
        store = redis.asyncio.Redis.from_pool(redis.asyncio.BlockingConnectionPool.from_url(options.redis))
        api = Api(sockets[keys.CLIENTS], sockets[keys.BACKENDS], store)
        tasks = [asyncio.create_task(each) for each in (api.hear_clients(), api.hear_backends(), api.watch())]
        addresses = {domain: str(socket.get_string(zmq.LAST_ENDPOINT)) for domain, socket in sockets.items()}
        print(json.dumps({"ready": addresses}), flush=True)
        over = asyncio.create_task(ending.wait())
        done, _ = await asyncio.wait([*tasks, over], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, over):
            task.cancel()
        await asyncio.gather(*tasks, over, return_exceptions=True)
        await api.end()
        for socket in sockets.values():
            socket.close()
        authenticator.stop()
        await store.aclose()
        for task in done:
            # None of them ends by itself: an error that nobody foresaw must be seen.
            task.result()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The API process of the query service.")
    parser.add_argument("--keys", type=pathlib.Path, default=pathlib.Path("keys"), help="the folder that keys.py made")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379", help="the server with the module")
    parser.add_argument("--clients", default="tcp://127.0.0.1:5570", help="where clients connect")
    parser.add_argument("--backends", default="tcp://127.0.0.1:5571", help="where backends connect")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    asyncio.run(main(parser.parse_args()))
