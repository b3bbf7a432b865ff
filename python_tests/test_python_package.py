"""The package interlock-redis: locks, compute-once, keys and scripts from Python."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest
import redis
import redis.asyncio

from helpers import wait_until
from servers import ROOT

sys.path.insert(0, str(ROOT / "python/src"))

import interlock  # noqa: E402
import interlock.aio  # noqa: E402
from interlock.wait import Patience  # noqa: E402


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def in_thread(function):
    """A thread that runs a function, and what it returned."""
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(function()), daemon=True)
    thread.start()
    return thread, outcome


# -- locks -----------------------------------------------------------------------------------------


def test_a_lock_is_reentrant_for_its_thread_and_excludes_others(r):
    lock = interlock.Lock(r, "l")
    with lock:
        token = lock.token
        with lock:
            assert lock.token == token
            thread, outcome = in_thread(lambda: lock.acquire(blocking=False))
            thread.join(10)
            assert outcome == [False]
        assert lock.locked()
    assert not lock.locked() and lock.token is None
    with lock:
        assert lock.token > token


def test_a_waiting_thread_gets_it_next(r):
    lock = interlock.Lock(r, "l")
    lock.acquire()
    thread, outcome = in_thread(lambda: (lock.acquire(timeout=20), lock.release()))
    wait_until(lambda: dict_of(r, "l")["waiting"] == 1)
    lock.release()
    thread.join(20)
    assert outcome == [(True, None)]


def dict_of(r, name):
    reply = r.execute_command("IL.LOCKINFO", name)
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2])
    return {name.decode(): value for name, value in pairs}


def test_a_wait_ends_and_does_not_take(r):
    holder, other = interlock.Lock(r, "l", owner="a"), interlock.Lock(r, "l", owner="b")
    holder.acquire()
    assert not other.acquire(timeout=0.1)
    assert not other.acquire(blocking=False)
    with pytest.raises(ValueError):
        other.acquire(blocking=False, timeout=1)
    holder.release()
    assert other.acquire(blocking=False)


def test_waits_outlast_the_socket_timeout(server, r):
    with interlock.Lock(r, "l", owner="holder"):
        other = interlock.Lock(server.client(socket_timeout=0.2), "l", owner="other")
        assert not other.acquire(timeout=0.7)
        thread, outcome = in_thread(lambda: other.acquire(timeout=20))
        time.sleep(0.5)
    thread.join(20)
    assert outcome == [True]


def test_the_lease_is_renewed_while_it_is_held(r):
    lock = interlock.Lock(r, "l", lease=0.3)
    with lock:
        token = lock.token
        time.sleep(1)
        assert dict_of(r, "l")["token"] == token and not lock.lost
    unrenewed = interlock.Lock(r, "l", lease=0.1, renew=False)
    unrenewed.acquire()
    wait_until(lambda: not unrenewed.locked())
    with pytest.raises(interlock.LockLost):
        unrenewed.release()


def test_a_lock_that_is_taken_away_says_so(r):
    told = []
    lock = interlock.Lock(r, "l", lease=0.3, on_lost=told.append)
    lock.acquire()
    r.delete("l")
    wait_until(lambda: told == [lock])
    assert lock.lost and lock.token is None
    with pytest.raises(interlock.LockLost):
        lock.release()
    with pytest.raises(RuntimeError):
        lock.release()


def test_many_threads_count_without_losing(server, r):
    lock = interlock.Lock(server.client(), "l", lease=20)

    def add():
        for _ in range(20):
            with lock:
                r.set("n", int(r.get("n") or 0) + 1)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert r.get("n") == b"160"


# -- compute once ----------------------------------------------------------------------------------


def test_one_computes_and_all_share(server, r):
    calls = []

    @interlock.once(server.client(), key="square:{0}", ttl=60)
    def square(number):
        calls.append(number)
        time.sleep(0.2)
        return number * number

    threads = [in_thread(lambda: square(7)) for _ in range(10)]
    for thread, _ in threads:
        thread.join(20)
    assert [outcome for _, outcome in threads] == [[49]] * 10
    assert calls == [7]
    assert square(8) == 64 and calls == [7, 8]
    assert 0 < r.ttl("square:7") <= 60


def test_the_default_key_tells_calls_apart(r):
    @interlock.once(r)
    def add(a, b=1):
        return [a, b]

    assert (add(1), add(1, b=2), add("1")) == ([1, 1], [1, 2], ["1", 1])
    assert len(list(interlock.keys(r))) == 3


def test_a_failure_is_everybodys_unless_the_next_may_try(r):
    tries = []

    def broken():
        tries.append(1)
        raise ValueError("no luck")

    for retry, key in ((False, "a"), (True, "b")):
        tries.clear()
        call = interlock.once(r, key=key, retry=retry)(broken)
        with pytest.raises(ValueError):
            call()
        with pytest.raises(ValueError if retry else interlock.OnceFailed, match="no luck"):
            call()
        assert len(tries) == (2 if retry else 1)


def test_a_slow_computation_keeps_its_lease_and_a_wait_ends(r):
    started = threading.Event()

    @interlock.once(r, key="slow", lease=0.3)
    def slow():
        started.set()
        time.sleep(1)
        return "done"

    thread, outcome = in_thread(slow)
    started.wait(10)
    with pytest.raises(TimeoutError):
        interlock.once(r, key="slow", wait=0.2)(slow)()
    thread.join(20)
    assert outcome == ["done"] and r.execute_command("IL.ONCE", "slow") == [b"ready", b'"done"']


def test_a_result_that_comes_too_late_is_replaced_by_the_good_one(r):
    @interlock.once(r, key="k")
    def mine():
        # Somebody resets the value while it is computed, and another one computes it.
        r.delete("k")
        token = r.execute_command("IL.ONCE", "k")[1]
        r.execute_command("IL.PUBLISH", "k", token, '"theirs"')
        return "mine"

    assert mine() == "theirs"


def test_a_killed_process_moves_the_work_on(server, r):
    code = f"""
import sys, time
sys.path.insert(0, {str(ROOT / "python/src")!r})
import interlock, redis
@interlock.once(redis.Redis(port={server.port}), key="k", lease=1)
def compute():
    print("computing", flush=True)
    time.sleep(600)
compute()
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"computing\n"
        process.kill()
        assert interlock.once(r, key="k", wait=20)(lambda: "moved on")() == "moved on"
    finally:
        process.kill()
        process.wait()


def test_a_function_learns_that_its_result_is_not_wanted(r):
    seen = []

    @interlock.once(r, key="k", lease=0.3)
    def compute():
        running = interlock.computation()
        seen.append((running.key, running.lost))
        r.execute_command("IL.CANCEL", "k")
        assert running.wait(20)
        running.check()

    with pytest.raises(interlock.OnceFailed, match="cancelled"):
        compute()
    assert seen == [("k", False)]
    with pytest.raises(RuntimeError):
        interlock.computation()


def test_who_is_stopped_lets_the_next_one_try(r):
    @interlock.once(r, key="k")
    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert interlock.once(r, key="k")(lambda: "next")() == "next"


@pytest.mark.parametrize("make", [redis.Redis.from_url, redis.asyncio.Redis.from_url])
def test_waits_are_shorter_than_a_socket_timeout_that_nobody_gave(make):
    client = make("redis://localhost:1")
    timeout = client.connection_pool.make_connection().socket_timeout
    word, millis = Patience(client, None).words()
    assert word == "WAIT" and (millis == 0 if timeout is None else 0 < millis < timeout * 1000)


# -- keys, scripts, functions ----------------------------------------------------------------------


def test_keys(r):
    r.mset({f"a:{n}": n for n in range(50)})
    r.hset("a:hash", "f", "v")
    assert len(set(interlock.keys(r, "a:*"))) == 51
    assert list(interlock.keys(r, "a:*", type="hash", count=10)) == [b"a:hash"]
    assert len(list(interlock.keys(r, limit=7))) == 7


def test_scripts_survive_flushes_with_and_without_the_module(r):
    script = interlock.BulletproofScript(r, "return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert script(keys=["n"], args=[1]) == 1
    r.script_flush()
    assert script(keys=["n"], args=[1]) == 2
    with r.pipeline(transaction=True) as pipe:
        script(keys=["n"], args=[1], client=pipe)
        r.script_flush()
        assert pipe.execute() == [3]
    r.config_set("search.pin-scripts", "yes")
    try:
        pinned = interlock.BulletproofScript(r, "return redis.call('INCRBY', KEYS[1], ARGV[1])", pinned=True)
        r.script_flush()
        assert pinned(keys=["n"], args=[1]) == 4
    finally:
        r.config_set("search.pin-scripts", "no")


def test_functions_and_figures(r, r3):
    r.mset({f"k{n}": n for n in range(5)})
    for client in (r, r3):
        result = interlock.pyexecute(client, "GB('KeysOnlyReader').count().run('k*')", isolation="shared", timeout=20)
        assert result.errors == [] and [int(count) for count in result.results] == [5]
        figures = interlock.stats(client)
        assert figures["version"] and figures["slices"] >= 0 and figures["slice_hold_us_p50"] >= 0


# -- asyncio ---------------------------------------------------------------------------------------


def test_libraries_of_functions(r, r3):
    source = (
        "#!python name=lib\n@rg.function\ndef add(keys, args):\n    'Adds.'\n    return execute('INCRBY', keys[0], args[0])\n"
        "@rg.function(readonly=True, mode='sync')\ndef look(keys, args): return [execute('GET', key) for key in keys]\n"
    )
    for client in (r, r3):
        assert interlock.function_load(client, source) == "lib"
        client.delete("n")
        assert interlock.fcall(client, "add", ["n"], [5]) == 5
        assert interlock.fcall(client, "look", "n", read_only=True) == [b"5"]
        (library,) = interlock.function_list(client, "l*", with_code=True)
        assert library.functions == [
            interlock.Function("add", "Adds.", False, "async_local"),
            interlock.Function("look", None, True, "sync"),
        ]
        assert (library.name, library.isolation, library.loaded) == ("lib", "subinterpreter", True)
        assert library.code == source.encode()
        payload = interlock.function_dump(client)
        interlock.function_delete(client, "lib")
        assert interlock.function_list(client) == []
        interlock.function_restore(client, payload)
        interlock.function_load(client, source, replace=True)
        assert interlock.function_list(client)[0].code is None
        interlock.function_delete(client, "lib")


def test_asyncio_locks_and_results(server, r):
    async def body():
        async with redis.asyncio.Redis(port=server.port) as client:
            order = []

            async def take(name):
                async with interlock.aio.Lock(client, "l", lease=0.3) as lock:
                    order.append((name, lock.token))
                    await asyncio.sleep(0.5 if name == 0 else 0)
                    assert not lock.lost

            await asyncio.gather(*(take(n) for n in range(10)))
            assert len(order) == 10 and [token for _, token in order] == sorted(token for _, token in order)

            calls = []

            @interlock.aio.once(client, key="v:{0}", ttl=60)
            async def value(n):
                calls.append(n)
                await asyncio.sleep(0.1)
                return n + 1

            assert await asyncio.gather(*(value(1) for _ in range(20))) == [2] * 20
            assert calls == [1]
            assert [key async for key in interlock.aio.keys(client, "v:*")] == [b"v:1"]

            lock = interlock.aio.Lock(client, "m")
            assert await lock.acquire() and await lock.acquire()
            other = interlock.aio.Lock(client, "m")
            assert not await other.acquire(blocking=False) and not await other.acquire(timeout=0.05)
            await lock.release()
            await lock.release()
            with pytest.raises(interlock.LockLost):
                await lock.release()

            @interlock.aio.once(client, key="bad")
            async def bad():
                raise KeyError("x")

            with pytest.raises(KeyError):
                await bad()
            with pytest.raises(interlock.OnceFailed):
                await bad()

    run(body())


def test_a_cancelled_computation_lets_the_next_one_know(server, r):
    async def body():
        async with redis.asyncio.Redis(port=server.port) as client:
            @interlock.aio.once(client, key="k")
            async def never():
                await asyncio.sleep(600)

            task = asyncio.create_task(never())
            while not await client.exists("k"):
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

            @interlock.aio.once(client, key="k")
            async def now():
                return "now"

            assert await now() == "now"

    run(body())


def test_asyncio_stops_what_is_not_wanted_any_more(server, r):
    async def body():
        async with redis.asyncio.Redis(port=server.port) as client:
            ended = []

            def in_thread_of_its_own():
                ended.append(interlock.computation().wait(20))

            @interlock.aio.once(client, key="k", lease=0.3)
            async def never():
                try:
                    await asyncio.to_thread(in_thread_of_its_own)
                finally:
                    ended.append("cancelled")

            task = asyncio.create_task(never())
            while not await client.exists("k"):
                await asyncio.sleep(0.01)
            await client.execute_command("IL.CANCEL", "k")
            with pytest.raises(interlock.OnceFailed, match="cancelled"):
                await task
            return ended

    # The end of the loop waits for the thread.
    assert sorted(map(str, run(body()))) == ["True", "cancelled"]


def test_the_readme_runs(server, r):
    text = (ROOT / "python/README.md").read_text()
    code = text.split("```python\n", 1)[1].split("```", 1)[0].replace("redis.Redis()", f"redis.Redis(port={server.port})")
    r.set("report:1", 1)
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'python/src')!r})\n{code}"],
        capture_output=True, text=True, timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["held", "144", "b'report:1'", "[b'1']"]
