"""One job, two lanes: what a command answers does not depend on how it came."""

import threading
import time

import pytest
import redis

from helpers import LANES, config, fill, in_all_lanes, in_lane, in_multi, jobs_running, plain, wait_until

SCRIPTS = {
    "nothing": "x = 1",
    "a run": "GB('PythonReader').count().run(lambda: (yield from range(10)))".replace(
        "lambda: (yield from range(10))", "numbers"
    ),
    "execute": "execute('SET', 'touched', 'yes')",
}
SCRIPTS["a run"] = "def numbers():\n    for n in range(10):\n        yield n\n" + SCRIPTS["a run"]


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_pyexecute_answers_the_same_in_every_lane(server, r, script):
    replies = {lane: plain(reply) for lane, reply in in_all_lanes(server, "RG.PYEXECUTE", script).items()}
    assert len({repr(reply) for reply in replies.values()}) == 1, replies


@pytest.mark.parametrize("lane", LANES)
def test_script_errors_in_every_lane(server, r, lane):
    reply = in_lane(server, lane, "RG.PYEXECUTE", "raise ValueError('the reason')")
    assert isinstance(reply, redis.ResponseError)
    assert "the reason" in str(reply) and "\n" not in str(reply)


def test_multi_is_atomic(server, r):
    """Between two commands of a transaction nobody else gets a turn, also when one runs Python."""
    other = server.client()
    with r.pipeline(transaction=True) as pipe:
        pipe.set("a", "1")
        pipe.execute_command("RG.PYEXECUTE", "execute('SET', 'b', execute('GET', 'a') + '2')")
        pipe.get("b")
        pipe.execute_command("IL.KEYS", "*")
        _, _, b, names = pipe.execute()
    assert b == b"12" and set(names) == {b"a", b"b"}
    assert other.get("b") == b"12"


def test_an_endless_script_in_multi_ends_at_the_inline_limit(server, r):
    with config(r, python_inline_limit="200"):
        with r.pipeline(transaction=True) as pipe:
            pipe.execute_command("RG.PYEXECUTE", "while True: pass")
            pipe.set("after", 1)
            error, after = pipe.execute(raise_on_error=False)
    assert isinstance(error, redis.ResponseError) and after is True


def test_an_endless_script_in_lua_ends_at_the_inline_limit(server, r):
    with config(r, python_inline_limit="200"):
        reply = in_lane(server, "lua", "RG.PYEXECUTE", "while True: pass")
    assert isinstance(reply, redis.ResponseError)
    assert r.ping()


def test_queue_limit_answers_at_once(server, r):
    """When too many jobs wait, the next one is refused instead of waiting for ever."""
    fill(r, 100_000)
    with config(r, slice_us=50, queue_limit=1):
        connections = [server.client().connection_pool.get_connection() for _ in range(40)]
        for connection in connections:
            connection.send_command("IL.KEYS", "*", "COUNT", 1)
        outcomes = []
        for connection in connections:
            try:
                outcomes.append(len(connection.read_response()))
            except redis.ResponseError as error:
                outcomes.append(str(error))
            connection.disconnect()
    refusals = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert refusals and all(outcome == 100_000 for outcome in outcomes if isinstance(outcome, int))
    wait_until(lambda: jobs_running(server) == 0)


def test_effects_reach_a_replica(new_server):
    """What a script writes is replicated, and the script itself is not run again there."""
    master, replica = new_server(), new_server()
    m, f = master.client(), replica.client()
    f.replicaof("127.0.0.1", master.port)
    wait_until(lambda: f.info("replication")["master_link_status"] == "up", 20)
    for _ in range(10):
        m.execute_command("RG.PYEXECUTE", "execute('INCR', 'counter')")
    with m.pipeline(transaction=True) as pipe:
        pipe.execute_command("RG.PYEXECUTE", "execute('INCR', 'counter')")
        pipe.execute()
    m.eval("return redis.call('RG.PYEXECUTE', ARGV[1])", 0, "execute('INCR', 'counter')")
    wait_until(lambda: f.get("counter") == b"12", 10, what=f"12, got {f.get('counter')}")
    f.replicaof("NO", "ONE")


def test_effects_survive_in_the_aof(new_server):
    server = new_server(config=["--appendonly", "yes"])
    r = server.client()
    for _ in range(5):
        r.execute_command("RG.PYEXECUTE", "execute('INCR', 'counter')")
    with r.pipeline(transaction=True) as pipe:
        pipe.execute_command("RG.PYEXECUTE", "execute('INCR', 'counter')")
        pipe.execute()
    server.restart(save=False)
    assert server.client().get("counter") == b"6"


def test_workers_go_on_while_the_main_thread_is_never_idle(server, r):
    """Python in transactions, one after the other: the lock is free for a microsecond now and then."""
    stop = threading.Event()
    spin = "import time\nend = time.perf_counter() + 0.02\nwhile time.perf_counter() < end: pass"

    def keep_busy():
        client = server.client(socket_timeout=60)
        while not stop.is_set():
            in_multi(client, "RG.PYEXECUTE", spin, "SCOPE", "script")

    def work():
        client = server.client(socket_timeout=60)
        for _ in range(10):
            script = "for _ in range(5): execute('INCR', 'n')"
            client.execute_command("RG.PYEXECUTE", script, "SCOPE", "script", "TIMEOUT", "60000")

    busy = [threading.Thread(target=keep_busy) for _ in range(6)]
    workers = [threading.Thread(target=work) for _ in range(8)]
    start = time.monotonic()
    for thread in busy + workers:
        thread.start()
    for thread in workers:
        thread.join(60)
    took = time.monotonic() - start
    stop.set()
    for thread in busy:
        thread.join(60)
    assert r.get("n") == b"400"
    assert took < 30
