"""IL.SCRIPT and search.pin-scripts: EVALSHA never answers NOSCRIPT."""

import hashlib
import threading

import pytest
import redis

from helpers import as_map, reply_or_error, wait_until

BODY = "return {KEYS[1], ARGV[1]}"
SHA = hashlib.sha1(BODY.encode()).hexdigest()


@pytest.fixture
def pinning(r):
    r.config_set("search.pin-scripts", "yes")
    yield r
    r.config_set("search.pin-scripts", "no")


def shas(client):
    return [as_map(script)["sha1"] for script in client.execute_command("IL.SCRIPT", "LIST")]


def stats(client):
    return as_map(client.execute_command("IL.SCRIPT", "STATS"))


def test_a_flushed_script_is_still_there(pinning):
    r = pinning
    for learn in (lambda: r.script_load(BODY), lambda: r.eval(BODY, 1, "k", "v")):
        learn()
        r.script_flush()
        assert r.evalsha(SHA, 1, "k", "v") == [b"k", b"v"]
        assert r.evalsha(SHA.upper(), 1, "k", "v") == [b"k", b"v"]
        r.script_flush()
        assert r.execute_command("EVALSHA_RO", SHA, 1, "k", "w") == [b"k", b"w"]
    assert SHA in shas(r)


def test_without_the_option_it_is_lost(r):
    r.script_load(BODY)
    r.script_flush()
    with pytest.raises(redis.exceptions.NoScriptError):
        r.evalsha(SHA, 1, "k", "v")


def test_a_script_that_was_never_seen_is_not_made_up(pinning):
    before = stats(pinning)["unknown"]
    with pytest.raises(redis.exceptions.NoScriptError):
        pinning.evalsha("0" * 40, 0)
    for sha in ("", "xyz", "0" * 39, "é" * 20):
        with pytest.raises(redis.ResponseError):
            pinning.execute_command("EVALSHA", sha, 0)
    assert stats(pinning)["unknown"] == before + 1


def test_flushed_between_queueing_and_exec(server, pinning):
    pinning.script_load(BODY)
    connection = server.client().connection_pool.get_connection()
    other = server.client()
    for command in (["MULTI"], ["EVALSHA", SHA, 1, "k", "v"]):
        connection.send_command(*command)
        connection.read_response()
    other.script_flush()
    connection.send_command("EXEC")
    assert connection.read_response() == [[b"k", b"v"]]


def hammer(server, calls, transaction):
    """Calls a registered script in pipelines while somebody flushes in a loop. The number of calls lost."""
    stop = threading.Event()

    def flush():
        client = server.client()
        while not stop.is_set():
            client.script_flush()

    flusher = threading.Thread(target=flush)
    client = server.client()
    sha = client.script_load("return redis.call('INCR', KEYS[1])")
    flusher.start()
    lost = 0
    try:
        for _ in range(calls // 100):
            with client.pipeline(transaction=transaction) as pipe:
                for _ in range(100):
                    pipe.evalsha(sha, 1, "counter")
                for reply in reply_or_error(lambda: pipe.execute(raise_on_error=False)):
                    lost += isinstance(reply, redis.exceptions.NoScriptError)
    finally:
        stop.set()
        flusher.join()
    return lost


@pytest.mark.parametrize("transaction", [True, False])
def test_a_hundred_thousand_calls_against_a_flusher(server, pinning, transaction):
    assert hammer(server, 50_000, transaction) == 0
    assert pinning.get("counter") == b"50000"


def test_the_same_without_pinning_loses_some(server, r):
    assert hammer(server, 5_000, False) > 0


def test_register_script_and_pipelines_of_redis_py(server, pinning):
    script = pinning.register_script("return tonumber(ARGV[1]) * 2")
    assert script(args=[4]) == 8
    pinning.script_flush()
    with pinning.pipeline(transaction=True) as pipe:
        script(args=[5], client=pipe)
        server.client().script_flush()
        assert pipe.execute() == [10]


def test_bodies_are_any_bytes(pinning):
    body = b"return '\x00\xff%n' .. ARGV[1]"
    assert pinning.eval(body, 0, "x") == b"\x00\xff%nx"
    pinning.script_flush()
    assert pinning.evalsha(hashlib.sha1(body).hexdigest(), 0, "y") == b"\x00\xff%ny"


def test_a_script_that_does_not_compile_says_so(pinning):
    assert isinstance(reply_or_error(lambda: pinning.eval("this is no lua", 0)), redis.ResponseError)
    sha = hashlib.sha1(b"this is no lua").hexdigest()
    assert "compil" in str(reply_or_error(lambda: pinning.evalsha(sha, 0)))


def test_memory_is_bounded_and_pinned_scripts_stay(pinning):
    r = pinning
    kept = r.execute_command("IL.SCRIPT", "PIN", BODY).decode()
    assert kept == SHA
    # By its SHA-1 as well, once it is known.
    assert r.execute_command("IL.SCRIPT", "PIN", SHA).decode() == SHA
    r.config_set("search.pin-scripts-memory", "100kb")
    try:
        for n in range(100):
            r.eval("return 1 --" + "x" * 2000 + str(n), 0)
        figures = stats(r)
        assert figures["bytes"] <= 100 << 10 and figures["evicted"] > 0 and figures["pinned"] == 1
        r.script_flush()
        assert r.evalsha(SHA, 1, "k", "v") == [b"k", b"v"]
        # One that is larger than the whole is not kept, and costs the others nothing.
        before = len(shas(r))
        r.eval("return 1 --" + "x" * 200_000, 0)
        assert len(shas(r)) == before
        error = reply_or_error(lambda: r.execute_command("IL.SCRIPT", "PIN", "return 1 --" + "y" * 200_000))
        assert "no room" in str(error)
    finally:
        r.config_set("search.pin-scripts-memory", "64mb")
        assert r.execute_command("IL.SCRIPT", "UNPIN", SHA) == 1
    assert r.execute_command("IL.SCRIPT", "UNPIN", SHA) == 0


@pytest.mark.parametrize(
    "words, part",
    [
        (["PIN"], "takes one argument"),
        (["UNPIN"], "takes one argument"),
        (["PIN", "a", "b"], "takes one argument"),
        (["LIST", "x"], "takes no arguments"),
        (["STATS", "x"], "takes no arguments"),
        (["DROP"], "unknown subcommand 'DROP'"),
    ],
)
def test_bad_calls(pinning, words, part):
    assert part in str(reply_or_error(lambda: pinning.execute_command("IL.SCRIPT", *words)))


def test_pin_needs_the_option(r):
    assert "search.pin-scripts" in str(reply_or_error(lambda: r.execute_command("IL.SCRIPT", "PIN", BODY)))


@pytest.mark.parametrize("store", ["rdb", "aof"])
def test_a_restart_loses_none(new_server, store):
    config = ["--appendonly", "yes", "--appendfsync", "always"] if store == "aof" else []
    server = new_server("PIN-SCRIPTS", "yes", config=config)
    r = server.client()
    r.eval(BODY, 1, "k", "v")
    r.execute_command("IL.SCRIPT", "PIN", "return 7")
    if store == "aof":
        # The news reach the AOF after the call.
        wait_until(lambda: b"LEARN" in b"".join(path.read_bytes() for path in server.folder.rglob("*.aof")))
        server.kill()
        server.start()
    else:
        server.restart()
    r = server.client()
    assert r.evalsha(SHA, 1, "k", "v") == [b"k", b"v"]
    pinned = {as_map(script)["sha1"]: as_map(script)["pinned"] for script in r.execute_command("IL.SCRIPT", "LIST")}
    assert pinned == {SHA: 0, hashlib.sha1(b"return 7").hexdigest(): 1}


def test_a_failover_loses_none(new_server):
    primary = new_server("PIN-SCRIPTS", "yes")
    primary.client().eval(BODY, 1, "k", "v")
    replica = new_server("PIN-SCRIPTS", "yes")
    follower = replica.client()
    follower.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: follower.info("replication")["master_link_status"] == "up", 30)
    # One from the full synchronisation, one from the stream.
    later = "return 'later'"
    primary.client().script_load(later)
    later_sha = hashlib.sha1(later.encode()).hexdigest()
    wait_until(lambda: set(shas(follower)) == {SHA, later_sha})
    assert isinstance(reply_or_error(lambda: follower.execute_command("IL.SCRIPT", "PIN", later)), redis.ReadOnlyError)
    follower.replicaof("no", "one")
    assert follower.evalsha(SHA, 1, "k", "v") == [b"k", b"v"]
    assert follower.evalsha(later_sha, 0) == b"later"
