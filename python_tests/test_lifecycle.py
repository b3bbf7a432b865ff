"""Loading, unloading, forking, memory: the module as a part of the server."""

import threading
import time

import pytest
import redis

from helpers import fill, in_background, wait_until


def module_name(client):
    return [module[b"name"] if b"name" in module else module["name"] for module in client.module_list()]


def test_the_module_is_listed(r):
    assert {b"search", "search"} & set(module_name(r)), "Redis 8 has modules of its own beside it"


def test_unload_is_refused_with_a_reason(server, r):
    with pytest.raises(redis.ResponseError) as refusal:
        r.execute_command("MODULE", "UNLOAD", "search")
    assert str(refusal.value)
    assert r.execute_command("IL.KEYS", "*") == []


def test_loading_twice_is_refused(server, r):
    with pytest.raises(redis.ResponseError):
        r.execute_command("MODULE", "LOAD", server.module)
    assert r.execute_command("IL.KEYS", "*") == []


def test_commands_are_described(r):
    for name in ("il.keys", "il.stats"):
        info = r.execute_command("COMMAND", "INFO", name)
        assert info[0] is not None if isinstance(info, list) else info


def test_bgsave_under_load(new_server):
    """The child is a copy of one thread: it must need nothing that another thread may hold."""
    server = new_server()
    r = server.client()
    names = set(fill(r, 100_000))
    stop = threading.Event()

    def scan():
        client = server.client()
        while not stop.is_set():
            client.execute_command("IL.KEYS", "*")

    with in_background(scan), in_background(scan), in_background(scan):
        for _ in range(5):
            wait_until(lambda: not r.info("persistence")["rdb_bgsave_in_progress"], 60)
            assert r.bgsave()
            wait_until(lambda: not r.info("persistence")["rdb_bgsave_in_progress"], 60)
            assert r.info("persistence")["rdb_last_bgsave_status"] == "ok"
        stop.set()
    server.restart()
    assert set(server.client().execute_command("IL.KEYS", "*")) == names


def test_aof_rewrite_under_load(new_server):
    server = new_server(config=["--appendonly", "yes"])
    r = server.client()
    fill(r, 50_000)
    stop = threading.Event()

    def scan():
        client = server.client()
        while not stop.is_set():
            client.execute_command("IL.KEYS", "*")

    with in_background(scan):
        r.bgrewriteaof()
        wait_until(lambda: not r.info("persistence")["aof_rewrite_in_progress"], 60)
        assert r.info("persistence")["aof_last_bgrewrite_status"] == "ok"
        stop.set()
    server.restart(save=False)
    assert server.client().dbsize() == 50_000


def test_the_modules_memory_counts_as_the_servers(server, r):
    """Workers gather the names of a scan in memory that `used_memory` sees (and maxmemory bounds)."""
    fill(r, 100_000, prefix="a long name, so that it cannot be overlooked: " + "x" * 150)
    before = r.info("memory")["used_memory"]
    highest = [before]
    client = server.client()
    done = threading.Event()

    def watch():
        with server.client() as watcher:
            while not done.is_set():
                highest.append(watcher.info("memory")["used_memory"])
                time.sleep(0.001)

    with in_background(watch):
        for _ in range(5):
            client.execute_command("IL.KEYS", "*", "COUNT", 10)
        done.set()
    assert max(highest) - before > 10_000_000


def test_scans_leave_no_memory_behind(server, r):
    fill(r, 50_000)
    for _ in range(3):
        r.execute_command("IL.KEYS", "*")
    before = r.info("memory")["used_memory"]
    for _ in range(30):
        r.execute_command("IL.KEYS", "*")
    grown = wait_until(lambda: (r.info("memory")["used_memory"] - before) < 2_000_000 and "small", 10)
    assert grown == "small"
