"""What may a script call? The names of its globals, execute, atomic, log, configGet, hashtag."""

import pytest

from gears import error, extra, results, script, value
from helpers import in_background, wait_until

NAMES = (
    "GearsBuilder GB execute atomic hashtag log configGet gearsConfigGet flat_error isInAtomicBlock isAsyncAllow "
    "redisgears"
).split()


@pytest.mark.parametrize("name", NAMES)
def test_names_every_script_sees(r, name):
    assert r.execute_command("RG.PYEXECUTE", name) == b"OK"


def test_the_name_of_the_main_module(r):
    assert value(r, "__name__") == "not_main"


def test_the_module_redisgears(r):
    setup = "import redisgears\nimport redisgears as rg"
    assert value(r, "redisgears.executeCommand('PING')", setup=setup) == "PONG"
    assert value(r, "str(redisgears.GearsError)", setup=setup) == "<class 'gears.error'>"
    for name, shown in [("GearsForceStopped", "gears.forcestopped"), ("GearsFlatError", "gears.flat_error")]:
        assert value(r, f"str(redisgears.{name})", setup=setup) == f"<class '{shown}'>"
    assert value(r, "redisgears.getMyHashTag()", setup=setup) == value(r, "hashtag()")


def test_there_is_no_leftover_of_another_script(r):
    assert r.execute_command("RG.PYEXECUTE", "left_over = 1") == b"OK"
    assert "NameError" in error(r, "left_over")


# -- execute ----------------------------------------------------------------------------------------


def test_execute_raises_the_server_s_error(r):
    r.set("text", "x")
    text = error(r, "execute('LPUSH', 'text', 'a')")
    assert "WRONGTYPE Operation against a key holding the wrong kind of value" in text
    assert "gears.error" in text
    setup = "import redisgears\ntry:\n    execute('NOSUCH')\nexcept redisgears.GearsError as e:\n    caught = str(e)"
    assert "unknown command" in value(r, "caught", setup=setup)


def test_execute_checks_its_arguments(r):
    assert "the given command must be a string" in error(r, "execute(1)")
    assert "the given command must be a string" in error(r, "execute(b'PING')")
    assert value(r, "execute()") == []


def test_execute_in_the_body_and_in_steps(r):
    source = script("execute('INCR', 'n')", "range(5)", ".foreach(lambda x: execute('INCR', 'n'))")
    results(r, source)
    assert r.get("n") == b"6"


def test_execute_from_a_thread_of_the_script(r):
    setup = (
        "import threading\nfound = []\n"
        "t = threading.Thread(target=lambda: found.append(execute('PING')))\nt.start()\nt.join()"
    )
    assert value(r, "found", setup=setup) == ["PONG"]


def test_execute_works_on_the_selected_database_zero(r):
    r.set("k", "v")
    assert value(r, "execute('GET', 'k')") == "v"


# -- atomic -------------------------------------------------------------------------------------------


def test_atomic_lets_nobody_in(server, r):
    """A reader that asks again and again never sees the two keys differ."""
    r.mset({"a": 0, "b": 0})
    source = (
        "for _ in range(300):\n    with atomic():\n        n = execute('INCR', 'a')\n        execute('INCR', 'b')\n"
    )
    other = server.client()
    with in_background(lambda: other.execute_command("RG.PYEXECUTE", source)) as outcome:
        while "value" not in outcome and "error" not in outcome:
            a, b = r.mget("a", "b")
            assert a == b
    assert outcome["value"] == b"OK" and r.mget("a", "b") == [b"300", b"300"]


def test_is_in_atomic_block(r):
    setup = "states = [isInAtomicBlock()]\nwith atomic():\n    states.append(isInAtomicBlock())\nstates.append(isInAtomicBlock())"
    assert value(r, "[bool(s) for s in states]", setup=setup) == [False, True, False]


def test_atomic_does_not_nest(r):
    assert "Already inside an atomic block" in error(r, "with atomic():\n    with atomic():\n        pass")
    assert r.ping()


def test_atomic_is_left_by_an_exception(r):
    assert "inside" in error(r, "with atomic():\n    raise ValueError('inside')")
    assert r.set("k", "v")


def test_atomic_is_left_when_the_script_is_stopped(r):
    text = error(r, "with atomic():\n    execute('SET', 'k', 1)\n    while True: pass", "TIMEOUT", "200")
    assert text
    assert r.get("k") == b"1"
    assert r.set("k", "v")


def test_what_atomic_wrote_is_one_transaction_for_replicas(new_server):
    server = new_server()
    client = server.client()
    replica = new_server()
    replica.client().execute_command("REPLICAOF", "127.0.0.1", str(server.port))
    wait_until(lambda: client.info("replication")["connected_slaves"] == 1)
    wait_until(lambda: client.info("replication").get("slave0", {}).get("state") == "online")
    client.execute_command("RG.PYEXECUTE", "with atomic():\n    execute('SET', 'a', 1)\n    execute('SET', 'b', 1)")
    other = replica.client()
    wait_until(lambda: other.mget("a", "b") == [b"1", b"1"])


# -- log ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["log('{}')", "log('{}', level='warning')", "log('warning', '{}')"])
def test_log_writes_to_the_server_s_log(server, r, call):
    mark = f"mark-{abs(hash(call))}"
    r.execute_command("RG.PYEXECUTE", call.format(mark))
    wait_until(lambda: f"GEARS: {mark}" in server.log())


def test_log_checks_its_arguments(r):
    assert "Log message must be a string" in error(r, "log(1)")
    assert "Log level should be one of the following : debug,verbose,notice,warning" in error(
        r, "log('x', level='loud')"
    )


@pytest.mark.parametrize("text", ["%n%n%s%s", "a\\x00b", "line\\nline", "ž\\ud800", "x" * 100000])
def test_any_text_may_be_logged(server, r, text):
    assert r.execute_command("RG.PYEXECUTE", f"log('begin-{text}')") == b"OK"
    wait_until(lambda: "begin-" in server.log())
    assert r.ping()


# -- configuration ----------------------------------------------------------------------------------------


def test_config_get_reads_the_extra_dictionary_only(r):
    extra(r, "my_key", "my value")
    assert value(r, "configGet('my_key')") == "my value"
    assert value(r, "configGet('never_set')") is None
    assert value(r, "configGet('MaxExecutions')") is None
    assert value(r, "gearsConfigGet('my_key')") == "my value"
    assert value(r, "gearsConfigGet('never_set', 'default')") == "default"
    assert value(r, "gearsConfigGet('never_set')") is None


def test_config_get_checks_its_arguments(r):
    assert "get_config key must be a string" in error(r, "configGet(1)")


def test_hashtag_of_a_standalone_server(r):
    assert value(r, "hashtag()") == "06S"


def test_flat_error_is_its_text(r):
    source = script(steps=".map(lambda r: flat_error('exactly this'))")
    assert r.execute_command("RG.PYEXECUTE", source) == [[], [b"exactly this"]]
    assert error(r, "flat_error('exactly this')") == "exactly this"
