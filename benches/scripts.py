"""What does a Python function cost, and what does everybody else notice of it?

Latency of the smallest script with the warm pool on and off; calls a second of one that is registered (RG.TRIGGER) and
of one that shares its interpreter (SCOPE script), beside the same in Lua and in a client; what hooks cost the commands that
they are not about; a burst of events; and a KeysReader over 1,000,000 keys (N=) with PING beside it and the memory it took.

    make bench N=1000000            # or: .venv/bin/python benches/scripts.py
"""

import os
import sys
import threading
import time

from measure import PING_COLUMNS, Pings, Report, Server, percentile, plot, throughput

N = int(os.environ.get("N", 1_000_000))
CALLS = int(os.environ.get("CALLS", 300))
CLIENTS = 50
CONNECTIONS = (1, 50, 500)
EVENTS = int(os.environ.get("EVENTS", 100_000))


def latencies(server, pause, *words):
    """Seconds of CALLS calls, one after the other."""
    client = server.client()
    times = []
    for _ in range(CALLS):
        at = time.perf_counter()
        client.execute_command(*words)
        times.append(time.perf_counter() - at)
        time.sleep(pause)
    return sorted(times)


def warm_pool(report, server):
    client = server.client()
    rows = []
    for size in (4, 0):
        client.config_set("search.warm-interpreters", size)
        time.sleep(1)
        for name, pause in (("one call every 50 ms", 0.05), ("back to back", 0)):
            times = latencies(server, pause, "RG.PYEXECUTE", "1")
            rows.append([f"warm-interpreters {size}", name]
                        + [f"{percentile(times, p) * 1000:.3f}" for p in (50, 99)] + [f"{times[-1] * 1000:.3f}"])
    times = latencies(server, 0, "RG.PYEXECUTE", "1", "SCOPE", "script")
    rows.append(["SCOPE script", "back to back"]
                + [f"{percentile(times, p) * 1000:.3f}" for p in (50, 99)] + [f"{times[-1] * 1000:.3f}"])
    client.config_set("search.warm-interpreters", 4)
    report.say(f"Latency of `RG.PYEXECUTE 1`, {CALLS} calls from one client, ms.")
    report.table(["interpreters", "how", "p50", "p99", "max"], rows)


def calls_a_second(report, server):
    client = server.client()
    client.set("x", "value")
    get = "GB('CommandReader').map(lambda words: execute('GET', 'x')).register(trigger='{0}', mode='{0}')"
    for mode in ("sync", "async_local"):
        client.execute_command("RG.PYEXECUTE", get.format(mode))
    coroutine = "async def get(words):\n    return execute('GET', 'x')\n"
    client.execute_command("RG.PYEXECUTE", coroutine + "GB('CommandReader').map(get).register(trigger='async_def')")
    rows, lua = [], {}
    for name, requests, command in [
        ("Lua: one GET", 100_000, ("EVAL", "return redis.call('GET', 'x')", "0")),
        ("RG.TRIGGER, sync: one GET", 100_000, ("RG.TRIGGER", "sync")),
        ("RG.TRIGGER, async_local: one GET", 100_000, ("RG.TRIGGER", "async_local")),
        ("RG.TRIGGER, async def: one GET", 50_000, ("RG.TRIGGER", "async_def")),
        ("RG.PYEXECUTE, SCOPE script: nothing", 50_000, ("RG.PYEXECUTE", "1", "SCOPE", "script")),
        ("RG.PYEXECUTE, SCOPE script: one GET", 50_000, ("RG.PYEXECUTE", "execute('GET', 'x')", "SCOPE", "script")),
        ("RG.PYEXECUTE, SCOPE script: GB().count().run('x')", 50_000,
         ("RG.PYEXECUTE", "GB().count().run('x')", "SCOPE", "script")),
        ("RG.PYEXECUTE, SCOPE call: one GET", 1_000, ("RG.PYEXECUTE", "execute('GET', 'x')")),
    ]:
        shown = [name]
        for clients in CONNECTIONS:
            [row] = throughput(server.port, clients, requests // 10 if clients == 1 else requests, *command)
            rate = float(row["rps"])
            lua.setdefault(clients, rate)
            shown.append(f"{rate:,.0f} ({rate / lua[clients]:.2f}; {row['p99_latency_ms']})")
        rows.append(shown)
    rows.append(["redis-py, threads of one process: one GET"] + [from_redis_py(server, clients) for clients in CONNECTIONS])
    report.say("Calls a second from so many connections (as a share of Lua's rate; p99 in ms).")
    report.table(["call", *CONNECTIONS], rows)


def from_redis_py(server, clients, seconds=2):
    """Calls a second of the same logic in a client."""
    counts, until = [0] * clients, time.monotonic() + seconds

    def get(number):
        with server.client() as client:
            while time.monotonic() < until:
                client.get("x")
                counts[number] += 1

    threads = [threading.Thread(target=get, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return f"{sum(counts) / seconds:,.0f}"


#: What may be registered while commands pass that it is not about.
BESIDE = {
    "nothing": "1",
    "a hook of another command": "GB('CommandReader').register(hook='hset', mode='sync')",
    "a hook of SET, by a prefix that no key has": "GB('CommandReader').register(hook='set', keyprefix='other:', mode='sync')",
    "a sync registration of other keys": "GB('KeysReader').register('other:*', mode='sync')",
    "an async registration of other keys": "GB('KeysReader').register('other:*')",
}


def unconcerned(report, server, rounds=5):
    """Commands that no registration is about, while there are some: in turns, so that what the machine does hits all."""
    client = server.client()
    rates = {name: [] for name in BESIDE}
    for _ in range(rounds):
        for name, script in BESIDE.items():
            client.execute_command("RG.PYEXECUTE", script, "ID", "beside", "UPGRADE")
            [row] = throughput(server.port, CLIENTS, 300_000, "-P", 16, "SET", "x", "value")
            rates[name].append(float(row["rps"]))
    client.execute_command("RG.PYEXECUTE", "1", "ID", "beside", "UPGRADE")
    middle = {name: percentile(sorted(found), 50) for name, found in rates.items()}
    rows = [[name, f"{rate:,.0f}", f"{rate / middle['nothing']:.2f}"] for name, rate in middle.items()]
    report.say(f"SETs a second in pipelines of 16 from {CLIENTS} connections, beside something that is not about them "
               f"(the middle of {rounds} rounds).")
    report.table(["what is registered", "calls/s", "share"], rows)


def burst(report, server):
    """Events faster than they are worked off."""
    client = server.client()
    client.execute_command("RG.PYEXECUTE", "GB('KeysReader').foreach(lambda record: record['value'])"
                           ".register('burst', eventTypes=['set'], mode='async_local')", "ID", "burst")
    (entry,) = [one for one in client.execute_command("RG.DUMPREGISTRATIONS") if b"KeysReader" in one]
    base = client.info("memory")["used_memory"]
    highest, done = [base], threading.Event()

    def watch():
        with server.client() as other:
            while not done.wait(0.02):
                highest.append(other.info("memory")["used_memory"])

    def ended():
        (now,) = [one for one in client.execute_command("RG.DUMPREGISTRATIONS") if one[1] == entry[1]]
        data = dict(zip(now[7][::2], now[7][1::2]))
        return data[b"numSuccess"] + data[b"numAborted"], data[b"numAborted"]

    watcher = threading.Thread(target=watch)
    watcher.start()
    at = time.perf_counter()
    with Pings(server.port) as pings:
        [row] = throughput(server.port, CLIENTS, EVENTS, "-P", 16, "SET", "burst", "x" * 100)
        accepted = time.perf_counter() - at
        while ended()[0] < EVENTS:
            time.sleep(0.01)
    took = time.perf_counter() - at
    lost = ended()[1]
    done.set()
    watcher.join()
    client.execute_command("RG.PYEXECUTE", "1", "ID", "burst", "UPGRADE")
    report.say(f"{EVENTS:,} SETs in pipelines of 16 from {CLIENTS} connections, each an event of an async_local registration: "
               f"{EVENTS / accepted:,.0f}/s accepted, {EVENTS / took:,.0f}/s worked off, {lost} given up, "
               f"{(max(highest) - base) / 1e6:.0f} MB at most for what waited.")
    report.table(PING_COLUMNS, [pings.row("beside the burst")])


def keys_reader(report, server):
    client = server.client()
    client.flushall()
    client.execute_command("DEBUG", "POPULATE", N, "key", 16)
    with Pings(server.port) as idle:
        time.sleep(4)
    before = server.rss()
    highest = [before]
    done = threading.Event()

    def watch():
        while not done.is_set():
            highest.append(server.rss())
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    client.execute_command("IL.STATS", "RESET")
    rows, series = [idle.row("idle")], [("idle", idle.samples)]
    slow = server.client(socket_timeout=600)
    for name, script in [
        ("count()", "GB('KeysReader').count().run()"),
        ("filter, count()", "GB('KeysReader').filter(lambda x: x['key'].endswith('7')).count().run()"),
    ]:
        at = time.perf_counter()
        with Pings(server.port) as pings:
            reply = slow.execute_command("RG.PYEXECUTE", script)
        seconds = time.perf_counter() - at
        rows.append(pings.row(f"KeysReader {name} -> {reply[0][0].decode()}, {N / seconds:,.0f} keys/s"))
        series.append((name, pings.samples))
    done.set()
    watcher.join()
    info = server.info_interlock()
    report.table(PING_COLUMNS, rows)
    report.say(f"Longest hold of the server's lock: {float(info['slice_hold_us_max']):.0f} us. "
               f"Resident memory: {before / 1e6:.0f} MB before, {max(highest) / 1e6:.0f} MB at most.")
    path = plot("scripts", series, f"PING beside a KeysReader over {N:,} keys")
    if path:
        report.say(f"Plot: {path.name}")


def main():
    report = Report("scripts", f"make bench N={N}")
    with Server("PYTHON-TIME-LIMIT", "0") as server:
        warm_pool(report, server)
        calls_a_second(report, server)
        unconcerned(report, server)
        burst(report, server)
        keys_reader(report, server)
    print(f"written to {report.path}")


if __name__ == "__main__":
    sys.exit(main())
