"""The tour: what the module does, on a stock server, in about a minute.

It starts a server on a free port, loads real text (the Python standard library's own sources: every
machine that runs this has them), and shows Python functions, a concurrent scan and searches ([`demo_search`])
while another client keeps asking for PING. It prints what it does, and exits with 0 only if everything was as it says.
"""

import pathlib
import sys
import sysconfig
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "python_tests"), str(ROOT / "benches"), str(ROOT / "scripts")]

import demo_search  # noqa: E402
import redis  # noqa: E402
from measure import Pings  # noqa: E402
from servers import BAD_SIGNS, Server  # noqa: E402

WANTED_KEYS = 320_000


def title(text):
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def show(command, reply, limit=300):
    text = repr(reply)
    print(f"  > {command}\n    {text if len(text) <= limit else text[:limit] + f'... ({len(text)} characters)'}", flush=True)


def run(client, script, *options):
    """RG.PYEXECUTE with its script shown."""
    for number, line in enumerate(script.strip().splitlines()):
        print(f"  {'> RG.PYEXECUTE' if number == 0 else '              '} {line}")
    at = time.perf_counter()
    try:
        reply = client.execute_command("RG.PYEXECUTE", script, *options)
    except redis.ResponseError as error:
        reply = f"(error) {error}"
    print(f"    {short(reply)}   [{(time.perf_counter() - at) * 1000:.1f} ms]", flush=True)
    return reply


def short(reply, limit=400):
    text = repr(reply)
    return text if len(text) <= limit else text[:limit] + "..."


class Probe(Pings):
    """PING from a process of its own, once a millisecond, while something else happens."""

    def __init__(self, server):
        super().__init__(server.port)

    def __str__(self):
        return (f"{len(self.ordered):5d} PINGs: p50 {self.ms(50):7.3f} ms   p99 {self.ms(99):7.3f} ms   "
                f"max {self.ordered[-1] * 1000:8.3f} ms")


def source_lines():
    """(module, line number, text) of the standard library's sources."""
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    files = [path for path in sorted(root.rglob("*.py")) if "site-packages" not in path.parts]
    for path in files:
        name = str(path.relative_to(root))
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if line.strip():
                yield name, number, line.strip()


def load(client):
    count = files = 0
    last = None
    pipe = client.pipeline(transaction=False)
    for name, number, line in source_lines():
        if name != last:
            if count >= WANTED_KEYS:
                break
            last = name
            files += 1
            pipe.hset(f"file:{name}", mapping={"name": name, "folder": name.split("/")[0] if "/" in name else "."})
        pipe.set(f"line:{name}:{number}", line)
        count += 1
        if count % 5000 == 0:
            pipe.execute()
    pipe.execute()
    return files, count


def main():
    title("A stock server with the module")
    with Server(config=["--hz", "10"]) as server:
        r = server.client()
        r.ping()
        info = r.info("server")
        version = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
        print(f"  {version} on port {server.port}, module {server.module}")
        show("MODULE LIST", r.execute_command("MODULE", "LIST"))

        title(f"Real data: the sources of Python's standard library in {sysconfig.get_paths()['stdlib']}")
        at = time.perf_counter()
        files, lines = load(r)
        print(f"  {files} files as hashes, {lines} lines as strings: {r.dbsize()} keys in {time.perf_counter() - at:.1f} s")
        assert r.dbsize() > 100_000

        title("Python functions inside the server")
        run(r, "GB('KeysReader').filter(lambda x: x['value'].startswith('import ')).count().run('line:json/*')")
        run(r, "GB('KeysReader').countby(lambda x: x['value']['folder']).filter(lambda x: x['value'] > 25)"
            ".map(lambda x: '{key}: {value} files'.format(**x)).sort().run('file:*')")
        with Probe(server) as probe:
            reply = run(r, "GB('KeysReader').map(lambda x: len(x['value'])).accumulate(lambda a, x: (a or 0) + x).run('line:*')")
        print(f"    meanwhile {probe}")
        assert int(reply[0][0]) > 1_000_000, reply

        title("Two scripts with the same names, at the same time, each in an interpreter of its own")
        results = {}

        def isolated(who):
            script = f"""
import json, time
json.dumps = lambda value: 'patched by {who}'
counter = '{who}'
time.sleep(0.3)
def records():
    yield counter + ': ' + json.dumps(1)
GB('PythonReader').run(records)
"""
            results[who] = server.client().execute_command("RG.PYEXECUTE", script)

        threads = [threading.Thread(target=isolated, args=(who,)) for who in ("alice", "bob")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for who, reply in sorted(results.items()):
            print(f"  {who} sees {reply[0]}")
            assert reply[0] == [f"{who}: patched by {who}".encode()]
        run(r, "import json\ndef records():\n    yield json.dumps({'nobody': 'patched me'})\nGB('PythonReader').run(records)")

        title("An endless script is stopped, and nobody else notices")
        with Probe(server) as probe:
            run(r, "while True: pass", "TIMEOUT", "500")
        print(f"    meanwhile {probe}")
        ident = run(r, "def records():\n    while True:\n        yield 1\nGB('PythonReader').count().run(records)", "UNBLOCKING")
        time.sleep(0.2)
        show(f"RG.ABORTEXECUTION {ident.decode()}", r.execute_command("RG.ABORTEXECUTION", ident))
        show(f"RG.GETRESULTSBLOCKING {ident.decode()}", r.execute_command("RG.GETRESULTSBLOCKING", ident))

        title(f"IL.KEYS beside PING: {r.dbsize()} keys")
        with Probe(server) as idle:
            time.sleep(2)
        r.execute_command("IL.STATS", "RESET")
        # A pattern that few keys match: the scan is what costs, not this client's reading of the reply.
        counts = {}
        probes = {}
        for command in ("IL.KEYS", "KEYS"):
            counts[command] = 0
            with Probe(server) as probes[command]:
                until = time.perf_counter() + 3
                while time.perf_counter() < until:
                    r.execute_command(command, "line:json/*")
                    counts[command] += 1
            if command == "IL.KEYS":
                holds = server.info_interlock()
        same = sorted(r.execute_command("IL.KEYS", "line:*")) == sorted(r.execute_command("KEYS", "line:*"))
        print(f"  idle server    {idle}")
        for command, probe in probes.items():
            print(f"  during {command:7s} {probe}   ({counts[command]} scans)")
        print(f"  IL.KEYS line:* returns the same set as KEYS: {same}")
        print(f"  longest hold of the server's lock: {holds['slice_hold_us_max']:.0f} us in {holds['slices']} slices")
        assert same

        demo_search.tour(server, title, Probe)

        title("INFO interlock")
        for name, value in server.info_interlock().items():
            print(f"  {name}: {value}")

        title("SHUTDOWN")
        try:
            r.execute_command("SHUTDOWN", "NOSAVE")
        except redis.ConnectionError:
            pass
        code = server.wait(20)
        print(f"  the server ended with exit code {code}")
        log = server.log()
        assert code == 0 and not any(sign in log for sign in BAD_SIGNS), log
    print("\nDone.")


if __name__ == "__main__":
    main()
