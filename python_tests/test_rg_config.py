"""RG.CONFIGGET, RG.CONFIGSET, RG.PYSTATS, RG.PYDUMPSESSIONS, RG.PYDUMPINTERPRETERS."""

import pytest
import redis

from gears import background, interpreters, results, script, value, wait_done
from helpers import as_map, config, plain, wait_until

# -- RG.CONFIGGET, RG.CONFIGSET -------------------------------------------------------------------


@pytest.mark.parametrize(
    "key, default",
    [
        ("MaxExecutions", 1000),
        ("MaxExecutionsPerRegistration", 100),
        ("ProfileExecutions", 0),
        ("ExecutionMaxIdleTime", 5000),
        ("SendMsgRetries", 3),
        ("PythonAttemptTraceback", 1),
    ],
)
def test_defaults(r, r3, key, default):
    for client in (r, r3):
        assert client.execute_command("RG.CONFIGGET", key) == [default]


def test_several_keys(r):
    assert r.execute_command("RG.CONFIGGET", "MaxExecutions", "ProfileExecutions") == [1000, 0]
    assert r.execute_command("RG.CONFIGGET") == []


def test_unknown_keys_are_errors_inside_the_array(r):
    known, unknown, wrong_case = r.execute_command("RG.CONFIGGET", "MaxExecutions", "NoSuchKey", "maxexecutions")
    assert known == 1000
    assert str(plain(unknown)) == "(error) Unsupported config parameter: NoSuchKey"
    assert str(plain(wrong_case)).startswith("(error)")


def test_set_and_get(r):
    assert r.execute_command("RG.CONFIGSET", "MaxExecutions", 10) == [b"OK"]
    assert r.execute_command("RG.CONFIGGET", "MaxExecutions") == [10]
    # Names in any case, here.
    assert r.execute_command("RG.CONFIGSET", "maxexecutions", 999, "MAXEXECUTIONS", 1000) == [b"OK", b"OK"]
    assert r.execute_command("RG.CONFIGGET", "MaxExecutions") == [1000]


def test_extra_keys(r):
    saved = b"OK - value was saved in extra config dictionary"
    assert r.execute_command("RG.CONFIGSET", "my_own_key", "some value") == [saved]
    assert r.execute_command("RG.CONFIGGET", "my_own_key") == [b"some value"]
    assert value(r, "configGet('my_own_key')") == "some value"
    assert r.execute_command("RG.CONFIGSET", "PythonAttemptTraceback", 1) == [saved]


def test_set_errors_are_inside_the_array(r):
    reply = r.execute_command("RG.CONFIGSET", "ExecutionThreads", 5, "MaxExecutions", 1000)
    assert str(plain(reply[0])) == "(error) Config value ExecutionThreads not modifiable at runtime"
    assert reply[1] == b"OK"
    (reply,) = r.execute_command("RG.CONFIGSET", "my_key")
    assert str(plain(reply)) == "(error) Value was not given to my_key"
    (reply,) = r.execute_command("RG.CONFIGSET", "MaxExecutions", "many")
    assert str(plain(reply)) == "(error) Failed setting config value MaxExecutions"
    assert r.execute_command("RG.CONFIGGET", "MaxExecutions") == [1000]


@pytest.mark.parametrize(
    "key", ["ExecutionMaxIdleTime", "SendMsgRetries"]
)
def test_keys_without_effect_cannot_be_set(r, key):
    before = r.execute_command("RG.CONFIGGET", key)
    (reply,) = r.execute_command("RG.CONFIGSET", key, 7)
    assert str(plain(reply)) == f"(error) Config value {key} not modifiable at runtime"
    assert r.execute_command("RG.CONFIGGET", key) == before


PYTHON = {
    "PythonAttemptTraceback": (1, "0", 0, "2"),
    "PythonInstallReqMaxIdleTime": (30_000, "5000", 5000, "0"),
    "PythonInstallationDir": (b"", "/tmp/a b", b"/tmp/a b", "a\nb"),
    "RequirementsIndexUrl": (b"", "https://example.com/simple", b"https://example.com/simple", b"\x00"),
    "RequirementsWheelDir": (b"", "/wheels", b"/wheels", "a\tb"),
}


@pytest.mark.parametrize("key", PYTHON)
def test_python_keys(new_server, key):
    client = new_server().client()
    default, new, read, bad = PYTHON[key]
    assert client.execute_command("RG.CONFIGGET", key) == [default]
    assert value(client, f"configGet('{key}')") is None
    assert client.execute_command("RG.CONFIGSET", key, new) == [b"OK - value was saved in extra config dictionary"]
    (refused,) = client.execute_command("RG.CONFIGSET", key, bad)
    assert str(plain(refused)).startswith(f"Failed setting config value for key '{key}' with value '")
    assert client.execute_command("RG.CONFIGGET", key) == [read]
    assert value(client, f"configGet('{key}')") == new
    # Here the case matters: any other one is a key of the script's own.
    assert client.execute_command("RG.CONFIGGET", key.lower())[0].args[0].startswith("(error) Unsupported")


def test_load_arguments_of_redisgears_and_values_of_scripts(new_server):
    words = ["MaxExecutionsPerRegistration", 7, "GEARS-CONFIG", "my_key", "mine", "gears-config", "PythonAttemptTraceback", 0]
    client = new_server(*words).client()
    wanted = ["MaxExecutionsPerRegistration", "my_key", "PythonAttemptTraceback"]
    assert client.execute_command("RG.CONFIGGET", *wanted) == [7, b"mine", 0]
    assert plain(client.config_get("search.max-executions-per-registration")) == {
        "search.max-executions-per-registration": "7"}
    assert value(client, "configGet('my_key')") == "mine"


def test_bad_load_arguments(refused):
    assert "bad GEARS-CONFIG: (error) Failed setting config value MaxExecutions" in refused("GEARS-CONFIG", "MaxExecutions", "x")


def test_config_rewrite_keeps_them(new_server, tmp_path):
    path = tmp_path / "server.conf"
    path.write_text("# empty\n")
    server = new_server(config_file=path)
    client = server.client()
    client.execute_command("RG.CONFIGSET", "maxexecutions", 55, "RequirementsWheelDir", "/a folder", "ProfileExecutions", 3)
    client.config_set("search.requirements-index-url", "https://example.com")
    assert client.execute_command("RG.CONFIGGET", "RequirementsIndexUrl") == [b"https://example.com"]
    with pytest.raises(redis.ResponseError, match="expected a text without line breaks"):
        client.config_set("search.requirements-index-url", "a\nb")
    client.execute_command("CONFIG", "REWRITE")
    server.restart(save=False)
    client = server.client()
    wanted = ["MaxExecutions", "RequirementsWheelDir", "ProfileExecutions", "RequirementsIndexUrl"]
    assert client.execute_command("RG.CONFIGGET", *wanted) == [55, b"/a folder", 1, b"https://example.com"]
    assert {name: text for name, text in plain(client.config_get("search.*")).items() if "requirements-" in name} == {
        "search.requirements-wheel-dir": "/a folder", "search.requirements-index-url": "https://example.com"}


def test_less_than_nothing_is_nothing(r):
    for key, default in ("MaxExecutions", 1000), ("MaxExecutionsPerRegistration", 100):
        assert r.execute_command("RG.CONFIGSET", key, -5) == [b"OK"]
        assert r.execute_command("RG.CONFIGGET", key) == [0]
        r.execute_command("RG.CONFIGSET", key, default)


def test_binary_values(r):
    r.execute_command("RG.CONFIGSET", "binary_key", b"\x00\xff")
    assert r.execute_command("RG.CONFIGGET", "binary_key") == [b"\x00\xff"]


# -- RG.PYSTATS -----------------------------------------------------------------------------------


def test_stats(r, r3):
    for client in (r, r3):
        reply = client.execute_command("RG.PYSTATS")
        stats = as_map(reply)
        assert list(stats) == ["TotalAllocated", "PeakAllocated", "CurrAllocated"]
        assert 0 < stats["CurrAllocated"] <= stats["PeakAllocated"] <= stats["TotalAllocated"]
    assert len(r.execute_command("RG.PYSTATS")) == 6


def test_stats_follow_what_scripts_hold(r):
    before = as_map(r.execute_command("RG.PYSTATS"))
    results(r, script(steps=".map(lambda r: len(bytearray(64 << 20)))"))

    def after():
        return as_map(r.execute_command("RG.PYSTATS"))

    # An interpreter that is just ending is counted again when it has ended.
    wait_until(lambda: after()["TotalAllocated"] - before["TotalAllocated"] >= 64 << 20)
    assert after()["PeakAllocated"] >= before["PeakAllocated"]


# -- RG.PYDUMPSESSIONS ----------------------------------------------------------------------------


def test_no_registration_no_session(r):
    r.execute_command("RG.PYEXECUTE", "1", "ID", "nothing")
    assert r.execute_command("RG.PYDUMPSESSIONS") == []
    assert r.execute_command("RG.PYDUMPSESSIONS", "VERBOSE") == []
    assert r.execute_command("RG.PYDUMPSESSIONS", "DEAD") == []


def test_a_thread_that_is_left_behind_keeps_no_session(r):
    left = "import threading, time\nthreading.Thread(target=time.sleep, args=(5,)).start()"
    for _ in range(3):
        assert r.execute_command("RG.PYEXECUTE", left, "ID", "left") == b"OK"
        assert r.execute_command("RG.PYDUMPSESSIONS") == []


def test_dump_sessions_words(r):
    assert r.execute_command("RG.PYDUMPSESSIONS", "SESSIONS") == []
    assert r.execute_command("RG.PYDUMPSESSIONS", "SESSIONS", "a", "b") == [
        b"Session a does not exists",
        b"Session b does not exists",
    ]
    with pytest.raises(redis.ResponseError) as refused:
        r.execute_command("RG.PYDUMPSESSIONS", "NOSUCH")
    assert str(refused.value) == "Unknown option NOSUCH"


# -- RG.PYDUMPINTERPRETERS ------------------------------------------------------------------------

FIELDS = {"id", "isolation", "gil", "scope", "state", "owners", "runs", "memory", "age"}


def test_dump_interpreters(r, r3, own_gil):
    execution = background(r, script())
    wait_done(r, execution)
    for client in (r, r3):
        found = [as_map(entry) for entry in plain(client.execute_command("RG.PYDUMPINTERPRETERS"))]
        assert found
        for entry in found:
            assert {name.split("_")[0] for name in entry} >= FIELDS, entry
            assert entry["isolation"] in ("subinterpreter", "shared")
            if entry["isolation"] == "subinterpreter":
                assert entry["gil"] == ("own" if own_gil else "shared")
    r.execute_command("RG.DROPEXECUTION", execution)


def test_the_warm_pool_has_the_size_that_was_asked_for(r):
    def warm():
        return sum(entry["state"] == "warm" for entry in interpreters(r))

    for size in (2, 6, 0, 4):
        with config(r, warm_interpreters=size):
            wait_until(lambda size=size: warm() == size, 20, what=f"{size} warm interpreters")
            assert value(r, "1") == 1
            wait_until(lambda size=size: warm() == size, 20)


def test_info_has_the_python_fields(server, r):
    assert value(r, "1") == 1
    info = server.info_interlock()
    for field in ("python_running", "python_queued"):
        assert field in info
