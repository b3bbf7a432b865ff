"""How is the whole arrangement started and ended? For the tour and the tests: one folder of keys, an API, backends."""

from __future__ import annotations

import json
import os
import pathlib
import select
import subprocess
import sys
from typing import Any, Optional

import keys
from client import Client

HERE = pathlib.Path(__file__).resolve().parent
# The project's own package, where it is not installed.
PACKAGE = HERE.parent.parent / "python" / "src"


class Service:
    """An API and backends beside a server that runs already. Everything ends with the `with` block."""

    def __init__(
        self,
        redis_url: str,
        folder: pathlib.Path,
        *,
        clients: list[str],
        backends: list[str],
        lease: float = 2.0,
        threads: int = 32,
    ):
        self.redis_url, self.keys = redis_url, folder / "keys"
        self.backend_options = [f"--lease={lease}", f"--threads={threads}"]
        self.log = folder / "log"
        self.names = backends
        self.processes: dict[str, subprocess.Popen[str]] = {}
        self.addresses: dict[str, str] = {}
        keys.make(self.keys, clients, backends)

    def __enter__(self) -> "Service":
        try:
            self.start_api()
            self.start_backends(*self.names)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exception: Any) -> None:
        self.close()

    def start_api(self) -> None:
        """Starts the API, at the addresses it had before if it was there already."""
        places = [f"--{domain}={self.addresses.get(domain, 'tcp://127.0.0.1:*')}" for domain in (keys.CLIENTS, keys.BACKENDS)]
        self.start("api", "api.py", *places)
        self.addresses = self.ready("api")

    def start_backends(self, *names: str) -> None:
        for name in names:
            self.start(name, "backend.py", name, f"--api={self.addresses[keys.BACKENDS]}", *self.backend_options)
        for name in names:
            self.ready(name)

    def start(self, name: str, *words: str) -> None:
        path = os.pathsep.join([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
        with open(self.log, "ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, str(HERE / words[0]), *words[1:], f"--redis={self.redis_url}", f"--keys={self.keys}"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "PYTHONPATH": path},
            )

    def ready(self, name: str, patience: float = 30.0) -> Any:
        """Waits until a process says that it serves, and what it says."""
        output = self.processes[name].stdout
        assert output is not None
        line = output.readline() if select.select([output], [], [], patience)[0] else ""
        if not line:
            raise RuntimeError(f"{name} does not serve:\n{self.log.read_text()}")
        return json.loads(line)["ready"]

    def client(self, name: Optional[str], **options: Any) -> Client:
        """A client with the key of that name; without one, a client without a key."""
        key = self.keys / keys.CLIENTS / f"{name}.key_secret" if name else None
        return Client(self.addresses[keys.CLIENTS], key=key, **options)

    def stranger(self, **options: Any) -> Client:
        """A client with a key of its own making, which nobody has given to the API."""
        keys.make(self.keys / "strangers", ["eve"], [])
        key = self.keys / "strangers" / keys.CLIENTS / "eve.key_secret"
        return Client(self.addresses[keys.CLIENTS], key=key, api_key=self.keys / "api.key", **options)

    def kill(self, name: str) -> None:
        """kill -9."""
        process = self.processes.pop(name)
        process.kill()
        process.communicate()

    def end(self, name: str, patience: float = 20.0) -> int:
        """SIGTERM; the exit code."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
        return process.returncode

    def close(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for name in list(self.processes):
            self.end(name)
