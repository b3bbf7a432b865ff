"""IL.KEYS: the same set of keys as KEYS, found without holding the server up."""

import random
import threading
import time

import pytest
import redis

from helpers import LANES, PingWatch, config, fill, in_all_lanes, in_background, in_lane, jobs_running, wait_until


def keys(client, *words):
    """IL.KEYS as a set; a key that comes twice fails the test."""
    reply = client.execute_command("IL.KEYS", *words)
    names = set(reply)
    assert len(names) == len(reply), "a key was returned twice"
    return names


@pytest.fixture
def zoo(r):
    """Keys of every type, with names that globs like to trip over."""
    r.mset({"a": 1, "ab": 1, "abc": 1, "b": 1, "A": 1, "a*b": 1, "a?b": 1, "[x]": 1, "x\\y": 1, "ü": 1})
    r.mset({"h^t": 1, "hat": 1, "hit": 1, "h-t": 1, "": "the empty name", "new\nline": 1, "with space": 1})
    r.rpush("list:1", 1)
    r.sadd("set:1", 1)
    r.zadd("zset:1", {"m": 1})
    r.hset("hash:1", "f", 1)
    r.hset("hash:2", "f", 1)
    r.xadd("stream:1", {"f": 1})
    return r


PATTERNS = [
    b"*", b"", b"a", b"a*", b"*b", b"*:1", b"?", b"??", b"h?t", b"h[ia]t", b"h[^i]t", b"h[a-i]t", b"h[i-a]t",
    b"h[\\^]t", b"a\\*b", b"a\\?b", b"\\[x\\]", b"x\\\\y", b"[", b"[a", b"[^", b"[]", b"*\\", b"**a**",
    "ü".encode(), b"new*", b"*e", b"hash:[12]", b"nothing*", b"\xff*", b"a" * 1000,
]


@pytest.mark.parametrize("pattern", PATTERNS, ids=repr)
def test_same_set_as_keys(zoo, pattern):
    assert keys(zoo, pattern) == set(zoo.keys(pattern))


@pytest.mark.parametrize("lane", LANES)
def test_every_lane_gives_the_same_set(server, zoo, lane):
    expected = set(zoo.keys("*"))
    reply = in_lane(server, lane, "IL.KEYS", "*")
    assert set(reply) == expected and len(reply) == len(expected)


def test_random_names_and_patterns(r):
    """The two glob matchers agree on what neither of their authors thought of. (Not on the empty
    name: Redis 7.0 finds it with `*`, but not with `**`.)"""
    dice = random.Random(7)
    letters = b"ab*?[]^-\\c\x00\xff"

    def word(shortest, longest):
        return bytes(dice.choice(letters) for _ in range(dice.randint(shortest, longest)))

    r.mset({word(1, 5): 1 for _ in range(2000)})
    for _ in range(300):
        pattern = word(0, 6)
        assert keys(r, pattern) == set(r.keys(pattern)), pattern


@pytest.mark.parametrize("kind", ["string", "list", "set", "zset", "hash", "stream"])
def test_type(zoo, kind):
    expected = {key for key in zoo.keys("*") if zoo.type(key) == kind.encode()}
    assert keys(zoo, "*", "TYPE", kind) == expected
    assert keys(zoo, "*", "type", kind.upper()) == expected
    assert expected


def test_type_that_no_key_has(zoo):
    assert keys(zoo, "*", "TYPE", "nosuchtype") == set()


def test_binary_names(r):
    names = [b"\x00", b"a\x00b", b"\xff\xfe", bytes(range(256)), b"\r\n", b"%n%s", b"x" * 100_000]
    r.mset({name: 1 for name in names})
    assert keys(r, "*") == set(names)
    assert keys(r, b"a\x00*") == {b"a\x00b"}


def test_limit_stops_early(r):
    fill(r, 20_000)
    found = keys(r, "*", "LIMIT", 10)
    assert len(found) == 10
    assert found <= set(r.keys("*"))
    assert len(keys(r, "*", "LIMIT", 50_000)) == 20_000
    assert keys(r, "*", "LIMIT", 0) == set()


@pytest.mark.parametrize("count", [1, 7, 1000, 1_000_000])
def test_count_changes_the_steps_not_the_answer(r, count):
    expected = set(fill(r, 3000))
    assert keys(r, "*", "COUNT", count) == expected


def test_options_together(r):
    fill(r, 100, prefix="s:")
    for n in range(100):
        r.rpush(f"l:{n}", 1)
    found = keys(r, "l:*", "COUNT", 5, "LIMIT", 20, "TYPE", "list")
    assert len(found) == 20 and all(name.startswith(b"l:") for name in found)


def test_empty_data_set(r):
    assert r.execute_command("IL.KEYS", "*") == []


@pytest.mark.parametrize(
    "words, part",
    [
        ("", "rong n"),
        ("* LIMIT", "LIMIT"),
        ("* LIMIT x", "x"),
        ("* LIMIT -1", "-1"),
        ("* COUNT 0", "0"),
        ("* COUNT -5", "-5"),
        ("* COUNT 99999999999999999999", "99999999999999999999"),
        ("* TYPE", "TYPE"),
        ("* NONSENSE", "NONSENSE"),
        ("* %n%s", "%n%s"),
        ("* a\tb", "a"),
    ],
)
def test_bad_arguments(server, r, words, part):
    for lane, reply in in_all_lanes(server, "IL.KEYS", *words.split(" ") if words else ()).items():
        assert isinstance(reply, redis.ResponseError), (lane, reply)
        assert part in str(reply)
        assert "\n" not in str(reply)
    assert r.ping()


def test_expired_keys_are_not_returned(r):
    """Keys whose time is over but which nobody removed yet are no keys."""
    r.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    try:
        r.set("stays", 1)
        for n in range(100):
            r.set(f"gone:{n}", 1, px=1)
        time.sleep(0.05)
        assert keys(r, "*") == {b"stays"}
    finally:
        r.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "1")


def test_the_selected_database_is_scanned(server, r):
    r.set("in zero", 1)
    other = server.client(db=3)
    other.set("in three", 1)
    assert keys(other, "*") == {b"in three"}
    assert keys(r, "*") == {b"in zero"}


def test_acl_user_sees_only_keys_it_may_access(server, r):
    """A name is metadata: as for EXISTS, any access to the key will do."""
    r.mset({"mine:1": 1, "mine:2": 1, "other:1": 1, "mixed": 1, "write:1": 1})
    r.execute_command("ACL", "SETUSER", "limited", "on", ">pw", "~mine:*", "%W~write:*", "+il.keys", "+@connection")
    try:
        limited = server.client(username="limited", password="pw")
        assert keys(limited, "*") == {b"mine:1", b"mine:2", b"write:1"}
        assert keys(limited, "other:*") == set()
        assert keys(limited, "mi*") == {b"mine:1", b"mine:2"}
    finally:
        r.execute_command("ACL", "DELUSER", "limited")


def test_acl_user_without_the_command(server, r):
    r.execute_command("ACL", "SETUSER", "nobody", "on", ">pw", "~*", "+@all", "-il.keys")
    try:
        with pytest.raises(redis.exceptions.NoPermissionError):
            server.client(username="nobody", password="pw").execute_command("IL.KEYS", "*")
    finally:
        r.execute_command("ACL", "DELUSER", "nobody")


def churn(server, stop, prefix, batch):
    """Adds and removes many keys, so that the server's table grows and shrinks all the time."""
    client = server.client()
    while not stop.is_set():
        names = [f"{prefix}{n}" for n in range(batch)]
        for start in range(0, batch, 1000):
            client.mset({name: 1 for name in names[start:start + 1000]})
        for start in range(0, batch, 1000):
            client.unlink(*names[start:start + 1000])
    client.close()


def test_present_keys_come_exactly_once_while_the_table_is_rehashed(server, r):
    """Growing and shrinking move keys between buckets; a cursor that loses its place would miss some
    or return some twice."""
    stay = set(fill(r, 3000, prefix="stay:"))
    stop = threading.Event()
    with in_background(churn, server, stop, "churn:", 60_000):
        try:
            with config(r, slice_us=50):
                for _ in range(30):
                    reply = r.execute_command("IL.KEYS", "*", "COUNT", 50)
                    assert len(set(reply)) == len(reply), "a key was returned twice"
                    assert stay <= set(reply), f"{len(stay - set(reply))} keys were missed"
        finally:
            stop.set()


def test_only_known_keys_while_keys_come_and_go(server, r):
    fill(r, 1000, prefix="stay:")
    stop = threading.Event()
    with in_background(churn, server, stop, "churn:", 5_000):
        try:
            for _ in range(50):
                found = keys(r, "stay:*")
                assert len(found) == 1000
                for name in keys(r, "*"):
                    assert name.startswith((b"stay:", b"churn:"))
        finally:
            stop.set()


@pytest.mark.parametrize("event", ["FLUSHALL", "FLUSHALL ASYNC", "FLUSHDB", "SWAPDB 0 9"])
def test_the_data_set_goes_away_midway(server, r, event):
    fill(r, 200_000)
    other = server.client()
    before = server.info_interlock()["slices"]
    with config(r, slice_us=50):
        with in_background(r.execute_command, "IL.KEYS", "*", "COUNT", 10) as scan:
            wait_until(lambda: server.info_interlock()["slices"] > before, what="a slice")
            other.execute_command(*event.split())
        names = scan["value"]
    assert len(set(names)) == len(names)
    assert all(name.startswith(b"key:") for name in names)
    assert keys(r, "*") == set(r.keys("*"))
    other.flushall()


def slow_scan(r):
    """Makes IL.KEYS take seconds: many keys, tiny slices."""
    fill(r, 300_000)
    return config(r, slice_us=50)


def blocked_scan(server):
    """Waits until a client is blocked in IL.KEYS and returns its id."""
    observer = server.client()

    def blocked():
        return next((c["id"] for c in observer.client_list() if c["cmd"] == "il.keys" and "b" in c["flags"]), None)

    return wait_until(blocked, what="a client blocked in IL.KEYS")


def test_client_unblock_timeout(server, r):
    with slow_scan(r):
        client = server.client()

        def scan():
            with pytest.raises(redis.ResponseError, match="CLIENT UNBLOCK"):
                client.execute_command("IL.KEYS", "*", "COUNT", 1)

        with in_background(scan):
            ident = blocked_scan(server)
            assert r.client_unblock(ident) == 1
        assert client.ping()
        wait_until(lambda: jobs_running(server) == 0, what="the job to notice")


def test_client_unblock_error(server, r):
    with slow_scan(r):
        client = server.client()

        def scan():
            with pytest.raises(redis.ResponseError, match="UNBLOCKED"):
                client.execute_command("IL.KEYS", "*", "COUNT", 1)

        with in_background(scan):
            ident = blocked_scan(server)
            assert r.client_unblock(ident, error=True) == 1
        assert client.ping()


def test_client_killed_midway(server, r):
    with slow_scan(r):
        client = server.client()

        def scan():
            with pytest.raises(redis.ConnectionError):
                client.execute_command("IL.KEYS", "*", "COUNT", 1)

        with in_background(scan):
            ident = blocked_scan(server)
            r.client_kill_filter(_id=ident)
        wait_until(lambda: jobs_running(server) == 0, what="the job to notice")


def test_client_gone_midway(server, r):
    """A client that hangs up ends its job, not only its reply."""
    with slow_scan(r):
        connection = server.client().connection_pool.get_connection()
        connection.send_command("IL.KEYS", "*", "COUNT", 1)
        blocked_scan(server)
        connection.disconnect()
        wait_until(lambda: jobs_running(server) == 0, seconds=5, what="the job to notice")


def test_ping_stays_fast_beside_many_scans(server, r):
    """The bench measures; this only notices when a scan holds the server up as KEYS would."""
    fill(r, 200_000)
    stop = threading.Event()

    def scan():
        client = server.client()
        while not stop.is_set():
            assert len(client.execute_command("IL.KEYS", "key:1*")) > 0

    r.execute_command("IL.STATS", "RESET")
    with in_background(scan), in_background(scan), in_background(scan), in_background(scan):
        with PingWatch(server) as watch:
            time.sleep(2)
        stop.set()
    assert len(watch.seconds) > 100
    assert watch.percentile(50) < 0.02, "PING waits for whole scans"


def test_many_scans_at_once_are_all_answered(server, r):
    expected = set(fill(r, 5000))
    failures = []

    def scan():
        try:
            client = server.client()
            for _ in range(20):
                assert keys(client, "*") == expected
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=scan) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(100)
    assert not failures, failures[0]


def test_monitored_and_counted_like_any_command(server, r):
    r.config_resetstat()
    r.execute_command("IL.KEYS", "*")
    stats = r.info("commandstats")
    assert stats["cmdstat_IL.KEYS" if "cmdstat_IL.KEYS" in stats else "cmdstat_il.keys"]["calls"] == 1


def test_a_replica_scans_too(new_server):
    master, replica = new_server(), new_server()
    expected = set(fill(master.client(), 2000))
    follower = replica.client()
    follower.replicaof("127.0.0.1", master.port)
    wait_until(lambda: follower.dbsize() == 2000, seconds=20, what="replication")
    assert keys(follower, "*") == expected
    follower.replicaof("NO", "ONE")
