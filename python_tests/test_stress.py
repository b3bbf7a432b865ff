"""Fifty clients that do everything at once, for STRESS_SECONDS (5 by default, 60 in CI).

What must come out: no deadlock, every client answered, no lost write, no leaked interpreter, and a
clean SHUTDOWN at the end. Each worker below is one kind of client; a stalled one shows its name.
"""

import os
import random
import threading
import time

import pytest
import redis

from helpers import fill, jobs_running, wait_until

SECONDS = float(os.environ.get("STRESS_SECONDS", 5))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS * 2 + 120)]


class Client:
    """One client of one kind, in a thread: counts its calls, keeps its first surprise."""

    def __init__(self, server, number, kind):
        self.server, self.number, self.kind = server, number, kind
        self.calls = 0
        self.writes = 0
        self.problem = None
        self.last = time.monotonic()
        self.doing = "starting"
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __repr__(self):
        silence = time.monotonic() - self.last
        return f"{self.kind.__name__} #{self.number}: {self.calls} calls, {self.doing} for {silence:.1f} s, {self.problem}\n"

    def run(self):
        dice = random.Random(self.number)
        client = self.server.client(socket_timeout=45)
        try:
            while time.monotonic() < self.server.stress_until:
                self.doing = "calling"
                self.kind(self, client, dice)
                self.calls += 1
                self.last = time.monotonic()
            self.doing = "done"
        except Exception as error:
            self.problem = error
            if isinstance(error, redis.TimeoutError):
                self.server.on_stall()
        finally:
            client.close()

    # Kinds of clients.

    def execute(self, client, dice):
        """A script that calls the server."""
        client.execute_command("RG.PYEXECUTE", "execute('INCR', 'counter')")
        self.writes += 1

    def atomic(self, client, dice):
        """A script that holds the server for a moment: the two keys are always equal."""
        script = "with atomic():\n    execute('INCR', 'left')\n    execute('INCR', 'right')\n"
        client.execute_command("RG.PYEXECUTE", script)
        with client.pipeline(transaction=True) as pipe:
            pipe.get("left")
            pipe.get("right")
            left, right = pipe.execute()
        assert left == right, "an atomic block was torn"

    def scan(self, client, dice):
        """Concurrent key scans."""
        found = client.execute_command("IL.KEYS", "stay:*", "COUNT", dice.choice([100, 1000, 10000]))
        assert len(found) == len(set(found)) == 5000, len(found)

    def save(self, client, dice):
        """Forks."""
        try:
            client.bgsave()
        except redis.ResponseError as error:
            assert "in progress" in str(error) or "already" in str(error), error
        time.sleep(0.3)

    def configure(self, client, dice):
        """Options that change while everything runs."""
        client.config_set("search.slice-us", dice.choice([50, 200, 1000]))
        client.config_set("search.warm-interpreters", dice.choice([0, 1, 2]))
        client.config_set("search.isolation", dice.choice(["subinterpreter", "shared"]))
        client.config_set("search.safemode", "yes" if dice.random() < 0.05 else "no")
        time.sleep(0.02)
        client.config_set("search.safemode", "no")

    def limit(self, client, dice):
        """Scripts that would never end, with a time limit."""
        with pytest.raises(redis.ResponseError):
            client.execute_command("RG.PYEXECUTE", "while True: pass", "TIMEOUT", 100)

    def abort(self, client, dice):
        """Executions that are started in the background and aborted."""
        script = (
            "import time\n"
            "def records():\n"
            "    while True:\n"
            "        time.sleep(0.001)\n"
            "        yield 1\n"
            "GB('PythonReader').count().run(records)\n"
        )
        ident = client.execute_command("RG.PYEXECUTE", script, "UNBLOCKING")
        time.sleep(dice.random() * 0.05)
        client.execute_command("RG.ABORTEXECUTION", ident)
        client.execute_command("RG.GETRESULTSBLOCKING", ident)
        client.execute_command("RG.DROPEXECUTION", ident)

    def fail(self, client, dice):
        """Scripts that raise."""
        with pytest.raises(redis.ResponseError, match="reason"):
            client.execute_command("RG.PYEXECUTE", "raise RuntimeError('reason')")

    def multi(self, client, dice):
        """Python in a transaction."""
        with client.pipeline(transaction=True) as pipe:
            pipe.execute_command("RG.PYEXECUTE", "execute('INCR', 'counter')")
            pipe.execute_command("IL.KEYS", "stay:1*", "LIMIT", 3)
            _, names = pipe.execute()
        assert len(names) == 3
        self.writes += 1
        # Inline, Python holds the server: who needs the lock itself for atomic() gets it in the gaps.
        time.sleep(0.1)

    def vanish(self, client, dice):
        """Clients that go away in the middle."""
        other = self.server.client()
        connection = other.connection_pool.get_connection()
        connection.send_command("RG.PYEXECUTE", "import time\ntime.sleep(1)")
        time.sleep(dice.random() * 0.05)
        connection.disconnect()
        other.close()

    def churn(self, client, dice):
        """Ordinary writes that grow and shrink the table."""
        client.mset({f"churn:{self.number}:{n}": n for n in range(500)})
        client.unlink(*[f"churn:{self.number}:{n}" for n in range(500)])

    def ping(self, client, dice):
        """The one who must not notice."""
        client.ping()
        time.sleep(0.001)


KINDS = [
    (Client.execute, 10),
    (Client.atomic, 6),
    (Client.scan, 8),
    (Client.save, 1),
    (Client.configure, 1),
    (Client.limit, 4),
    (Client.abort, 4),
    (Client.fail, 3),
    (Client.multi, 6),
    (Client.vanish, 2),
    (Client.churn, 3),
    (Client.ping, 2),
]


class Stall:
    """The first client that gets no answer leaves a picture of the server's threads."""

    def __init__(self, server):
        self.server, self.lock, self.picture = server, threading.Lock(), ""

    def __call__(self):
        with self.lock:
            if not self.picture:
                self.picture = self.server.stacks()


def test_everything_at_once(new_server):
    # In SAFEMODE, for a moment now and then, an endless script holds the server up as long as the inline limit allows: that
    # is what was asked for, and must leave the others time enough.
    server = new_server("PYTHON-TIME-LIMIT", "20000", "PYTHON-INLINE-LIMIT", "3000")
    server.on_stall = stall = Stall(server)
    r = server.client()
    fill(r, 5000, prefix="stay:")
    server.stress_until = time.monotonic() + SECONDS
    clients = []
    for kind, count in KINDS:
        clients += [Client(server, len(clients) + n, kind) for n in range(count)]
    assert len(clients) == 50
    for client in clients:
        client.thread.start()
    for client in clients:
        client.thread.join(max(1, server.stress_until - time.monotonic()) + 60)
    stuck = [client for client in clients if client.thread.is_alive()]
    assert not stuck, f"never answered: {stuck}\nall: {clients}\n{stall.picture}"
    problems = [client for client in clients if client.problem]
    assert not problems, f"{problems}\n{stall.picture}"
    idle = [client for client in clients if not client.calls]
    assert not idle, f"no call in {SECONDS} s: {idle}"

    calls = {kind.__name__: sum(client.calls for client in clients if client.kind is kind) for kind, _ in KINDS}
    print("calls:", calls)
    print("figures:", server.info_interlock())

    # Nothing lost, nothing leaked.
    r.config_set("search.warm-interpreters", 1)
    r.config_set("search.isolation", "subinterpreter")
    assert int(r.get("counter")) == sum(client.writes for client in clients)
    wait_until(lambda: jobs_running(server) == 0, 30, what="all jobs to end")
    wait_until(lambda: not r.info("persistence")["rdb_bgsave_in_progress"], 60)
    assert r.info("persistence")["rdb_last_bgsave_status"] == "ok"

    # And a clean end.
    with pytest.raises(redis.ConnectionError):
        r.execute_command("SHUTDOWN", "NOSAVE")
    assert server.wait(20) == 0
