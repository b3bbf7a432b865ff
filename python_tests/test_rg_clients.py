"""The client libraries of RedisGears 1.x, which ask for the redis-py of 2021: each case in a Python of its own."""

import pathlib
import subprocess
import sys
import sysconfig

import pytest

from registrations import unregister_all

FOLDER = pathlib.Path(sys.prefix) / "old-clients"
PATHS = [str(FOLDER), sysconfig.get_path("purelib")]

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="gearsclient and redgrease are not installed")

#: What both libraries would have installed on the server: themselves. A script finds them by its path.
SETUP = f"""
import sys
import redis

class Client(redis.Redis):
    def execute_command(self, *words, **options):
        if words[0] == "RG.PYEXECUTE":
            script = words[1] if isinstance(words[1], str) else words[1].decode()
            path = "import sys\\nfor folder in {PATHS!r}:\\n    folder in sys.path or sys.path.append(folder)\\n"
            words = (words[0], path + script) + words[2:]
            if "REQUIREMENTS" in words:
                words = words[: words.index("REQUIREMENTS")]
        return super().execute_command(*words, **options)

client = Client(port=int(sys.argv[1]))
"""

GEARSCLIENT = """
from gearsclient import GearsRemoteBuilder, execute
def build(reader="KeysReader"):
    return GearsRemoteBuilder(reader, r=client, addClientToRequirements=False, requirements=[])
"""

REDGREASE = """
import redgrease
from redgrease import CommandReader, KeysReader
gears = redgrease.Gears(client)
def run(function):
    return gears.pyexecute(function, enforce_redgrease=False)
"""


@pytest.mark.parametrize(
    "library, expression, expected",
    [
        (GEARSCLIENT, "build().map(lambda r: int(r['value'])).sort().run('k*')", ([0, 1, 2], [])),
        (GEARSCLIENT, "build().count().run('k*')", ([3], [])),
        (GEARSCLIENT, "build().map(lambda r: execute('GET', r['key'])).distinct().sort().run('k*')", (["0", "1", "2"], [])),
        (GEARSCLIENT, "build('CommandReader').map(lambda w: w[1]).register(trigger='t'), client.execute_command('RG.TRIGGER', 't', 'x')",
         (b"OK", [b"x"])),
        (REDGREASE, "sorted(gears.pyexecute(\"GB().map(lambda r: r['key']).run('k*')\"))", [b"k0", b"k1", b"k2"]),
        (REDGREASE, "sorted(run(KeysReader().keys().map(str).run('k*')))", ["k0", "k1", "k2"]),
        (REDGREASE, "bool(run(CommandReader().args().map(lambda a: a[0].upper()).register(trigger='up'))), str(gears.trigger('up', 'x'))",
         (True, "X")),
        (REDGREASE, "gears.config.MaxExecutions, gears.config.get('ProfileExecutions')", (1000, {"ProfileExecutions": False})),
        (REDGREASE, "gears.dumpexecutions(), gears.pystats().CurrAllocated > 0", ([], True)),
        (REDGREASE, "gears.infocluster(), gears.refreshcluster()", (None, True)),
    ],
)
def test_what_they_send_works(server, r, library, expression, expected):
    if library is GEARSCLIENT and sys.version_info >= (3, 12):
        pytest.skip("gearsclient imports distutils, which Python has no more since 3.12")
    for n in range(3):
        r.set(f"k{n}", n)
    code = f"{SETUP}{library}\nfound = ({expression})\nassert found == {expected!r} or str(found) == str({expected!r}), found\n"
    port = str(r.connection_pool.connection_kwargs["port"])
    environment = {"PYTHONPATH": str(FOLDER), "PATH": "/usr/bin:/bin"}
    try:
        done = subprocess.run([sys.executable, "-c", code, port], env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    finally:
        unregister_all(r)
