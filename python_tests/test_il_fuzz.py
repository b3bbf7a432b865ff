"""Locks and values computed once under random clients, kills, crashes and restarts, against a model.

The model knows for every ownership when it certainly held: from the moment its reply was read until its
owner began to give it up, or its lease at the earliest was over, or its connection or server was killed. Of
one lock, no two of these times may overlap, and they must come in the order of their tokens. Whoever waits
must get an answer.

INTERLOCK_FUZZ_SECONDS makes it longer, INTERLOCK_FUZZ_SEED repeats a run's choices (not its timing).
"""

import contextlib
import dataclasses
import os
import random
import threading
import time

import pytest
import redis

from helpers import as_map, wait_until
from servers import connect

SECONDS = float(os.environ.get("INTERLOCK_FUZZ_SECONDS", 8))
SEED = int(os.environ.get("INTERLOCK_FUZZ_SEED", random.SystemRandom().randrange(1 << 32)))
LOST = (redis.ConnectionError, redis.TimeoutError, OSError)


@dataclasses.dataclass
class Ownership:
    token: int
    owner: str
    begins: float
    ends: float = float("inf")
    session: bool = False


class Model:
    """What the clients have seen."""

    def __init__(self):
        self.mutex = threading.Lock()
        self.owned = {}
        self.errors = []
        self.crashes = []

    def got(self, name, ownership):
        with self.mutex:
            self.owned.setdefault(name, []).append(ownership)

    def wrong(self, text):
        with self.mutex:
            self.errors.append(text)

    def crashed(self, at):
        """The server is about to be killed."""
        with self.mutex:
            self.crashes.append(at)

    def check(self):
        assert not self.errors, self.errors[:5]
        total = 0
        for name, owned in self.owned.items():
            for one in owned:
                if one.session:
                    one.ends = min([one.ends, *(at for at in self.crashes if at >= one.begins)])
            owned.sort(key=lambda one: one.token)
            assert len({one.token for one in owned}) == len(owned), f"a token of {name} was given twice"
            for former, later in zip(owned, owned[1:]):
                assert former.ends <= later.begins, f"two owners of {name}: {former} and {later}"
            total += len(owned)
        return total


class Connection:
    """A connection that is made again when it is lost, also while the server is away."""

    def __init__(self, server, stop):
        self.server, self.stop, self.client = server, stop, None

    def __call__(self, *command):
        if self.client is None:
            self.client = connect(self.server.port, single_connection_client=True)
        try:
            return self.client.execute_command(*command)
        except LOST:
            self.drop()
            raise

    def drop(self):
        if self.client is not None:
            with contextlib.suppress(Exception):
                self.client.connection.disconnect()
            with contextlib.suppress(Exception):
                self.client.close()
            self.client = None

    def until_answered(self, *command):
        """The reply or its error, however often the server is away."""
        while True:
            try:
                return self(*command)
            except redis.ResponseError as error:
                if "LOADING" in str(error) or isinstance(error, redis.exceptions.BusyLoadingError):
                    time.sleep(0.05)
                    continue
                return error
            except LOST:
                time.sleep(0.05)


def forget(connection, name, owner):
    """Leaves a lock as often as it takes, whether it was got or not."""
    while True:
        reply = connection.until_answered("IL.UNLOCK", name, owner)
        if not isinstance(reply, int) or reply == 0:
            return


def lock_client(number, server, model, stop):
    choose = random.Random(SEED * 1000 + number)
    connection = Connection(server, stop)
    attempt = 0
    while not stop.is_set():
        attempt += 1
        owner, name = f"{number}-{attempt}", choose.choice(["a", "b"])
        lease = choose.choice([None, None, 20, 100])
        session = choose.random() < 0.4
        command = ["IL.LOCK", name, owner]
        command += choose.choice([[], ["WAIT", 0], ["WAIT", 0], ["WAIT", choose.randrange(1, 50)]])
        command += ["LEASE", lease] if lease else []
        command += ["SESSION"] if session else []
        asked = time.monotonic()
        try:
            reply = connection(*command)
        except LOST:
            forget(connection, name, owner)
            continue
        except redis.ResponseError as error:
            if "LOADING" not in str(error) and "loading" not in str(error):
                model.wrong(f"{command}: {error}")
            continue
        if reply is None:
            continue
        mine = Ownership(reply[0], owner, time.monotonic(), session=session)
        if lease:
            mine.ends = asked + lease / 1000
        if reply[1] != 1:
            model.wrong(f"{command}: {reply}")
        model.got(name, mine)
        try:
            depth = 1
            if choose.random() < 0.3:
                # With its lease, because it may be a new ownership by now.
                again = connection("IL.LOCK", name, owner, *(["LEASE", lease] if lease else []))
                if again == [mine.token, 2]:
                    depth = 2
                elif not lease:
                    model.wrong(f"{owner} could not enter again")
            time.sleep(choose.choice([0, 0, 0.001, 0.01]))
            mine.ends = min(mine.ends, time.monotonic())
            if session and choose.random() < 0.3:
                connection.drop()
                continue
            if lease and choose.random() < 0.3:
                continue
            for left in reversed(range(depth)):
                reply = connection("IL.UNLOCK", name, owner)
                if reply != left and not lease:
                    model.wrong(f"{owner} left {name}: {reply}, not {left}")
        except LOST:
            mine.ends = min(mine.ends, time.monotonic())
            forget(connection, name, owner)
        except redis.ResponseError as error:
            mine.ends = min(mine.ends, time.monotonic())
            ended = session and any(at >= mine.begins for at in model.crashes)
            if not lease and not ended:
                model.wrong(f"{owner} of {name}: {error}")
            forget(connection, name, owner)
    connection.drop()


def once_client(number, server, model, stop):
    choose = random.Random(SEED * 2000 + number)
    connection = Connection(server, stop)
    while not stop.is_set():
        name = choose.choice(["x", "y"])
        asked = time.monotonic()
        lease = choose.choice([30, 200])
        try:
            reply = connection("IL.ONCE", name, "WAIT", choose.choice([0, 20, 500]), "LEASE", lease)
            if reply is None:
                continue
            if reply[0] == b"ready":
                if reply[1] != b"value of " + name.encode():
                    model.wrong(f"{name} is {reply}")
                if choose.random() < 0.3:
                    connection(choose.choice(["IL.RESET", "DEL"]), name)
                continue
            if reply[0] == b"failed":
                connection("IL.RESET", name)
                continue
            mine = Ownership(reply[1], str(number), time.monotonic(), asked + lease / 1000)
            time.sleep(choose.choice([0, 0.002, 0.05]))
            mine.ends = min(mine.ends, time.monotonic())
            # DEL and a second RESET let others begin before this one has ended: only tokens count then.
            mine.begins = mine.ends
            model.got(name, mine)
            end = choose.random()
            if end < 0.6:
                connection("IL.PUBLISH", name, mine.token, "value of " + name)
            elif end < 0.8:
                connection("IL.FAIL", name, mine.token, "no", *choose.choice([[], ["RETRY"]]))
            elif end < 0.9:
                connection("IL.CANCEL", name)
        except redis.ResponseError as error:
            if not str(error).startswith(("STALE", "LOADING")) and "loading" not in str(error):
                model.wrong(f"{name}: {error}")
        except LOST:
            time.sleep(0.02)
    connection.drop()


@contextlib.contextmanager
def clients(body, count, server, model, stop):
    threads = [threading.Thread(target=body, args=(n, server, model, stop), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    yield
    stop.set()
    for thread in threads:
        thread.join(30)
    if any(thread.is_alive() for thread in threads):
        state = [server.client().execute_command("IL.LOCKINFO", name) for name in "ab"]
        pytest.fail(f"somebody was never answered (seed {SEED}): {state} {model.errors[:5]}")


def all_free(client, names):
    for name in names:
        info = as_map(client.execute_command("IL.LOCKINFO", name))
        if info["state"] != "free" or info["waiting"]:
            return False
    return True


@pytest.mark.parametrize("crashes", [False, True], ids=["calm", "crashes"])
def test_never_two_owners_and_nobody_is_forgotten(new_server, crashes):
    server = new_server(config=["--appendonly", "yes", "--appendfsync", "always"])
    model, stop, choose = Model(), threading.Event(), random.Random(SEED)
    with clients(lock_client, 16, server, model, stop):
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and not model.errors:
            time.sleep(SECONDS / 8)
            if crashes:
                model.crashed(time.monotonic())
                server.kill()
                server.start()
    total = model.check()
    wait_until(lambda: all_free(server.client(), "ab"), 10, what=f"all free (seed {SEED})")
    assert total > 20, f"only {total} ownerships (seed {SEED})"


def test_killed_and_unblocked_clients(new_server):
    """Clients are killed and unblocked by others all the time; they come back and clean up after themselves."""
    server = new_server()
    model, stop, choose = Model(), threading.Event(), random.Random(SEED)
    killer = server.client(single_connection_client=True)
    with clients(lock_client, 16, server, model, stop):
        until = time.monotonic() + SECONDS
        while time.monotonic() < until and not model.errors:
            time.sleep(0.02)
            for line in killer.client_list():
                if choose.random() < 0.1 and line["cmd"] != "client|list":
                    how = choose.choice([("KILL", "ID", line["id"]), ("UNBLOCK", line["id"])])
                    with contextlib.suppress(redis.ResponseError):
                        killer.execute_command("CLIENT", *how)
            # A session that was killed ends no later than now.
            model.crashed(time.monotonic())
    # Whoever was killed cannot tell when its ownership ended: tokens and answers are what counts.
    for owned in model.owned.values():
        tokens = [one.token for one in owned]
        assert len(set(tokens)) == len(tokens)
    assert not model.errors, model.errors[:5]
    wait_until(lambda: all_free(server.client(), "ab"), 10, what=f"all free (seed {SEED})")


@pytest.mark.parametrize("crashes", [False, True], ids=["calm", "crashes"])
def test_tokens_of_values_are_given_once_and_nobody_is_forgotten(new_server, crashes):
    server = new_server(config=["--appendonly", "yes", "--appendfsync", "always"])
    model, stop = Model(), threading.Event()
    with clients(once_client, 12, server, model, stop):
        until = time.monotonic() + SECONDS / 2
        while time.monotonic() < until and not model.errors:
            time.sleep(SECONDS / 8)
            if crashes:
                server.kill()
                server.start()
        # With nobody left to compute, those who wait get their turn one after the other.
        stop.set()
    assert not model.errors, model.errors[:5]
    for name, owned in model.owned.items():
        tokens = [one.token for one in owned]
        assert len(set(tokens)) == len(tokens), f"a token of {name} was given twice"
    assert sum(map(len, model.owned.values())) > 20
