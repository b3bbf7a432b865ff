"""Do indexes survive: reloads, restarts, kills, replication and failover?

After each, the definitions are as they were, and every living hash of the prefix, and nothing else, is a document.
"""

import os
import random
import signal
import threading
import time

import pytest

from ft import documents, error_of, found, info, names, plain, text
from helpers import in_background, wait_until


def fill(r, count, prefix="d:"):
    with r.pipeline(transaction=False) as pipe:
        for n in range(count):
            pipe.hset(f"{prefix}{n}", mapping={"t": f"hello world {n}", "n": n})
        pipe.execute()


def define(r):
    """Two indexes with everything that can be defined."""
    r.execute_command(
        *"FT.CREATE i PREFIX 1 d: LANGUAGE french SCORE_FIELD s STOPWORDS 1 x SCHEMA t AS title TEXT SORTABLE n NUMERIC".split()
    )
    r.execute_command("FT.CREATE", "j", "PREFIX", 1, "d:", "FILTER", "@n<100", "SCHEMA", "n", "NUMERIC")
    r.execute_command("FT.ALTER", "i", "SCHEMA", "ADD", "g", "GEO", "SORTABLE")
    r.execute_command("FT.ALIASADD", "a", "i")
    r.execute_command("FT.SYNUPDATE", "i", "group", "boy", "child")
    r.execute_command("FT.DICTADD", "dict", "word", "other")


def definition(r):
    """What must stay the same."""
    shown = {name: info(r, name) for name in ("i", "j", "a")}
    kept = ("index_name", "index_options", "index_definition", "attributes", "stopwords_list")
    return (
        {name: [part.get(key) for key in kept] for name, part in shown.items()},
        plain(r.execute_command("FT.SYNDUMP", "a")),
        sorted(text(r.execute_command("FT.DICTDUMP", "dict"))),
        names(r),
    )


def settled(r):
    wait_until(lambda: all(info(r, name)["indexing"] == 0 for name in names(r)), seconds=60)


def agrees(r, alias=True):
    """The indexes hold exactly the living hashes."""
    settled(r)
    keys = list(r.scan_iter("d:*", count=10_000, _type="hash"))
    with r.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.hget(key, "n")
        numbers = pipe.execute()
    assert documents(r, "i") == len(keys)
    assert found(r, "i") == (len(keys), {key.decode() for key in keys})
    few = {key.decode() for key, number in zip(keys, numbers) if number is not None and 50 <= float(number) <= 60}
    assert found(r, "i", "@n:[50 60]") == (len(few), few)
    assert documents(r, "j") == sum(number is not None and float(number) < 100 for number in numbers)


def test_debug_reload(r):
    define(r)
    fill(r, 3000)
    r.delete("d:5")
    before = definition(r)
    r.execute_command("DEBUG", "RELOAD")
    assert documents(r, "i") == 2999, "at once, without indexing anew"
    assert definition(r) == before
    agrees(r)
    r.hset("d:5", "n", 5)
    r.delete("d:6")
    agrees(r)
    # A second time, from segments that were read.
    r.execute_command("DEBUG", "RELOAD")
    assert documents(r, "i") == 2999
    agrees(r)


def test_restart(new_server):
    server = new_server()
    r = server.client()
    define(r)
    fill(r, 3000)
    before = definition(r)
    server.restart()
    r = server.client()
    assert documents(r, "i") == 3000
    assert definition(r) == before
    agrees(r)


def test_keys_that_expire_while_the_server_is_down(new_server):
    server = new_server()
    r = server.client()
    define(r)
    fill(r, 200)
    for n in range(50):
        r.pexpire(f"d:{n}", 600)
    r.save()
    server.kill()
    time.sleep(0.7)
    server.start()
    r = server.client()
    settled(r)
    assert documents(r, "i") == r.dbsize() == 150


def test_a_file_without_anything_of_ours_stays_portable(new_server):
    server = new_server()
    if server.version() < (7, 2):
        pytest.skip("Redis 7.0 notes the module in any case")
    r = server.client()
    r.set("x", 1)
    r.save()
    assert b"il-search" not in (server.folder / "dump.rdb").read_bytes()


def test_a_file_that_was_saved_while_writes_went_on(new_server):
    server = new_server()
    r = server.client()
    define(r)
    fill(r, 2000)
    stop = threading.Event()

    def write():
        client, chance = server.client(), random.Random(3)
        while not stop.is_set():
            with client.pipeline(transaction=False) as pipe:
                for _ in range(100):
                    key = f"d:{chance.randrange(4000)}"
                    if chance.random() < 0.3:
                        pipe.delete(key)
                    else:
                        pipe.hset(key, mapping={"t": "some words " * 20, "n": chance.randrange(200)})
                pipe.execute()

    with in_background(write):
        for _ in range(3):
            time.sleep(0.2)
            r.bgsave()
            wait_until(lambda: r.info("persistence")["rdb_bgsave_in_progress"] == 0, seconds=60)
            assert r.info("persistence")["rdb_last_bgsave_status"] == "ok"
        stop.set()
    server.kill()
    server.start()
    agrees(server.client())


@pytest.mark.parametrize("preamble", ["yes", "no"])
def test_aof_after_sigkill(new_server, preamble):
    config = ["--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", preamble]
    server = new_server(config=config)
    r = server.client()
    define(r)
    before = definition(r)
    fill(r, 500)
    r.bgrewriteaof()
    fill(r, 100, prefix="d:later:")
    wait_until(lambda: r.info("persistence")["aof_rewrite_in_progress"] == 0, seconds=60)
    written = []

    def write():
        client = server.client()
        try:
            for n in range(1_000_000):
                client.hset(f"d:{n % 700}", mapping={"t": f"word{n}", "n": n % 200})
                if n % 3 == 0:
                    client.delete(f"d:{(n * 7) % 700}")
                written.append(n)
        except Exception:
            pass

    with in_background(write):
        wait_until(lambda: len(written) > 300, seconds=60)
        os.kill(server.pid(), signal.SIGKILL)
    server.process.wait()
    server.start()
    r = server.client()
    agrees(r)
    assert definition(r) == before


def test_fields_that_were_added_after_the_aof_was_rewritten(new_server):
    server = new_server(config=["--appendonly", "yes", "--appendfsync", "always"])
    r = server.client()
    r.execute_command("FT.CREATE", "i", "PREFIX", 1, "d:", "SCHEMA", "t", "TEXT")
    fill(r, 500)
    r.bgrewriteaof()
    wait_until(lambda: r.info("persistence")["aof_rewrite_in_progress"] == 0, seconds=60)
    r.execute_command("FT.ALTER", "i", "SCHEMA", "ADD", "n", "NUMERIC")
    settled(r)
    expected = found(r, "i", "@n:[10 20]")
    assert expected[0] == 11
    server.kill()
    server.start()
    r = server.client()
    settled(r)
    assert found(r, "i", "@n:[10 20]") == expected


def replicate(replica, primary):
    replica.client().replicaof("127.0.0.1", primary.port)
    wait_until(lambda: replica.client().info("replication")["master_link_status"] == "up", seconds=60)


def in_step(primary, replica):
    sent = primary.client().info("replication")["master_repl_offset"]
    wait_until(lambda: replica.client().info("replication")["slave_repl_offset"] >= sent, seconds=60)


def test_replica_and_failover(new_server):
    primary, replica = new_server(), new_server()
    r = primary.client()
    define(r)
    fill(r, 1000)
    replicate(replica, primary)
    there = replica.client()
    assert definition(there) == definition(r)
    agrees(there)
    # What comes over the link.
    fill(r, 300, prefix="d:more:")
    r.delete(*[f"d:{n}" for n in range(50)])
    r.execute_command("FT.CREATE", "k", "PREFIX", 1, "d:", "SCHEMA", "t", "TEXT")
    r.execute_command("FT.ALTER", "k", "SCHEMA", "ADD", "n", "NUMERIC")
    r.execute_command("FT.DROPINDEX", "j")
    r.execute_command("FT.CREATE", "j", "PREFIX", 1, "d:", "FILTER", "@n<100", "SCHEMA", "n", "NUMERIC")
    in_step(primary, replica)
    assert names(there) == {"i", "j", "k"}
    assert info(there, "k")["attributes"] == info(r, "k")["attributes"]
    agrees(there)
    assert documents(there, "k") == 1250
    # The primary goes; the replica takes over.
    primary.kill()
    there.replicaof("no", "one")
    fill(there, 10, prefix="d:own:")
    agrees(there)
    assert there.execute_command("FT.DROPINDEX", "k", "DD") == b"OK"
    assert there.dbsize() == 0 and documents(there, "i") == 0


def test_dropping_with_documents_reaches_the_replica(new_server):
    primary, replica = new_server(), new_server()
    replicate(replica, primary)
    r = primary.client()
    define(r)
    fill(r, 500)
    r.hset("e:1", "t", "x")
    assert r.execute_command("FT.DROPINDEX", "i", "DD") == b"OK"
    in_step(primary, replica)
    assert names(replica.client()) == {"j"}
    assert replica.client().dbsize() == r.dbsize() == 1


def test_flushall_reaches_the_replica(new_server):
    primary, replica = new_server(), new_server()
    r = primary.client()
    define(r)
    replicate(replica, primary)
    assert names(replica.client()) == {"i", "j"}
    r.flushall()
    in_step(primary, replica)
    assert names(replica.client()) == set()


def test_a_newer_version_is_refused_with_one_line(new_server):
    server = new_server()
    r = server.client()
    define(r)
    r.save()
    path = server.folder / "dump.rdb"
    data = bytearray(path.read_bytes())
    server.kill()
    # The type's id holds its version in the low ten bits: MODULE_AUX, then the id as 0x81 and 8 bytes, big-endian.
    ids = [at for at in range(len(data) - 9) if data[at] == 0xF7 and data[at + 1] == 0x81]
    for at in ids:
        number = int.from_bytes(data[at + 2 : at + 10], "big")
        if number & 1023 == 1:
            data[at + 2 : at + 10] = (number + 5).to_bytes(8, "big")
    data[-8:] = bytes(8)  # No checksum.
    path.write_bytes(data)
    with pytest.raises(Exception):
        server.start()
    assert "was written by a newer module" in server.log()


def test_expired_and_evicted_on_a_replica_go_with_the_primary(new_server):
    primary, replica = new_server(), new_server()
    r = primary.client()
    define(r)
    fill(r, 100)
    replicate(replica, primary)
    for n in range(30):
        r.pexpire(f"d:{n}", 50)
    wait_until(lambda: r.dbsize() == 70)
    in_step(primary, replica)
    assert documents(replica.client(), "i") == 70


def test_shutdown_while_indexing(new_server):
    server = new_server("INDEX-THREADS", 1)
    r = server.client()
    define(r)
    with r.pipeline(transaction=False) as pipe:
        for n in range(5000):
            pipe.hset(f"d:{n}", mapping={"t": "many words that take their time " * 30, "n": n})
        pipe.save()
        pipe.execute()
    server.stop()
    server.start()
    agrees(server.client())
    assert error_of(server.client(), "FT.INFO", "no") == "Unknown index name"
