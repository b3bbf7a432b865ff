"""A client of the query service: a class for programs, and a command.

    python client.py --key keys/clients/alice.key_secret run primes below=20000
    python client.py --key keys/clients/alice.key_secret state primes below=20000
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pathlib
import time
from typing import Any, Optional, Union

import zmq
from zmq.utils.monitor import recv_monitor_message

import keys

Path = Union[str, "os.PathLike[str]"]


class QueryError(Exception):
    """What the service says instead of a value.

    `code` is `failed` (the query), `cancelled`, `bad-query`, `malformed` or `unavailable`.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


class Client:
    """A connection to the API. One thread at a time; make another one for another thread.

    Raises QueryError for what the service refuses, PermissionError if the API does not take the key, and TimeoutError
    after `timeout` seconds. To ask again is safe at any time: what is being computed is not computed twice.
    """

    def __init__(
        self,
        api: str = "tcp://127.0.0.1:5570",
        *,
        key: Optional[Path] = None,
        api_key: Optional[Path] = None,
        timeout: float = 60.0,
    ):
        self.timeout = timeout
        self._numbers = itertools.count(1)
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._refusals = keys.refusals(self._socket)
        # Without a key the API will not listen: the service's own tests try.
        if key is not None:
            own = pathlib.Path(key)
            keys.join(self._socket, own, pathlib.Path(api_key) if api_key else own.parent.parent / "api.key")
        self._socket.connect(api)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._refusals, zmq.POLLIN)

    def run(self, query: str, **args: Any) -> Any:
        """The value of a query: computed now, or shared with whoever asked the same."""
        return self._ask("run", query, args)

    def state(self, query: str, **args: Any) -> Optional[dict[str, Any]]:
        """Where a query is in its life, and how far; None if nobody has asked it."""
        state: Optional[dict[str, Any]] = self._ask("state", query, args)
        return state

    def cancel(self, query: str, **args: Any) -> bool:
        """Gives a query up, for everybody who waits for it, until it is reset. Whether there was something to give up."""
        return bool(self._ask("cancel", query, args))

    def reset(self, query: str, **args: Any) -> bool:
        """Forgets the result of a query, its failure or that it was cancelled: the next `run` computes it."""
        return bool(self._ask("reset", query, args))

    def _ask(self, operation: str, query: str, args: dict[str, Any]) -> Any:
        number = next(self._numbers)
        end = time.monotonic() + self.timeout
        self._socket.send_json({"id": number, "op": operation, "query": query, "args": args})
        while (left := end - time.monotonic()) > 0:
            events = dict(self._poller.poll(int(left * 1000) + 1))
            if self._refusals in events:
                raise keys.refusal(recv_monitor_message(self._refusals))
            if self._socket not in events:
                continue
            reply: Any = self._socket.recv_json()
            # Others are answers to questions that this client gave up waiting for.
            if reply["id"] == number:
                if "error" in reply:
                    raise QueryError(**reply["error"])
                return reply["value"]
        raise TimeoutError(f"{operation} {query}: no answer within {self.timeout} s")

    def close(self) -> None:
        self._socket.disable_monitor()
        self._refusals.close()
        self._socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_exception: Any) -> None:
        self.close()


def argument(text: str) -> tuple[str, Any]:
    """name=value, where the value is JSON, or else text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected name=value, not {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main() -> None:
    parser = argparse.ArgumentParser(description="Asks the query service.")
    parser.add_argument("operation", choices=["run", "state", "cancel", "reset"])
    parser.add_argument("query")
    parser.add_argument("args", nargs="*", type=argument, help="name=value")
    parser.add_argument("--api", default="tcp://127.0.0.1:5570", help="where the API hears clients")
    parser.add_argument("--key", type=pathlib.Path, help="this client's secret key")
    parser.add_argument("--api-key", type=pathlib.Path, help="the API's public key (default: api.key above --key's folder)")
    parser.add_argument("--timeout", type=float, default=60.0)
    options = parser.parse_args()
    with Client(options.api, key=options.key, api_key=options.api_key, timeout=options.timeout) as client:
        try:
            value = getattr(client, options.operation)(options.query, **dict(options.args))
        except QueryError as error:
            raise SystemExit(f"{error.code}: {error}") from None
        except (PermissionError, TimeoutError) as error:
            raise SystemExit(str(error)) from None
    print(json.dumps(value))


if __name__ == "__main__":
    main()
