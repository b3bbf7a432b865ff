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
