"""What do many tests do?

Waiting for a condition, watching PING while something runs, loading keys, and running one command in
every lane: pooled, inside MULTI/EXEC, inside Lua, in SAFEMODE, over RESP2 and RESP3.
"""

import contextlib
import threading
import time

import redis


def wait_until(condition, seconds=10, every=0.01, what=None):
    """Waits until the condition holds and returns its value; fails the test if it never does."""
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < until, f"not within {seconds} s: {what or condition}"
        time.sleep(every)


def fill(client, count, prefix="key:", value="x", batch=5000):
    """Sets `count` string keys and returns their names (bytes)."""
    names = []
    for start in range(0, count, batch):
        pairs = {f"{prefix}{n}": value for n in range(start, min(start + batch, count))}
        client.mset(pairs)
        names += [name.encode() for name in pairs]
    return names


@contextlib.contextmanager
def in_background(function, *args):
    """Runs a function in a thread while the block runs; its exception becomes the test's."""
    outcome = {}

    def body():
        try:
            outcome["value"] = function(*args)
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    try:
        yield outcome
    finally:
        thread.join(60)
    assert not thread.is_alive(), f"{function} still runs"
    if "error" in outcome:
        raise outcome["error"]


def jobs_running(server):
    """How many jobs run in the module's pools."""
    info = server.info_interlock()
    return sum(info[f"{pool}_running"] for pool in ("workers", "long", "rows", "python"))


class PingWatch:
    """Measures PING from another client while a block runs: `with PingWatch(server) as watch`."""

    def __init__(self, server):
        self.server = server
        self.seconds = []
        self.stopped = threading.Event()
        self.error = None

    def __enter__(self):
        self.thread = threading.Thread(target=self._measure, daemon=True)
        self.thread.start()
        return self

    def _measure(self):
        try:
            with contextlib.closing(self.server.client()) as client:
                # Once at least, however short the block.
                while not (self.stopped.is_set() and self.seconds):
                    at = time.perf_counter()
                    client.ping()
                    self.seconds.append(time.perf_counter() - at)
                    time.sleep(0.001)
        except Exception as error:
            self.error = error

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join(60)
        if self.error:
            raise self.error

    def worst(self):
        return max(self.seconds)

    def percentile(self, percent):
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def reply_or_error(call):
    """The reply, or the error reply as a value."""
    try:
        return call()
    except redis.ResponseError as error:
        return error


def in_multi(client, *command):
    """Runs one command inside MULTI/EXEC; its reply, or its error as a value."""
    with client.pipeline(transaction=True) as pipe:
        pipe.execute_command(*command)
        # A wrong number of arguments is refused when it is queued: EXEC is an error as a whole.
        replies = reply_or_error(lambda: pipe.execute(raise_on_error=False))
        return replies[0] if isinstance(replies, list) else replies


def in_lua(client, *command):
    """Runs one command from a Lua script; its reply, or its error as a value."""
    return reply_or_error(lambda: client.eval("return redis.call(unpack(ARGV))", 0, *command))


@contextlib.contextmanager
def config(client, **options):
    """Sets `search.*` options (names with _ for -) while the block runs."""
    before = {}
    for name, value in options.items():
        name = "search." + name.replace("_", "-")
        before[name] = plain(client.config_get(name))[name]
        client.config_set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            client.config_set(name, value)


LANES = ("pooled", "resp3", "multi", "lua", "safemode")


def in_lane(server, lane, *command):
    """Runs one command in the given lane; its reply, or its error as a value."""
    client = server.client(protocol=3 if lane == "resp3" else 2)
    try:
        if lane in ("pooled", "resp3"):
            return reply_or_error(lambda: client.execute_command(*command))
        if lane == "multi":
            return in_multi(client, *command)
        if lane == "lua":
            return in_lua(client, *command)
        if lane == "safemode":
            with config(client, safemode="yes"):
                return reply_or_error(lambda: client.execute_command(*command))
        raise ValueError(lane)
    finally:
        client.close()


def in_all_lanes(server, *command):
    """The replies of one command in every lane, by lane."""
    return {lane: in_lane(server, lane, *command) for lane in LANES}


def plain(value):
    """Bytes as text, all the way down."""
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, set):
        return {plain(item) for item in value}
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    return value


def as_map(reply):
    """A map reply as a dictionary, from RESP3 or from RESP2's flat array."""
    reply = plain(reply)
    if isinstance(reply, dict):
        return reply
    return dict(zip(reply[::2], reply[1::2]))
