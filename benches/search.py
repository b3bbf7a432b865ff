"""Does searching hold the server up, and what does a search cost? Beside RediSearch 1.2, in the same run.

N= documents (100,000), all indexed by body (TEXT), forum (TAG), votes (NUMERIC SORTABLE) and place (GEO). The peer
is Debian's redis-redisearch, with and without its SAFEMODE; without it the bench measures Interlock alone.
Costs are processor time of the server's whole process, read from INFO: they depend little on what else the
machine does. Rates and latencies do: compare them within one run. PEERS=safemode leaves the concurrent mode out, whose
loading slows down with every document.

    make bench ONLY=search N=1000000     # or: .venv/bin/python benches/search.py
"""

import multiprocessing
import os
import pathlib
import select
import shutil
import socket
import sys
import time

import corpus
from measure import MODULE, PING_COLUMNS, Pings, Report, Server, load, plot, throughput

N = int(os.environ.get("N", 100_000))
SECONDS = float(os.environ.get("SECONDS_EACH", 5))
PEER = pathlib.Path(os.environ.get("PEER", "/usr/lib/redis/modules/redisearch.so"))
PEERS = os.environ.get("PEERS", "safemode concurrent").split()
LOADERS = 10
CHECKED = 200
LONG = {"socket_timeout": 600}

HEAVY = ("FT.SEARCH", "comments", "music")
LIGHT = ("FT.SEARCH", "comments", "zebra")
QUERIES = [
    ("heavy term", HEAVY[2:]),
    ("AND of two heavy terms", ("music movie",)),
    ("OR of two heavy terms", ("music|movie",)),
    ("heavy term, NOT another", ("movie -music",)),
    ("rare AND heavy", ("zebra music",)),
    ("phrase", ('"music movie"',)),
    ("fuzzy", ("%musik%",)),
    ("prefix", ("pian*",)),
    ("numeric range", ("@votes:[100000 200000]",)),
    ("tag", (f"@forum:{{{corpus.TAG}}}",)),
    ("geo radius", ("@place:[2.35 48.85 50 km]",)),
    ("SORTBY numeric", ("music", "SORTBY", "votes")),
    ("light term", LIGHT[2:]),
]
SCHEMA = ["SCHEMA", "body", "TEXT", "forum", "TAG", "votes", "NUMERIC", "SORTABLE", "place", "GEO"]


class Target:
    """One engine under test: a server, how an index is made in it, and how documents get in."""

    def __init__(self, name, module, arguments, definition, kind):
        self.name, self.module, self.arguments = name, module, arguments
        self.definition, self.kind = definition, kind


def targets():
    ours = Target("Interlock", MODULE, (), ["ON", "HASH", "PREFIX", "1", "doc:", *SCHEMA], "hset")
    if not PEER.exists():
        print(f"no peer at {PEER} (Debian: apt install redis-redisearch): Interlock alone")
        return [ours]
    peers = [
        Target("RediSearch 1.2 SAFEMODE", str(PEER), ("SAFEMODE",), SCHEMA, "ft.add"),
        Target("RediSearch 1.2 concurrent", str(PEER), (), SCHEMA, "ft.add"),
    ]
    return [ours, *[peer for peer in peers if peer.name.split()[-1].lower() in PEERS]]


def send(port, path, wait=64):
    """Sends a file of commands, never more than `wait` kilobytes ahead of the replies, and reads all replies."""
    data = path.read_bytes()
    replies = data.count(b"\r\n$4\r\nHSET\r\n") + data.count(b"\r\n$6\r\nFT.ADD\r\n")
    view, at, seen = memoryview(data), 0, 0
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setblocking(False)
        while seen < replies:
            readable, writable, _ = select.select([link], [link] if at < len(view) else [], [])
            if writable:
                at += link.send(view[at:at + (wait << 10)])
            if readable:
                got = link.recv(1 << 16)
                assert got and b"-" not in got[:1], got[:200]
                seen += got.count(b"\r\n")


def write(server, paths):
    """Sends all files at once."""
    loaders = [multiprocessing.Process(target=send, args=(server.port, path)) for path in paths]
    for loader in loaders:
        loader.start()
    for loader in loaders:
        loader.join()
        assert loader.exitcode == 0


def ingest(server, paths):
    """Loads all files; seconds until all documents can be found."""
    at = time.perf_counter()
    write(server, paths)
    # A query sees all writes before it.
    server.client(**LONG).execute_command("FT.SEARCH", "comments", "zebra", "LIMIT", "0", "1")
    return time.perf_counter() - at


def cpu(client):
    info = client.info("cpu")
    return info["used_cpu_user"] + info["used_cpu_sys"]


def rest(client, most=60):
    """Waits until the server's process does next to nothing: what goes on in the background is not a query's cost."""
    until = time.perf_counter() + most
    busy = 1.0
    while busy > 0.05 and time.perf_counter() < until:
        before = cpu(client)
        time.sleep(1)
        busy = cpu(client) - before


def cost(client, query, seconds=1.0, most=300):
    """Milliseconds of the server's processor time for one query, and how many documents match.

    What is measured are the calls after as many that warm the processor's caches up.
    """
    command = ("FT.SEARCH", "comments", *query)
    total = client.execute_command(*command)[0]

    def calls():
        started, count = time.perf_counter(), 0
        while count < 10 or (count < most and time.perf_counter() - started < seconds):
            client.execute_command(*command)
            count += 1
        return count

    calls()
    before = cpu(client)
    count = calls()
    return (cpu(client) - before) / count * 1000, total


def scores(client, query, count):
    """The scores of the best documents, by key; with the scorer that all versions of the interface have."""
    scorer = ("SCORER", "TFIDF", "WITHSCORES", "NOCONTENT", "LIMIT", "0", str(count))
    _, *found = client.execute_command("FT.SEARCH", "comments", *query, *scorer)
    return dict(zip(found[::2], map(float, found[1::2])))


def as_good(best, all_scores):
    """Whether these documents are the ten best by other scores too, or level with the tenth."""
    tenth = sorted(all_scores.values(), reverse=True)[:10][-1]
    return all(all_scores.get(key, 0.0) > tenth * (1 - 1e-9) for key in best)


def rate(port, connections, command, seconds=SECONDS):
    """Calls per second of one command from several connections, with its latencies."""
    # Runs of growing length, until one is long enough to say how many calls fill the time.
    requests, rps = connections * 5, 0.0
    while rps == 0.0 or requests / rps < seconds / 10:
        rps = float(throughput(port, connections, requests, *command)[0]["rps"])
        requests *= 4
    row = throughput(port, connections, max(int(rps * seconds), connections * 5), *command)[0]
    return float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"])


def document(target, key, *fields):
    """The command that writes a document."""
    if target.kind == "hset":
        return ("HSET", key, *fields)
    return ("FT.ADD", "comments", key, "1.0", "REPLACE", "FIELDS", *fields)


def flip(target, port, stop):
    """Writes the second half of the checked documents anew, with the word and without it in turn."""
    with socket.create_connection(("127.0.0.1", port)) as link:
        turn = 0
        while not stop.is_set():
            turn += 1
            for n in range(CHECKED // 2, CHECKED):
                link.sendall(corpus.command(*document(target, f"doc:check{n}", "body", ("quokka", "wombat")[(turn + n) % 2])))
                link.recv(1 << 12)


def check(target, server, seconds=SECONDS):
    """What a search under updates gets wrong: rows without the word, and documents that always had it but are missing,
    with the number of searches."""
    client = server.client(protocol=2, **LONG)
    for n in range(CHECKED):
        client.execute_command(*document(target, f"doc:check{n}", "body", "quokka"))
    stop = multiprocessing.Event()
    writer = multiprocessing.Process(target=flip, args=(target, server.port, stop))
    writer.start()
    wrong = missing = searches = 0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        _, *rows = client.execute_command("FT.SEARCH", "comments", "quokka", "LIMIT", "0", CHECKED)
        # The peer's concurrent mode gives some keys without fields.
        found = {row for row in rows if isinstance(row, bytes)}
        wrong += sum(b"quokka" not in row for row in rows if isinstance(row, list))
        missing += sum(f"doc:check{n}".encode() not in found for n in range(CHECKED // 2))
        searches += 1
    stop.set()
    writer.join()
    return wrong, missing, searches


def measure(target, paths, queries):
    """Everything about one engine."""
    found = {"costs": {}, "totals": {}, "scores": {}, "pings": {}}
    with Server(*target.arguments, module=target.module) as server:
        client = server.client(protocol=2, **LONG)
        empty = client.info("memory")["used_memory"]
        with Pings(server.port) as idle:
            time.sleep(SECONDS)
        with load(server.port, 5, "GET", "key"), load(server.port, 10, "GET", "key"), Pings(server.port) as busy:
            time.sleep(SECONDS)
        found["pings"]["5 + 10 x GET, no search"] = busy
        if target.kind == "hset":
            with Pings(server.port) as plain:
                write(server, paths[target.kind])
            found["pings"]["the same writes, no index"] = plain
            client.flushall()
        client.execute_command("FT.CREATE", "comments", *target.definition)
        with Pings(server.port) as loading:
            seconds = ingest(server, paths[target.kind])
        found["ingest"] = N / seconds
        found["pings"] |= {"idle": idle, "ingest at full speed": loading}
        rest(client)
        found["memory"] = (client.info("memory")["used_memory"] - empty) / N
        for name, query in queries:
            found["costs"][name], found["totals"][name] = cost(client, query)
            if "SORTBY" not in query:
                found["scores"][name] = scores(client, query, N if target.kind == "hset" else 10)
        found["light alone"] = rate(server.port, 10, LIGHT)
        found["heavy alone"] = rate(server.port, 5, HEAVY)
        with load(server.port, 5, *HEAVY), Pings(server.port) as beside:
            found["light beside"] = rate(server.port, 10, LIGHT)
        with load(server.port, 10, *LIGHT):
            found["heavy beside"] = rate(server.port, 5, HEAVY)
        found["pings"]["5 x heavy, 10 x light"] = beside
        with load(server.port, 5, *HEAVY):
            sets = throughput(server.port, 20, 2_000, "-t", "get,set", "-d", 16)
            found["set get beside"] = [float(row["rps"]) for row in sets]
        with load(server.port, 1, *HEAVY):
            words = document(target, "doc:update__rand_int__", "body", " ".join(["an", "update"] * 10), "votes", "__rand_int__")
            found["updates beside"] = float(throughput(server.port, 1, 3_000, "-r", 1000, *words)[0]["rps"])
        found["check"] = check(target, server)
        at = time.perf_counter()
        client.save()
        found["save"], found["rdb"] = time.perf_counter() - at, (server.folder / "dump.rdb").stat().st_size
        at = time.perf_counter()
        server.restart(save=False)
        again = server.client(protocol=2, **LONG)
        heavy = found["totals"]["heavy term"]
        while again.execute_command(*HEAVY, "LIMIT", "0", "1")[0] < heavy:
            time.sleep(0.05)
        found["restart"] = time.perf_counter() - at
    return found


def main():
    report = Report("search", f"make bench ONLY=search N={N}" + (f" PEERS={' '.join(PEERS)}" if "PEERS" in os.environ else ""))
    paths = corpus.write(N, LOADERS)
    try:
        engines = targets()
        results = [measure(target, paths, QUERIES) for target in engines]
    finally:
        shutil.rmtree(paths["hset"][0].parent, ignore_errors=True)
    names = [engine.name for engine in engines]
    ours = results[0]

    report.say(f"{N:,} documents. Processor time of the server for one query, in milliseconds.")
    rows = []
    for name, query in QUERIES:
        costs = [result["costs"][name] for result in results]
        shares = [f"1/{other / max(costs[0], 0.001):.1f}" for other in costs[1:]]
        rows.append([name, " ".join(query), ours["totals"][name], *[f"{ms:.3f}" for ms in costs], *shares])
    report.table(["query", "", "matches", *names, *[f"share of {name}" for name in names[1:]]], rows)
    for name, _ in QUERIES:
        totals = {result["totals"][name] for result in results}
        if len(totals) > 1:
            report.say(f"The engines do not agree on `{name}`: {[result['totals'][name] for result in results]}.")
    for engine, result in zip(engines[1:], results[1:]):
        others = [name for name, best in result["scores"].items() if not as_good(best, ours["scores"][name])]
        report.say(f"The ten best of {engine.name} by TFIDF are the ten best here, or level with the tenth, in "
                   f"{len(result['scores']) - len(others)} of {len(result['scores'])} queries"
                   + (f"; not in: {', '.join(others)}." if others else "."))

    report.say("Rates: calls a second (p50 / p99 in ms). Interlock computes identical searches that are under way at the same "
               "moment once: the connections with the heavy one share its work.")
    show = lambda found: f"{found[0]:,.0f} ({found[1]:.2f} / {found[2]:.2f})"  # noqa: E731
    rows = [[f"{label}", *[show(result[key]) for result in results]] for label, key in [
        ("light from 10 connections, alone", "light alone"),
        ("light from 10 connections, beside 5 with the heavy one", "light beside"),
        ("heavy from 5 connections, alone", "heavy alone"),
        ("heavy from 5 connections, beside 10 with the light one", "heavy beside"),
    ]]
    rows.append(["SET / GET from 20 connections, beside 5 with the heavy one",
                 *[" / ".join(f"{rps:,.0f}" for rps in result["set get beside"]) for result in results]])
    rows.append(["documents a second into the index, 10 connections", *[f"{result['ingest']:,.0f}" for result in results]])
    rows.append(["updates from one connection, beside another with the heavy one", *[f"{result['updates beside']:,.0f}" for result in results]])
    report.table(["", *names], rows)

    report.say(f"Correctness: searches for a word with {CHECKED} documents, of which half lose and regain it all the time.")
    rows = [[label, *[f"{result['check'][at]:,}" for result in results]]
            for at, label in enumerate(["rows without the word", "documents that always had it, missing", "searches"])]
    report.table(["", *names], rows)

    rows = [ping.row(f"{name}: {phase}") for name, result in zip(names, results) for phase, ping in result["pings"].items()]
    report.table(PING_COLUMNS, rows)

    rows = [
        ["memory for a document, with its hash, bytes", *[f"{result['memory']:,.0f}" for result in results]],
        ["RDB file, MB", *[f"{result['rdb'] / 1e6:.1f}" for result in results]],
        ["SAVE, s", *[f"{result['save']:.1f}" for result in results]],
        ["restart until all is found, s", *[f"{result['restart']:.1f}" for result in results]],
    ]
    report.table(["", *names], rows)
    path = plot("search", [(name, result["pings"]["5 x heavy, 10 x light"].samples) for name, result in zip(names, results)],
                f"PING beside searches of {N:,} documents")
    if path:
        report.say(f"Plot: {path.name}")
    print(f"written to {report.path}")


if __name__ == "__main__":
    sys.exit(main())
