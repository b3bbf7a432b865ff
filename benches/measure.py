"""What do the benches share?

A server on a free port, PING latencies taken by a process of its own, load made by redis-benchmark,
tables and plots. Every number that the documentation quotes comes from here, and each bench prints the
commands it ran, so that it can be repeated.
"""

import contextlib
import datetime
import multiprocessing
import os
import pathlib
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python_tests"))

from servers import BINARY, MODULE, Server  # noqa: E402,F401  (used by the benches)

RESULTS = pathlib.Path(os.environ.get("RESULTS", ROOT / "bench-results"))
BENCHMARK = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")


def machine():
    """The line that says where the numbers come from."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    server = subprocess.run([BINARY, "--version"], capture_output=True, text=True).stdout.split(" sha=")[0].strip()
    load = os.getloadavg()[0]
    priority = f", at nice {os.nice(0)}" if os.nice(0) else ""
    return (
        f"{datetime.date.today()}, {os.cpu_count()} x {model}, load average {load:.2f} at the start{priority}; "
        f"{server}, module for Python {platform.python_version()}"
    )


def percentile(ordered, percent):
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


# -- PING from a process of its own ---------------------------------------------------------------


def _ping(port, pause, pipe):
    """Sends PING, waits for the answer, pauses, until told to stop; sends back (when, seconds) pairs."""
    samples = []
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pipe.send("ready")
        while not pipe.poll():
            at = time.perf_counter()
            link.sendall(b"PING\r\n")
            link.recv(64)
            samples.append((at, time.perf_counter() - at))
            time.sleep(pause)
    pipe.send(samples)


class Pings:
    """PING latencies during a block: once a millisecond, from a process that does nothing else."""

    def __init__(self, port, pause=0.001):
        self.ours, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=_ping, args=(port, pause, theirs), daemon=True)

    def __enter__(self):
        self.process.start()
        self.ours.recv()
        return self

    def __exit__(self, *_):
        self.ours.send("stop")
        self.samples = self.ours.recv()
        self.process.join()
        self.ordered = sorted(seconds for _, seconds in self.samples)

    def ms(self, percent):
        return percentile(self.ordered, percent) * 1000

    def row(self, name):
        return [name, len(self.ordered), f"{self.ms(50):.3f}", f"{self.ms(99):.3f}", f"{self.ordered[-1] * 1000:.3f}"]


PING_COLUMNS = ["PING, ms", "samples", "p50", "p99", "max"]

# -- load ----------------------------------------------------------------------------------------


def benchmark_words(port, *words):
    return [BENCHMARK, "-p", str(port), *[str(word) for word in words]]


@contextlib.contextmanager
def load(port, clients, *command):
    """Keeps `clients` connections busy with one command while the block runs."""
    words = benchmark_words(port, "-c", clients, "-n", 100_000_000, "-q", *command)
    print(f"  $ {shlex.join(words)}", flush=True)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        yield
        assert process.poll() is None, "the load generator ended early"
    finally:
        process.kill()
        process.wait()


def throughput(port, clients, requests, *command):
    """Calls per second and latencies of one command, by redis-benchmark."""
    words = benchmark_words(port, "-c", clients, "-n", requests, "--csv", *command)
    print(f"  $ {shlex.join(words)}", flush=True)
    out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    header, *rows = [line.replace('"', "").split(",") for line in out.splitlines() if line.startswith('"')]
    # The command itself may hold commas: the figures are the last columns.
    return [dict(zip(header[1:], row[-len(header) + 1:])) for row in rows]


def _longest_stop(seconds, pipe):
    longest, last = 0, time.perf_counter_ns()
    end = last + int(seconds * 1e9)
    while last < end:
        now = time.perf_counter_ns()
        longest = max(longest, now - last)
        last = now
    pipe.send(longest / 1e3)


def longest_stop(seconds):
    """For how many microseconds the machine itself stops a process that does nothing but read the clock, at most."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_longest_stop, args=(seconds, theirs), daemon=True)
    process.start()
    longest = ours.recv()
    process.join()
    return longest


# -- results -------------------------------------------------------------------------------------


def table(columns, rows):
    """A table in Markdown, its columns aligned."""
    cells = [[str(cell) for cell in row] for row in [columns, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


class Report:
    """What a bench found: printed at once, and kept in a file."""

    def __init__(self, name, command):
        RESULTS.mkdir(parents=True, exist_ok=True)
        self.path = RESULTS / f"{name}.md"
        self.path.write_text("")
        self.say(f"## {name}\n\n{machine()}\n\nRepeat: `{command}`\n")

    def say(self, text):
        print(text, flush=True)
        with self.path.open("a") as file:
            file.write(text + "\n")

    def table(self, columns, rows):
        self.say("\n" + table(columns, rows) + "\n")


def plot(name, series, title):
    """Latencies over time, one panel for each (name, samples) on one logarithmic scale."""
    try:
        import matplotlib
    except ImportError:
        print("  (no plot: matplotlib is not installed)")
        return None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(series), figsize=(4 * len(series), 4), sharey=True, squeeze=False)
    for panel, (label, samples) in zip(panels[0], series):
        start = samples[0][0]
        panel.scatter([at - start for at, _ in samples], [s * 1000 for _, s in samples], s=3, alpha=0.4)
        ordered = sorted(s for _, s in samples)
        panel.axhline(percentile(ordered, 99) * 1000, color="black", linewidth=0.8, linestyle="--")
        panel.set_title(f"{label}\np99 {percentile(ordered, 99) * 1000:.2f} ms")
        panel.set_xlabel("seconds")
        panel.set_yscale("log")
        panel.grid(True, which="major", alpha=0.3)
    panels[0][0].set_ylabel("PING, ms")
    figure.suptitle(title)
    figure.tight_layout()
    path = RESULTS / f"{name}.png"
    figure.savefig(path, dpi=110)
    return path
