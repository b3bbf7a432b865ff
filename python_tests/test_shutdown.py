"""SHUTDOWN with work in flight: the server ends at once, in order, whatever the module is doing."""

import signal
import threading
import time

import pytest
import redis

from helpers import fill, jobs_running, wait_until


def start_clients(server, *commands):
    """One client in a thread for each command; none of them may be left without an answer or an
    error. Returns the threads and what became of the calls."""
    outcomes = []

    def call(words):
        try:
            outcomes.append(server.client().execute_command(*words))
        except (redis.ConnectionError, redis.ResponseError) as error:
            outcomes.append(error)

    threads = [threading.Thread(target=call, args=(words,), daemon=True) for words in commands]
    for thread in threads:
        thread.start()
    return threads, outcomes


def in_flight(server, count):
    wait_until(lambda: jobs_running(server) >= count, seconds=20, what=f"{count} running jobs")


def ended_well(server, threads, outcomes, seconds=15):
    assert server.wait(seconds) == 0, server.log()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive(), "a client was never answered"
    assert len(outcomes) == len(threads)
    assert "crashed" not in server.log()


@pytest.mark.parametrize("how", ["SHUTDOWN NOSAVE", "SHUTDOWN SAVE", "SIGTERM", "SIGINT"])
def test_scans_in_flight(new_server, how):
    server = new_server()
    r = server.client()
    fill(r, 300_000)
    r.config_set("search.slice-us", 50)
    threads, outcomes = start_clients(server, *[("IL.KEYS", "*", "COUNT", 1)] * 4)
    in_flight(server, 1)
    if how.startswith("SIG"):
        server.process.send_signal(getattr(signal, how))
    else:
        with pytest.raises(redis.ConnectionError):
            r.execute_command(*how.split())
    ended_well(server, threads, outcomes)


SPIN = "while True: pass"
SLEEP = "import time\ntime.sleep(1000)"
WAIT = "import threading\nthreading.Event().wait()"
C_LOOP = "sum(range(10**12))"
THREADS = "import threading\n[threading.Thread(target=threading.Event().wait).start() for _ in range(3)]\n" + SPIN


@pytest.mark.parametrize(
    "script", [SPIN, SLEEP, WAIT, C_LOOP, THREADS], ids=["spin", "sleep", "wait", "c-loop", "threads"]
)
def test_scripts_in_flight(new_server, script):
    """Also one that cannot be stopped: SHUTDOWN does not wait for it."""
    server = new_server("PYTHON-TIME-LIMIT", "0")
    threads, outcomes = start_clients(server, ("RG.PYEXECUTE", script))
    in_flight(server, 1)
    with pytest.raises(redis.ConnectionError):
        server.client().execute_command("SHUTDOWN", "NOSAVE")
    ended_well(server, threads, outcomes)


def test_everything_in_flight_and_queued(new_server):
    server = new_server()
    r = server.client()
    fill(r, 200_000)
    r.config_set("search.slice-us", 50)
    commands = [("IL.KEYS", "*", "COUNT", 1)] * 10 + [("RG.PYEXECUTE", SPIN)] * 5
    commands += [("RG.PYEXECUTE", "while True: execute('INCR', 'x')")] * 5
    threads, outcomes = start_clients(server, *commands)
    in_flight(server, 2)
    time.sleep(0.5)
    with pytest.raises(redis.ConnectionError):
        r.execute_command("SHUTDOWN", "NOSAVE")
    ended_well(server, threads, outcomes, seconds=30)


def test_debug_restart_is_not_a_shutdown_but_ends_as_well(new_server):
    """A server that is killed and started again on what it saved is whole."""
    server = new_server()
    r = server.client()
    names = set(fill(r, 10_000))
    r.save()
    server.kill()
    server.start()
    assert set(server.client().execute_command("IL.KEYS", "*")) == names
