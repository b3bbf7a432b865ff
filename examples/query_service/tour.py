"""The tour of the query service: it starts everything, shows what the README promises, and ends by itself.

    make example-query-service

It exits with 0 only if everything was as it says.
"""

from __future__ import annotations

import pathlib
import sys
import tempfile
import threading
import time
from typing import Any, Callable

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "python_tests"))

from client import Client, QueryError  # noqa: E402
from servers import Server  # noqa: E402
from service import Service  # noqa: E402

BACKENDS = ["one", "two", "three"]


def title(text: str) -> None:
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def say(text: str) -> None:
    print(f"  {text}", flush=True)


class Asked(threading.Thread):
    """A client of its own that asks a query, and what it got."""

    def __init__(self, service: Service, query: str, **args: Any):
        super().__init__(daemon=True)
        self.service, self.query, self.args = service, query, args
        self.outcome: Any = "no answer"
        self.start()

    def run(self) -> None:
        with self.service.client("alice") as client:
            try:
                self.outcome = client.run(self.query, **self.args)
            except Exception as error:
                self.outcome = error

    def answer(self) -> Any:
        self.join(60)
        return self.outcome


def watch(client: Client, until: Callable[[dict[str, Any]], bool], query: str, **args: Any) -> dict[str, Any]:
    """Asks for the state of a query until it is as wanted. (A program would ask as often as its user looks.)"""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        state = client.state(query, **args)
        if state is not None and until(state):
            return state
        time.sleep(0.05)
    raise AssertionError(f"{query} is not as expected: {state}")


def shown(state: dict[str, Any]) -> str:
    return ", ".join(f"{name} {state[name]}" for name in ("state", "backend", "progress", "waiting", "runs") if name in state)


def refused(ask: Callable[[], Any], kind: type[Exception]) -> str:
    """The error that asking raises; anything else ends the tour."""
    try:
        value = ask()
    except kind as error:
        return f"{getattr(error, 'code', kind.__name__)}: {error}"
    raise AssertionError(f"{value!r} was not refused")


def tour(service: Service, client: Client, server: Server) -> None:
    title("Twelve clients ask the same at once")
    args: dict[str, Any] = {"below": 100_000}
    at = time.monotonic()
    asked = [Asked(service, "primes", **args) for _ in range(12)]
    for share in (0.25, 0.5, 0.75):
        say(shown(watch(client, lambda state: state.get("progress", 0) >= share, "primes", **args)))
    answers = [each.answer() for each in asked]
    state = client.state("primes", **args)
    assert state is not None and answers == [9592] * 12 and state["runs"] == 1, (answers, state)
    say(f"{len(answers)} answers after {time.monotonic() - at:.1f} s: {set(answers)}, computed {state['runs']} time")
    at = time.monotonic()
    assert client.run("primes", **args) == 9592
    say(f"asked again: the same after {(time.monotonic() - at) * 1000:.1f} ms")

    title("The backend that computes is killed with -9")
    args = {"text": "still here", "seconds": 3}
    asked = [Asked(service, "echo", **args) for _ in range(6)]
    before = watch(client, lambda state: state.get("progress", 0) > 0.3, "echo", **args)
    say(shown(before))
    service.kill(before["backend"])
    at = time.monotonic()
    say(f"kill -9 {before['backend']}")
    after = watch(client, lambda state: state.get("backend", before["backend"]) != before["backend"], "echo", **args)
    say(f"{shown(after)}: it moved on after {time.monotonic() - at:.1f} s")
    answers = [each.answer() for each in asked]
    assert answers == ["still here"] * 6, answers
    say(f"{len(answers)} answers: {set(answers)}")
    service.start_backends(before["backend"])
    say(f"{before['backend']} is started again")

    title("Cancelling")
    args = {"text": "never", "seconds": 600}
    asked = [Asked(service, "echo", **args) for _ in range(3)]
    watch(client, lambda state: "backend" in state, "echo", **args)
    assert client.cancel("echo", **args)
    for each in asked:
        assert isinstance(each.answer(), QueryError) and each.answer().code == "cancelled", each.answer()
    say(f"3 clients got: {asked[0].answer().code}")

    title("Errors")
    say(refused(lambda: client.run("divide", dividend=1, divisor=0), QueryError))
    say(refused(lambda: client.run("primes", below="many"), QueryError))
    say(refused(lambda: client.run("weather"), QueryError))

    title("Clients without a key, and with one that the API does not know")
    before_keys = server.client().dbsize()
    with service.client(None) as stranger:
        say(refused(lambda: stranger.run("primes", below=10), PermissionError))
    with service.stranger() as stranger:
        say(refused(lambda: stranger.run("primes", below=10), PermissionError))
    assert server.client().dbsize() == before_keys

    title("The end: SIGTERM to each")
    for name in list(service.processes):
        code = service.end(name)
        say(f"{name}: exit code {code}")
        assert code == 0, service.log.read_text()


def main() -> None:
    title("A server with the module, keys, an API and three backends")
    with Server() as server, tempfile.TemporaryDirectory(prefix="query-service-") as folder:
        url = f"redis://127.0.0.1:{server.port}"
        with Service(url, pathlib.Path(folder), clients=["alice"], backends=BACKENDS) as service:
            say(f"server at port {server.port}; {', '.join(f'{domain} at {at}' for domain, at in service.addresses.items())}")
            say(f"processes: {', '.join(f'{name} {process.pid}' for name, process in service.processes.items())}")
            with service.client("alice") as client:
                tour(service, client, server)
    print("\nDone.")


if __name__ == "__main__":
    main()
