"""Does an index follow its keys, whatever happens to them?

Every way in which a hash comes, changes and goes, one by one; all of them at random against a model; and what
happens to the whole data set. A client finds its own writes at once, so nothing here waits, except for scans.
"""

import random
import threading
import time

import pytest
import redis

from ft import documents, found, info
from helpers import PingWatch, config, in_background, in_lua, wait_until


def create(client, *prefixes, name="i", extra=()):
    words = ["PREFIX", len(prefixes), *prefixes] if prefixes else []
    client.execute_command("FT.CREATE", name, *words, *extra, "SCHEMA", "t", "TEXT", "n", "NUMERIC", "SORTABLE")


def expire_now(r, key):
    r.pexpire(key, 1)
    wait_until(lambda: not r.exists(key))


WAYS_TO_COME = {
    "hset": lambda r: r.hset("d:1", "t", "hello"),
    "hsetnx": lambda r: r.hsetnx("d:1", "t", "hello"),
    "hmset": lambda r: r.execute_command("HMSET", "d:1", "t", "hello"),
    "hincrby": lambda r: r.hincrby("d:1", "n", 3),
    "hincrbyfloat": lambda r: r.hincrbyfloat("d:1", "n", 0.5),
    "rename": lambda r: (r.hset("other", "t", "x"), r.rename("other", "d:1")),
    "renamenx": lambda r: (r.hset("other", "t", "x"), r.renamenx("other", "d:1")),
    "copy": lambda r: (r.hset("other", "t", "x"), r.copy("other", "d:1")),
    "restore": lambda r: (r.hset("other", "t", "x"), r.restore("d:1", 0, r.dump("other"))),
    "restore over a string": lambda r: (
        r.hset("other", "t", "x"), r.set("d:1", 1), r.restore("d:1", 0, r.dump("other"), replace=True)
    ),
    "lua": lambda r: r.eval("redis.call('HSET', 'd:1', 't', 'x')", 0),
    "python": lambda r: r.execute_command("RG.PYEXECUTE", "execute('HSET', 'd:1', 't', 'x')"),
    "unexpected fields": lambda r: r.hset("d:1", "foo", "bar"),
}


@pytest.mark.parametrize("way", WAYS_TO_COME)
def test_comes(r, way):
    create(r, "d:")
    WAYS_TO_COME[way](r)
    assert documents(r, "i") == 1


WAYS_TO_GO = {
    "del": lambda r: r.delete("d:1"),
    "unlink": lambda r: r.unlink("d:1"),
    "hdel": lambda r: r.hdel("d:1", "t"),
    "expire": lambda r: expire_now(r, "d:1"),
    "expire in the past": lambda r: r.expireat("d:1", 1),
    "rename": lambda r: r.rename("d:1", "other"),
    "rename over it": lambda r: (r.set("s", 1), r.rename("s", "d:1")),
    "set": lambda r: r.set("d:1", "x"),
    "set with a time to live": lambda r: r.set("d:1", "x", ex=100),
    "sort store": lambda r: (r.rpush("l", 3, 1, 2), r.sort("l", store="d:1")),
    "sort store nothing": lambda r: r.sort("nothing", store="d:1"),
    "sinterstore": lambda r: (r.sadd("s", 1), r.sinterstore("d:1", "s", "s")),
    "sinterstore nothing": lambda r: r.sinterstore("d:1", "nothing", "nothing"),
    "zunionstore": lambda r: (r.zadd("z", {"a": 1}), r.zunionstore("d:1", ["z"])),
    "bitop": lambda r: (r.set("b", "x"), r.bitop("NOT", "d:1", "b")),
    "copy over it": lambda r: (r.set("s", 1), r.copy("s", "d:1", replace=True)),
    "restore over it": lambda r: (r.set("s", 1), r.restore("d:1", 0, r.dump("s"), replace=True)),
    "move": lambda r: r.move("d:1", 1),
    "mset": lambda r: r.mset({"d:1": 1}),
    "lua": lambda r: r.eval("redis.call('DEL', 'd:1')", 0),
    "python": lambda r: r.execute_command("RG.PYEXECUTE", "execute('DEL', 'd:1')"),
}


@pytest.mark.parametrize("way", WAYS_TO_GO)
def test_goes(r, way):
    create(r, "d:")
    r.hset("d:1", "t", "hello")
    r.hset("d:2", "t", "hello")
    assert documents(r, "i") == 2
    WAYS_TO_GO[way](r)
    assert documents(r, "i") == 1, "the one that went is not there, the other one is"
    if r.type("d:1") != b"none":
        r.delete("d:1")
    r.hset("d:1", "t", "again")
    assert documents(r, "i") == 2


def test_fields_that_expire(server, r):
    if server.version() < (7, 4):
        pytest.skip("fields expire since Redis 7.4")
    create(r, "d:")
    r.hset("d:1", mapping={"t": "hello", "n": 1})
    r.hset("d:2", "t", "hello")
    for key in ("d:1", "d:2"):
        r.execute_command("HPEXPIRE", key, 20, "FIELDS", 1, "t")
    wait_until(lambda: found(r, "i", "hello") == (0, set()))
    assert found(r, "i") == (1, {"d:1"})


def test_a_document_of_megabytes_is_indexed_while_others_are_served(server, r):
    create(r, "d:")
    text = " ".join(f"w{n % 100_000}" for n in range(700_000))
    with PingWatch(server) as watch:
        r.hset("d:1", "t", text + " zebra")
        wait_until(lambda: found(r, "i", "zebra") == (1, {"d:1"}), seconds=60)
    assert watch.percentile(90) < 0.25, "its words were not read on the server's thread"


def test_moved_back_from_another_database(server, r):
    create(r, "d:")
    other = server.client(db=1)
    other.hset("d:1", "t", "x")
    assert documents(r, "i") == 0, "only database 0 is followed"
    other.move("d:1", 0)
    assert documents(r, "i") == 1


@pytest.mark.parametrize("options", [[], ["COPY"], ["COPY", "REPLACE"]])
def test_migrate(r, new_server, options):
    """Out of one server's index and into the other's."""
    target = new_server()
    there = target.client()
    create(r, "d:")
    create(there, "d:")
    for n in range(5):
        r.hset(f"d:{n}", mapping={"t": "hello", "n": n})
    if "REPLACE" in options:
        there.hset("d:1", mapping={"t": "old", "n": 9})
    words = ["127.0.0.1", target.port, "", 0, 5000, *options, "KEYS", "d:1", "d:2"]
    assert r.execute_command("MIGRATE", *words) == b"OK"
    assert found(there, "i", "hello @n:[1 2]") == (2, {"d:1", "d:2"}) and found(there, "i", "old")[0] == 0
    stay = {"d:0", "d:3", "d:4"} | ({"d:1", "d:2"} if options else set())
    assert found(r, "i", "hello") == (len(stay), stay)


def test_eviction(new_server):
    server = new_server(config=["--maxmemory-policy", "allkeys-random"])
    r = server.client()
    create(r, "d:")
    for n in range(3000):
        r.hset(f"d:{n}", "t", "x" * 200)
    r.config_set("maxmemory", int(r.info("memory")["used_memory"]) - 300_000)
    wait_until(lambda: r.info("stats")["evicted_keys"] > 0)
    r.config_set("maxmemory", 0)
    assert documents(r, "i") == r.dbsize() < 3000


def test_prefixes_of_several_indexes(r):
    create(r, name="all")
    create(r, "a:", "a:b:", name="a")
    create(r, "a:b:", name="ab")
    for key in ("a:1", "a:b:1", "b:1", "a"):
        r.hset(key, "t", "x")
    assert [documents(r, name) for name in ("all", "a", "ab")] == [4, 2, 1]
    r.execute_command("FT.DROPINDEX", "a")
    r.delete("a:b:1")
    assert [documents(r, name) for name in ("all", "ab")] == [3, 0]


def test_any_bytes_in_names_and_values(r):
    r.execute_command("FT.CREATE", "i", "PREFIX", 1, b"\x00\xff%n", "SCHEMA", b"f\x00\xff", "TEXT")
    r.hset(b"\x00\xff%n1", b"f\x00\xff", b"\x00\xff%s")
    assert documents(r, "i") == 1


def test_swapdb_brings_the_documents_of_the_other_database(server, r):
    create(r, "d:")
    other = server.client(db=1)
    for n in range(10):
        r.hset(f"d:{n}", "t", "x")
    for n in range(7):
        other.hset(f"d:{n}", "t", "x")
    r.swapdb(0, 1)
    wait_until(lambda: info(r, "i")["indexing"] == 0)
    assert documents(r, "i") == 7
    r.swapdb(1, 0)
    wait_until(lambda: info(r, "i")["indexing"] == 0)
    assert documents(r, "i") == 10


def test_initial_scan(r):
    with r.pipeline(transaction=False) as pipe:
        for n in range(20_000):
            pipe.hset(f"d:{n}", "t", f"hello {n}")
            pipe.set(f"s:{n}", 1)
        pipe.execute()
    create(r, "d:")
    create(r, "d:1", name="few", extra=["SKIPINITIALSCAN"])
    assert 0 <= float(info(r, "i")["percent_indexed"]) <= 1
    wait_until(lambda: info(r, "i")["indexing"] == 0, seconds=60)
    assert documents(r, "i") == 20_000
    assert float(info(r, "i")["percent_indexed"]) == 1
    assert documents(r, "few") == 0


def test_creation_while_others_write_misses_nothing(server, r):
    with r.pipeline(transaction=False) as pipe:
        for n in range(20_000):
            pipe.hset(f"d:{n}", "t", f"hello {n}")
        pipe.execute()
    stop = threading.Event()

    def write():
        client, chance = server.client(), random.Random(7)
        while not stop.is_set():
            with client.pipeline(transaction=False) as pipe:
                for _ in range(50):
                    key = f"d:{chance.randrange(25_000)}"
                    match chance.randrange(4):
                        case 0:
                            pipe.delete(key)
                        case 1:
                            pipe.execute_command("EVAL", "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end", 2, key, f"d:{chance.randrange(25_000)}")
                        case _:
                            pipe.hset(key, "t", "hello")
                pipe.execute()

    with in_background(write):
        for _ in range(5):
            create(r, "d:")
            wait_until(lambda: info(r, "i")["indexing"] == 0, seconds=60)
            with r.pipeline(transaction=True) as pipe:
                pipe.execute_command("FT.INFO", "i")
                pipe.dbsize()
                shown, keys = pipe.execute()
            assert int(dict(zip(shown[::2], shown[1::2]))[b"num_docs"]) == keys
            r.execute_command("FT.DROPINDEX", "i")
        stop.set()


def test_a_full_queue_makes_writers_help(r):
    with config(r, index_queue_bytes="10kb", index_threads=1):
        create(r, "d:")
        with r.pipeline(transaction=False) as pipe:
            for n in range(3000):
                pipe.hset(f"d:{n}", "t", "some words that take a while " * 5)
            pipe.execute()
        assert documents(r, "i") == 3000


def test_safemode(safemode_server):
    r = safemode_server.client()
    r.flushall()
    create(r, "d:")
    for n in range(100):
        r.hset(f"d:{n}", "t", "x")
    assert documents(r, "i") == 100


class Model:
    """All operations that matter, and what is where."""

    def __init__(self, r, seed):
        self.r, self.chance = r, random.Random(seed)
        self.keys = [f"{prefix}{n}" for prefix in ("d:", "e:", "x") for n in range(8)]

    def key(self):
        return self.chance.choice(self.keys)

    def step(self):
        r, key, other = self.r, self.key(), self.key()
        steps = [
            lambda: r.hset(key, "t", "hello"),
            lambda: r.hset(key, mapping={"t": "x", "n": self.chance.choice(["1", "2.5", "bad"])}),
            lambda: r.hsetnx(key, "n", 1),
            lambda: r.hincrby(key, "n", 1),
            lambda: r.hdel(key, "t"),
            lambda: r.hdel(key, "t", "n"),
            lambda: r.delete(key),
            lambda: r.unlink(key, other),
            lambda: r.rename(key, other),
            lambda: r.renamenx(key, other),
            lambda: r.copy(key, other, replace=True),
            lambda: r.set(key, "x"),
            lambda: r.rpush(key, 1),
            lambda: r.restore(other, 0, r.dump(key) or b"", replace=True),
            lambda: r.move(key, 1),
            lambda: r.execute_command("SELECT", 0),
            lambda: r.pexpire(key, 1),
            lambda: r.expireat(key, 1),
            lambda: r.persist(key),
            lambda: r.sort("nothing", store=key),
            lambda: in_lua(r, "HSET", key, "t", "lua"),
            lambda: r.execute_command("RG.PYEXECUTE", f"execute('HSET', '{key}', 't', 'python')"),
        ]
        try:
            self.chance.choice(steps)()
        except redis.ResponseError:
            pass

    def expected(self):
        """Living hashes whose `n`, if any, is a number; with their words."""
        hashes = {key: self.r.hgetall(key) for key in self.keys if self.r.type(key) == b"hash"}
        return {key: fields.get(b"t") for key, fields in hashes.items() if fields.get(b"n") != b"bad"}


@pytest.mark.parametrize("seed", range(5))
def test_random_operations_against_a_model(r, seed):
    create(r, "d:", name="d")
    create(r, "e:", "d:1", name="e")
    create(r, name="all")
    model = Model(r, seed)
    for _ in range(40):
        for _ in range(25):
            model.step()
        time.sleep(0.003)  # What must expire does so now, when it is looked at.
        expected = model.expected()
        for name, prefixes in (("d", ("d:",)), ("e", ("e:", "d:1")), ("all", ("",))):
            keys = {key for key in expected if key.startswith(prefixes)}
            assert found(r, name) == (len(keys), keys)
            assert documents(r, name) == len(keys)
        for word in ("hello", "x", "lua", "python"):
            keys = {key for key, text in expected.items() if text == word.encode()}
            assert found(r, "all", word) == (len(keys), keys)
