"""How does a test get a server?

`Server` is one stock server process with the module loaded, in a folder of its own, on a port that
the system gave out. It can be stopped and started again on the same data, its log can be read, and a
log that shows a panic or a crash fails the test that caused it (see conftest.py).

The environment chooses what is tested: INTERLOCK_SERVER (default `redis-server`) and INTERLOCK_MODULE
(default `target/release/libinterlock.so`).
"""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = os.environ.get("INTERLOCK_SERVER", "redis-server")
MODULE = os.environ.get("INTERLOCK_MODULE", str(ROOT / "target/release/libinterlock.so"))

# What must never stand in a server's log.
BAD_SIGNS = (
    "panicked at",
    "crashed by signal",
    "AddressSanitizer",
    "ASSERTION FAILED",
    "REDIS BUG REPORT START",
    "VALKEY BUG REPORT START",
    "Fatal Python error",
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port, protocol=2, **options):
    """A client that neither retries nor waits for ever: what the server did is what the test sees."""
    options.setdefault("socket_timeout", 60)
    return redis.Redis(port=port, protocol=protocol, retry=Retry(NoBackoff(), 0), **options)


class ServerDied(Exception):
    """The process ended although nobody asked it to."""


class Server:
    """A server process with the module."""

    def __init__(self, *module_args, config=(), module=None, environment=None, config_file=None):
        self.module_args = [str(word) for word in module_args]
        self.config = [str(word) for word in config]
        self.module = module or MODULE
        self.environment = environment or {}
        #: A configuration file, which CONFIG REWRITE may change.
        self.config_file = config_file
        self.port = free_port()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="interlock-"))
        self.process = None
        self.checked = 0
        self.clients = []

    # -- life ---------------------------------------------------------------------------------

    def start(self, patience=30):
        """Starts the process and waits until it serves; raises ServerDied with the log otherwise."""
        if not os.path.exists(self.module):
            raise FileNotFoundError(f"{self.module} is not built: run `make build`")
        command = [BINARY, *([self.config_file] if self.config_file else []), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--logfile", "server.log", "--save", "", "--enable-debug-command", "yes"]
        command += ["--enable-module-command", "yes", "--maxclients", "2000"]
        command += ["--repl-diskless-sync-delay", "0", *self.config]
        # CONFIG REWRITE has written it down.
        if not (self.config_file and "loadmodule" in self.config_file.read_text()):
            command += ["--loadmodule", self.module, *self.module_args]
        with open(self.folder / "stderr", "ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                env={**os.environ, **self.environment},
            )
        until = time.monotonic() + patience
        while True:
            try:
                with connect(self.port, socket_timeout=5) as client:
                    if client.ping() and not client.info("persistence")["loading"]:
                        return self
            except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
                # A loaded machine may take longer than one try.
                pass
            if self.process.poll() is not None:
                raise ServerDied(f"the server ended at start ({self.process.returncode}):\n{self.log()}")
            if time.monotonic() > until:
                self.process.kill()
                raise ServerDied(f"the server did not answer in {patience} s:\n{self.log()}")
            time.sleep(0.02)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def wait(self, seconds=30):
        """Waits for the process to end; its exit code."""
        return self.process.wait(seconds)

    def stop(self):
        """Ends the process, politely if it listens."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"the server did not end on SIGTERM:\n{self.log()}")

    def kill(self):
        if self.alive():
            self.process.kill()
            self.process.wait()

    def restart(self, save=True):
        """Stops the server and starts it again on what it saved."""
        if save:
            self.client().save()
        self.stop()
        return self.start()

    def close(self):
        for client in self.clients:
            client.close()
        self.clients.clear()
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    # -- what it shows ------------------------------------------------------------------------

    def client(self, protocol=2, **options):
        """A new connection pool to this server; closed with the server."""
        client = connect(self.port, protocol, **options)
        self.clients.append(client)
        return client

    def log(self):
        text = b""
        for name in ("server.log", "stderr"):
            path = self.folder / name
            if path.exists():
                text += path.read_bytes()
        return text.decode(errors="replace")

    def new_log(self):
        """What was logged since the last call."""
        text = self.log()
        new, self.checked = text[self.checked:], len(text)
        return new

    def pid(self):
        return self.process.pid

    def rss(self):
        """Resident memory in bytes, as the system sees it."""
        for line in pathlib.Path(f"/proc/{self.pid()}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")

    def stacks(self):
        """What every thread of the server does now, where gdb is installed: for tests that find it stuck."""
        gdb = shutil.which("gdb")
        if gdb is None or not self.alive():
            return "(no gdb, or no process)"
        words = [gdb, "-p", str(self.pid()), "-batch", "-ex", "set print frame-arguments none", "-ex", "thread apply all bt 30"]
        return subprocess.run(words, capture_output=True, text=True, timeout=60).stdout

    def info_interlock(self):
        """The fields of the module's INFO section, without the prefix that the server adds. The
        server puts the module's name before the section's too."""
        with connect(self.port) as client:
            text = client.execute_command("INFO", "search_interlock")
        return parse_info(text)

    def is_valkey(self):
        with connect(self.port) as client:
            return "valkey_version" in client.info("server")

    def version(self):
        """The version of Redis (or the one Valkey is compatible with) as a tuple."""
        with connect(self.port) as client:
            return tuple(int(part) for part in client.info("server")["redis_version"].split("."))


def parse_info(reply):
    """INFO as a dictionary, whatever form the client library gave it."""
    if isinstance(reply, dict):
        fields = dict(reply)
    else:
        text = reply.decode() if isinstance(reply, bytes) else reply
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        fields = dict(line.split(":", 1) for line in lines)
    parsed = {}
    for name, value in fields.items():
        name = name.decode() if isinstance(name, bytes) else name
        for prefix in ("search_", "interlock_"):
            name = name.removeprefix(prefix)
        if isinstance(value, str):
            for kind in (int, float):
                try:
                    value = kind(value)
                    break
                except ValueError:
                    continue
        parsed[name] = value
    return parsed
