"""Does a scan of the whole key space hold the server up?

1,000,000 keys (N= for another number). Four connections ask for IL.KEYS in a loop, then for KEYS;
meanwhile another client sends PING once a millisecond, and redis-benchmark measures GET and SET. What
the server's lock was held for comes from the module's own figures.

    make bench N=1000000            # or: .venv/bin/python benches/scan.py
"""

import os
import sys
import time

from measure import PING_COLUMNS, Pings, Report, Server, load, longest_stop, plot, throughput

N = int(os.environ.get("N", 1_000_000))
SECONDS = float(os.environ.get("SECONDS_EACH", 8))
CLIENTS = 4
HOLDS = (("slice_hold", ("p50", "p99", "p999", "max")), ("main_wait", ("p50", "p99", "max")))


def main():
    report = Report("scan", f"make bench N={N}")
    with Server() as server:
        client = server.client()
        client.execute_command("DEBUG", "POPULATE", N, "key", 16)
        # One key in ninety: the scan is what costs, not the reply. The second pattern returns all.
        phases = [
            ("idle", None),
            (f"{CLIENTS} x IL.KEYS key:99*", ("IL.KEYS", "key:99*")),
            (f"{CLIENTS} x IL.KEYS * (all {N:,})", ("IL.KEYS", "*")),
            (f"{CLIENTS} x KEYS key:99*", ("KEYS", "key:99*")),
        ]
        rows, holds, series = [], [], []
        for name, command in phases:
            client.execute_command("IL.STATS", "RESET")
            client.config_resetstat()
            at = time.perf_counter()
            if command is None:
                with Pings(server.port) as pings:
                    time.sleep(SECONDS)
            else:
                with load(server.port, CLIENTS, *command):
                    with Pings(server.port) as pings:
                        time.sleep(SECONDS)
            seconds = time.perf_counter() - at
            stats = client.info("commandstats")
            calls = next((v["calls"] for k, v in stats.items() if command and k.lower() == f"cmdstat_{command[0].lower()}"), 0)
            rows.append([*pings.row(name), f"{calls / seconds:.1f}" if command else ""])
            series.append((name, pings.samples))
            info = server.info_interlock()
            if command and command[0] == "IL.KEYS":
                holds.append([name, info["slices"]]
                             + [f"{float(info[f'{kind}_us_{part}']):.0f}"
                                for kind, parts in HOLDS for part in parts])
        report.table([*PING_COLUMNS, "scans/s"], rows)
        report.say("The server's lock, in microseconds: how long slices held it, and how long the main thread waited.")
        report.table(["", "slices", "hold p50", "hold p99", "hold p99.9", "hold max", "main wait p50", "p99", "max"], holds)
        report.say(f"For comparison: on the same machine, with an idle server, a process that did nothing but read the clock for "
                   f"{SECONDS:.0f} s was stopped for {longest_stop(SECONDS):,.0f} us at most. A slice that this happens to has "
                   "the lock so much longer.")
        path = plot("scan", series, f"PING beside scans of {N:,} keys")
        if path:
            report.say(f"Plot: {path.name}")

        requests = int(os.environ.get("REQUESTS", 100_000))
        rows = []
        for name, command, share in [("nothing", None, 1), (phases[1][0], phases[1][1], 1), (phases[3][0], phases[3][1], 200)]:
            def measure():
                found = throughput(server.port, 20, max(requests // share, 100), "-t", "get,set", "-d", 16)
                return [f"{float(row['rps']):,.0f}" for row in found]
            if command is None:
                figures = measure()
            else:
                with load(server.port, CLIENTS, *command):
                    figures = measure()
            rows.append([name, *figures])
        report.say("Throughput of 20 other connections, calls a second.")
        report.table(["beside", "SET", "GET"], rows)
    print(f"written to {report.path}")


if __name__ == "__main__":
    sys.exit(main())
