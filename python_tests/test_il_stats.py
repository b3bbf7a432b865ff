"""IL.STATS and INFO interlock: the numbers that show what the module did to the server."""

import contextlib
import pathlib
import time

import pytest
import redis

from helpers import as_map, config, fill, in_all_lanes, in_background, jobs_running, plain, wait_until

# What operators and the benches rely on, by name.
FIELDS = [
    "version",
    "safemode",
    "slices",
    *[f"{kind}_us_{part}" for kind in ("slice_hold", "slice_wait", "main_wait") for part in ("p50", "p99", "p999", "max")],
    "main_wait_samples",
    "hand_overs",
    "workers_queued",
    "workers_running",
    "python_queued",
    "python_running",
    "clients_waiting",
]


def test_stats_is_a_map(r, r3):
    flat = r.execute_command("IL.STATS")
    assert isinstance(flat, list) and len(flat) % 2 == 0
    mapped = r3.execute_command("IL.STATS")
    assert isinstance(mapped, dict)
    assert set(as_map(flat)) == set(plain(mapped))


def test_every_lane_answers(server, r):
    names = {lane: set(as_map(reply)) for lane, reply in in_all_lanes(server, "IL.STATS").items()}
    assert len({frozenset(found) for found in names.values()}) == 1, names


@pytest.mark.parametrize("name", FIELDS)
def test_documented_field_exists(r, name):
    assert name in as_map(r.execute_command("IL.STATS"))


def test_info_has_the_same_fields(server, r):
    stats = as_map(r.execute_command("IL.STATS"))
    info = server.info_interlock()
    assert set(stats) <= set(info), set(stats) - set(info)


def test_a_scan_takes_slices(server, r):
    fill(r, 50_000)
    before = server.info_interlock()["slices"]
    with config(r, slice_us=50):
        r.execute_command("IL.KEYS", "*")
    assert server.info_interlock()["slices"] > before + 3


def test_no_slice_is_much_longer_than_its_budget(server, r):
    """A generous bound: what the bench measures on a quiet machine is far below it."""
    fill(r, 100_000)
    r.execute_command("IL.STATS", "RESET")
    for _ in range(5):
        r.execute_command("IL.KEYS", "*")
    assert server.info_interlock()["slice_hold_us_p50"] < 20_000


def test_reset(server, r):
    fill(r, 20_000)
    r.execute_command("IL.KEYS", "*")
    assert server.info_interlock()["slices"] > 0
    assert r.execute_command("IL.STATS", "RESET") in (b"OK", "OK")
    after = as_map(r.execute_command("IL.STATS"))
    assert after["slices"] == 0 and float(after["slice_hold_us_max"]) == 0


@pytest.mark.parametrize("words", [("NONSENSE",), ("RESET", "NOW")])
def test_bad_arguments(r, words):
    with pytest.raises(redis.ResponseError):
        r.execute_command("IL.STATS", *words)


def test_running_jobs_are_shown_while_they_run(server, r):
    fill(r, 300_000)
    client = server.client()
    with config(r, slice_us=50):
        with in_background(client.execute_command, "IL.KEYS", "*", "COUNT", 1):
            wait_until(lambda: jobs_running(server) >= 1, what="a running job")
    wait_until(lambda: jobs_running(server) == 0, what="no running job")


def test_main_thread_waits_little_under_eight_workers(new_server):
    """Eight workers that always want the lock: the main thread still gets it after one slice. The
    median is far below what it would be if it queued behind them, and the server keeps serving."""
    server = new_server("WORKERS", 8)
    r = server.client()
    fill(r, 100_000)
    stop = []

    def scan():
        client = server.client()
        while not stop:
            client.execute_command("IL.KEYS", "*")

    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(in_background(scan))
        time.sleep(1)
        r.execute_command("IL.STATS", "RESET")
        served = 0
        until = time.monotonic() + 3
        while time.monotonic() < until:
            r.ping()
            served += 1
        info = server.info_interlock()
        stop.append(True)
    assert info["main_wait_us_p50"] < 1000, info
    assert served > 300, "the main thread starves"


def test_looking_starts_no_pool(new_server):
    server = new_server()
    r = server.client()
    assert r.execute_command("IL.STATS") and r.info("search_interlock")

    def names():
        threads = pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/comm")
        return {name.read_text().strip() for name in threads}

    # A thread gives itself its name, a moment after it was made.
    wait_until(lambda: "il-probe" in names())
    assert not names() & {"il-worker", "il-long", "il-python"}
