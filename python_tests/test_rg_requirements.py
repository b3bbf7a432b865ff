"""REQUIREMENTS: packages for scripts, two versions at once, kept and shipped; RG.PYDUMPREQS, RG.PYEXPORTREQ, RG.PYIMPORTREQ,
RG.PYDROPREQ."""

import shutil

import pytest
import redis

from functions import fcall, load, source
from gears import error, results
from helpers import LANES, PingWatch, as_map, config, in_lane, in_lua, in_multi, plain, wait_until
from wheels import wheel

#: How long pip may take on a machine that does other things too.
PATIENCE = 120

SCRIPT = "import greeting\nGB('ShardsIDReader').map(lambda shard: greeting.text).run()"
REGISTER = "import greeting\nGB('CommandReader').map(lambda words: greeting.text).register(trigger='greet')"


@pytest.fixture
def offline(tmp_path):
    """A folder with wheels: two versions of a package, one that depends on another."""
    folder = tmp_path / "wheels"
    for version in ("1.0", "2.0"):
        wheel(folder, "greeting", version, {"greeting": f"text = 'hello {version}'"})
    wheel(folder, "polite", "1.0", {"polite": "import greeting\ntext = greeting.text + ', please'"}, ["greeting==2.0"])
    wheel(folder, "clash", "1.0", {"clash": ""}, ["greeting==1.0"])
    return folder


@pytest.fixture
def start(new_server, offline):
    """Starts a server that takes packages from that folder."""

    def start(*words, **options):
        server = new_server(*words, **options)
        offline_only(server.client(), offline)
        return server

    return start


def offline_only(client, folder):
    client.execute_command("RG.CONFIGSET", "RequirementsWheelDir", str(folder))


def patient(server, **options):
    return server.client(socket_timeout=PATIENCE, **options)


def dump(client):
    return {entry["Name"]: entry for entry in map(as_map, client.execute_command("RG.PYDUMPREQS"))}


def folders(server):
    """What is left on the disk."""
    root = server.folder / "python-requirements"
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


def test_two_versions_at_the_same_time(start):
    client = patient(start())
    assert client.execute_command("RG.PYEXECUTE", REGISTER, "REQUIREMENTS", "greeting==1.0") == b"OK"
    assert results(client, SCRIPT, "REQUIREMENTS", "greeting==2.0") == [b"hello 2.0"]
    assert client.execute_command("RG.TRIGGER", "greet") == [b"hello 1.0"]
    # A script without requirements has none of them.
    assert "No module named 'greeting'" in error(client, SCRIPT)
    # Calls of one source share an interpreter, but not with other packages.
    for _ in range(2):
        for version in ("1.0", "2.0"):
            assert results(client, SCRIPT, "SCOPE", "script", "REQUIREMENTS", f"greeting=={version}") == [
                f"hello {version}".encode()]
    assert results(client, SCRIPT, "SCOPE", "script", "REQUIREMENTS", "polite", "greeting") == [b"hello 2.0"]

    def requirements_of_sessions():
        sessions = [as_map(entry) for entry in plain(client.execute_command("RG.PYDUMPSESSIONS"))]
        return [entry["requirements"] for entry in sessions]

    # The sessions of scripts that have ended go a moment after their replies.
    wait_until(lambda: requirements_of_sessions() == [["greeting==1.0"]])
    names = {name: (entry["Wheels"], entry["IsInstalled"], entry["RefCount"]) for name, entry in dump(client).items()}
    two, polite = "greeting-2.0-py3-none-any.whl", "polite-1.0-py3-none-any.whl"
    assert names == {
        "greeting": ([two], "no", 0), "greeting==1.0": (["greeting-1.0-py3-none-any.whl"], "yes", 1),
        "greeting==2.0": ([two], "yes", 0), "polite": ([two, polite], "no", 0),
    }


def test_shared_isolation(start):
    client = patient(start())
    assert results(client, SCRIPT, "ISOLATION", "shared", "REQUIREMENTS", "greeting==1.0") == [b"hello 1.0"]


def test_the_lanes(start):
    server = start()
    client = patient(server)
    words = ("RG.PYEXECUTE", SCRIPT, "REQUIREMENTS", "greeting==1.0")
    for refused in (in_multi(client, *words), in_lua(client, *words)):
        assert "when blocking is not allowed: its requirements have to be installed" in str(refused)
    with config(client, safemode="yes"):
        assert client.execute_command(*words) == [[b"hello 1.0"], []]
    # From now on it is like any other script.
    for lane in LANES:
        assert in_lane(server, lane, *words) == [[b"hello 1.0"], []]
    client.execute_command("RG.PYLOAD", SCRIPT)
    (sum,) = [client.execute_command("RG.PYLOAD", SCRIPT)]
    assert in_multi(client, "RG.PYEXECUTESHA", sum, "REQUIREMENTS", "greeting==1.0") == [[b"hello 1.0"], []]


def test_a_failure_leaves_nothing(start, offline):
    server = start()
    client = patient(server)

    def refused(*names, script=SCRIPT):
        return error(client, script, "ID", "mine", "REQUIREMENTS", *names)

    text = refused("greeting==3.0")
    assert text.startswith("Could not satisfy requirements (ERROR: No matching distribution found for greeting==3.0")
    assert "\n" not in text and "Interlock: pip:" in server.log()
    assert refused("greeting==1.0", "nobody-has-this").startswith("Could not satisfy requirements (ERROR:")
    # They are there, but not together.
    assert refused("polite", "clash").startswith("Could not satisfy requirements (ERROR:")
    (offline / "broken-1.0-py3-none-any.whl").write_bytes(b"not a wheel")
    assert refused("broken").startswith("Could not satisfy requirements (")
    for bad in ("--index-url=http://localhost", "", "a\nb", b"\xff"):
        assert refused(bad) == "a requirement must be what pip understands, such as 'name' or 'name==1.0'"
    assert dump(client) == {} and folders(server) == []
    # A script that fails later has its packages, but nothing else is left of it.
    assert "ZeroDivisionError" in refused("greeting==1.0", script="import greeting\n1 / 0")
    assert list(dump(client)) == ["greeting==1.0"]
    wait_until(lambda: client.execute_command("RG.PYDUMPSESSIONS") == [])
    assert client.execute_command("RG.PYEXECUTE", "x = 1", "REQUIREMENTS") == b"OK"


def test_others_go_on_while_packages_are_installed(start, offline):
    """One Python worker, and the other scripts do not wait for it."""
    server = start("PYTHON-WORKERS", 1)
    client = patient(server)
    slow = "import time\nfrom setuptools import setup\ntime.sleep(600)\nsetup(name='slow', version='1')"
    source = offline / "slow"
    source.mkdir()
    (source / "setup.py").write_text(slow)
    archive = shutil.make_archive(str(offline / "slow-1"), "gztar", offline, "slow")
    other = server.client(socket_timeout=None)
    connection = other.connection_pool.get_connection()
    # Straight from its file: what builds it never ends.
    connection.send_command("RG.PYEXECUTE", "x = 1", "REQUIREMENTS", archive)
    root = server.folder / "python-requirements"
    wait_until(lambda: list(root.glob(".new-*/log")), 30)
    with PingWatch(server) as watch:
        assert results(client, "GB('ShardsIDReader').run()") == [b"1"]
    assert watch.percentile(50) < 0.5
    # The client goes, and with it pip and what it has written.
    connection.disconnect()
    wait_until(lambda: folders(server) == [], 30)
    assert dump(client) == {}
    assert results(client, SCRIPT, "REQUIREMENTS", "greeting==1.0") == [b"hello 1.0"]


def test_force_reinstall(start, offline):
    client = patient(start())
    words = ("REQUIREMENTS", "greeting")
    assert results(client, SCRIPT, *words) == [b"hello 2.0"]
    wheel(offline, "greeting", "3.0", {"greeting": "text = 'hello 3.0'"})
    assert results(client, SCRIPT, *words) == [b"hello 2.0"]
    assert results(client, SCRIPT, "FORCE_REINSTALL_REQUIREMENTS", *words) == [b"hello 3.0"]
    assert results(client, SCRIPT, *words) == [b"hello 3.0"]
    shutil.rmtree(offline)
    assert error(client, SCRIPT, "FORCE_REINSTALL_REQUIREMENTS", *words).startswith("Could not satisfy requirements")
    assert results(client, SCRIPT, *words) == [b"hello 3.0"]


def test_export_import_drop(start, new_server, offline):
    client = patient(start())
    results(client, SCRIPT, "REQUIREMENTS", "polite", "greeting")
    metadata, chunks = client.execute_command("RG.PYEXPORTREQ", "polite")
    assert plain(metadata)[:4] == ["GearReqVersion", 2, "Name", "polite"] and len(metadata) == 18
    # Another server, which has no packages to take from.
    other = new_server()
    o = patient(other)
    offline_only(o, offline / "nowhere")
    assert o.execute_command("RG.PYIMPORTREQ", *chunks) == b"OK"
    assert results(o, SCRIPT.replace("greeting", "polite"), "REQUIREMENTS", "polite") == [b"hello 2.0, please"]
    for bad in ((b"x",), (chunks[0][:-1],), (chunks[0], b"more")):
        with pytest.raises(redis.ResponseError, match="^Bad serialization format on reading requirement$"):
            o.execute_command("RG.PYIMPORTREQ", *bad)
    o.execute_command("RG.PYEXECUTE", "GB().register('*')", "ID", "mine", "REQUIREMENTS", "polite")
    with pytest.raises(redis.ResponseError, match="^the requirement polite is needed by a session or a library$"):
        o.execute_command("RG.PYDROPREQ", "polite")
    o.execute_command("RG.PYEXECUTE", "GB().register('*')", "ID", "mine", "UPGRADE")
    wait_until(lambda: dump(o)["polite"]["RefCount"] == 0)
    assert o.execute_command("RG.PYDROPREQ", "polite") == b"OK"
    for command in ("RG.PYEXPORTREQ", "RG.PYDROPREQ"):
        with pytest.raises(redis.ResponseError, match="^requirement does not exists$"):
            o.execute_command(command, "polite")
    assert dump(o) == {}
    with pytest.raises(redis.ResponseError, match="is for replicas and the AOF"):
        o.execute_command("RG._REQUIREMENT", "x")


def test_libraries_of_functions(start, offline):
    server = start()
    client = patient(server)

    def library(number):
        return source(f"lib{number} requirement=greeting=={number}.0",
                      f"import greeting\n@rg.function\ndef greet{number}(keys, args):\n    return greeting.text")

    def refused(text):
        with pytest.raises(redis.ResponseError, match=r"Could not satisfy requirements \((ERROR|they are not installed)"):
            raise in_multi(client, "RG.FUNCTION", "LOAD", text)
        with pytest.raises(redis.ResponseError, match=r"Could not satisfy requirements \(ERROR"):
            load(client, text)

    refused(library(3))
    load(client, library(1))
    load(client, library(2))
    for _ in range(2):
        assert (fcall(client, "greet1"), fcall(client, "greet2")) == (b"hello 1.0", b"hello 2.0")
        assert dump(client)["greeting==1.0"]["RefCount"] == 1
        with pytest.raises(redis.ResponseError, match="needed by a session or a library"):
            client.execute_command("RG.PYDROPREQ", "greeting==1.0")
        shutil.rmtree(offline, ignore_errors=True)
        server.restart()
        client = patient(server)
        assert in_multi(client, "RG.FCALL", "greet2", 0) == b"hello 2.0"
    shutil.rmtree(server.folder / "python-requirements")
    server.restart()
    assert fcall(patient(server), "greet1") == b"hello 1.0"


@pytest.mark.parametrize("kept", ["rdb", "aof", "aof without preamble"])
@pytest.mark.parametrize("disk", ["there", "lost"])
def test_restart(start, offline, kept, disk):
    """Without the folder of wheels; the folder of packages may be lost too."""
    words = [] if kept == "rdb" else ["--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble",
                                      "no" if "without" in kept else "yes"]
    server = start(config=words)
    client = patient(server)
    client.execute_command("RG.PYEXECUTE", REGISTER, "REQUIREMENTS", "greeting==1.0")
    if kept == "rdb":
        client.save()
    shutil.rmtree(offline)
    server.kill()
    if disk == "lost":
        shutil.rmtree(server.folder / "python-requirements")
    server.start()
    client = patient(server)
    assert client.execute_command("RG.TRIGGER", "greet") == [b"hello 1.0"]
    assert results(client, SCRIPT, "REQUIREMENTS", "greeting==1.0") == [b"hello 1.0"]
    assert in_multi(client, "RG.PYEXECUTE", SCRIPT, "REQUIREMENTS", "greeting==1.0") == [[b"hello 1.0"], []]


def test_replica(start, new_server):
    primary, replica = start(), new_server()
    p, c = patient(primary), patient(replica)
    p.execute_command("RG.PYEXECUTE", REGISTER, "REQUIREMENTS", "greeting==1.0")
    c.replicaof("127.0.0.1", primary.port)
    wait_until(lambda: c.info("replication").get("master_link_status") == "up", 30)
    assert results(p, SCRIPT, "REQUIREMENTS", "greeting==2.0") == [b"hello 2.0"]
    wait_until(lambda: set(dump(c)) == {"greeting==1.0", "greeting==2.0"})
    assert error(c, SCRIPT, "REQUIREMENTS", "greeting").startswith("You can't write against a read only replica")
    p.execute_command("RG.PYDROPREQ", "greeting==2.0")
    wait_until(lambda: set(dump(c)) == {"greeting==1.0"})
    primary.kill()
    c.replicaof("NO", "ONE")
    assert c.execute_command("RG.TRIGGER", "greet") == [b"hello 1.0"]
