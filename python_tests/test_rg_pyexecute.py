"""RG.PYEXECUTE: its options, what it refuses, what it answers."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from gears import (
    ID,
    at_most,
    background,
    error,
    executions,
    interpreters,
    results,
    run,
    script,
    value,
    values,
    wait_done,
    wait_freed,
)
from helpers import in_background, wait_until


def refusal(client, *words):
    with pytest.raises(redis.ResponseError) as refused:
        client.execute_command("RG.PYEXECUTE", *words)
    return str(refused.value)


# -- arguments ------------------------------------------------------------------------------------


def test_it_needs_a_script(r):
    assert "wrong number of arguments" in refusal(r)


@pytest.mark.parametrize("word", ["ID", "DESCRIPTION", "REPLACE_WITH"])
def test_an_option_without_its_value(r, word):
    assert refusal(r, "1", word) == f"{word} is missing"
    assert refusal(r, "1", "UNBLOCKING", word.lower()) == f"{word} is missing"


@pytest.mark.parametrize("word", ["ISOLATION", "SCOPE", "TIMEOUT", "MAXMEMORY"])
def test_an_own_option_without_its_value(r, word):
    assert word in refusal(r, "1", word)


@pytest.mark.parametrize(
    "words",
    [
        ("ISOLATION", "process"),
        ("ISOLATION", ""),
        ("SCOPE", "server"),
        ("TIMEOUT", "soon"),
        ("TIMEOUT", "-1"),
        ("TIMEOUT", "1.5"),
        ("MAXMEMORY", "much"),
        ("MAXMEMORY", "-1"),
    ],
)
def test_bad_values_are_named(r, words):
    text = refusal(r, "1", *words)
    assert words[0] in text and words[1] in text


@pytest.mark.parametrize("name", ["a b", "a_b!", "ž", "x\n", "a.b"])
def test_ids_are_checked(r, name):
    assert refusal(r, "1", "ID", name) == ("ID must be compose of: ['A'-'Z' | 'a'-'z' | '0' - '9' | '-' | '_']")


def test_good_ids(r):
    for name in ("a", "A-b_9", "x" * 200):
        assert r.execute_command("RG.PYEXECUTE", "1", "ID", name) == b"OK"


def test_the_first_unknown_word_is_named(r):
    assert refusal(r, "1", "NOSUCH", "OTHER") == "Unknown arguments were given: NOSUCH"
    assert refusal(r, "1", "UNBLOCKING", "x", "ID") == "Unknown arguments were given: x"


def test_replacing_a_session_that_is_not_there(r):
    assert refusal(r, "1", "REPLACE_WITH", "nobody") == "Can not replace with nobody, session does not exists."


def test_option_words_in_any_case_and_order_the_last_wins(r):
    words = ("upgrade", "Description", "first", "id", "one", "iD", "two", "DESCRIPTION", "last", "timeout", "5000")
    assert r.execute_command("RG.PYEXECUTE", "1", *words) == b"OK"
    assert r.execute_command("RG.PYEXECUTE", "1", "REQUIREMENTS") == b"OK"
    assert r.execute_command("RG.PYEXECUTE", "1", "FORCE_REINSTALL_REQUIREMENTS", "UPGRADE") == b"OK"


def test_what_is_refused_runs_nothing(r):
    refusal(r, "execute('SET', 'touched', '1')", "NOSUCH")
    assert not r.exists("touched")


# -- replies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "source", ["1", "", "\n", "# nothing", "x = 1\ndef f():\n    return x", "GB().map(lambda r: r)"]
)
def test_a_script_without_run_answers_ok(r, r3, source):
    assert r.execute_command("RG.PYEXECUTE", source) == b"OK"
    assert r3.execute_command("RG.PYEXECUTE", source) == b"OK"


def test_a_run_answers_results_and_errors(r, r3):
    source = script(records="['a', 'b']")
    for client in (r, r3):
        assert client.execute_command("RG.PYEXECUTE", source) == [[b"a", b"b"], []]
    source = script(records="[1, 0]", steps=".map(lambda x: 1 // x)")
    for client in (r, r3):
        found, errors = run(client, source)
        assert found == [b"1"]
        # An error is a bulk string, not an error reply.
        assert isinstance(errors[0], bytes) and b"ZeroDivisionError" in errors[0]


def test_a_waited_for_execution_is_not_listed_afterwards(r):
    before = executions(r)
    run(r, script())
    assert executions(r) == before


def test_unblocking_answers_an_id(r, r3):
    for client in (r, r3):
        execution = background(client, script(records="[1, 2]"))
        wait_done(client, execution)
        assert client.execute_command("RG.GETRESULTS", execution) == [[b"1", b"2"], []]
        client.execute_command("RG.DROPEXECUTION", execution)


def test_unblocking_without_a_run_answers_ok(r):
    assert r.execute_command("RG.PYEXECUTE", "1", "UNBLOCKING") == b"OK"


def test_ids_of_a_standalone_server_start_with_zeros(r):
    execution = background(r, script())
    assert ID.match(execution) and execution.startswith("0" * 40 + "-")
    wait_done(r, execution)
    r.execute_command("RG.DROPEXECUTION", execution)


def test_ids_count_up(r):
    ids = [background(r, script()) for _ in range(3)]
    numbers = [int(execution.split("-")[1]) for execution in ids]
    assert numbers == sorted(numbers) and len(set(numbers)) == 3
    for execution in ids:
        wait_done(r, execution)
        r.execute_command("RG.DROPEXECUTION", execution)


def test_two_runs_in_one_script(r):
    text = error(r, "GB('ShardsIDReader').run()\nGB('ShardsIDReader').run()")
    assert "Can not run more then 1 executions in a single script" in text
    assert executions(r) == {}


def test_an_exception_after_run_drops_the_execution(r):
    text = error(r, script(steps=".foreach(lambda r: execute('SET', 'ran', 1))") + "raise ValueError('after')")
    assert "after" in text
    assert executions(r) == {}
    assert not r.exists("ran")


def test_the_plan_runs_after_the_script_with_its_globals(r):
    source = "x = 1\ndef f(r):\n    return x\n" + script(steps=".map(f)") + "x = 2\n"
    assert results(r, source) == [b"2"]


def test_a_step_may_create_executions(r):
    """More than one, too; they are not waited for."""
    source = script(
        setup="def inner(r):\n    for _ in range(2):\n        GB('ShardsIDReader').foreach(lambda s: execute('INCR', 'n')).run()\n    return r",
        steps=".map(inner)",
    )
    assert results(r, source) == [b"1"]
    wait_until(lambda: r.get("n") == b"2")
    wait_until(lambda: executions(r) == {})


# -- own options ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["subinterpreter", "shared", "SHARED"])
def test_isolation_by_call(r, mode):
    assert values(r, "[1]", "ISOLATION", mode) == [1]


def test_isolation_shows_in_the_list_of_interpreters(server, r):
    for mode in ("subinterpreter", "shared"):
        source = script(records="[execute('GET', 'x')]", setup="import time\ntime.sleep(0.5)")
        other = server.client()
        with in_background(lambda mode=mode: results(other, source, "ISOLATION", mode)):
            wait_until(
                lambda mode=mode: [
                    entry for entry in interpreters(r) if entry["isolation"] == mode and int(entry["owners"]) > 0
                ]
            )


COUNTED = "import sys\nsys.calls = getattr(sys, 'calls', 0) + 1\nseen = 'kept' in globals()\nkept = 1"


def test_scope_call_is_never_used_before(r):
    for _ in range(3):
        assert value(r, "(sys.calls, seen)", setup=COUNTED) == (1, False)
        assert value(r, "(sys.calls, seen)", "SCOPE", "call", setup=COUNTED) == (1, False)


def test_scope_script_shares_the_interpreter_not_the_globals(r):
    setup = COUNTED + "\n# scope script, shares"
    for calls in (1, 2, 3):
        assert value(r, "(sys.calls, seen)", "SCOPE", "script", setup=setup) == (calls, False)


def test_different_scripts_never_share(r):
    for n in range(5):
        setup = COUNTED + f"\n# scope script, different {n}"
        assert value(r, "(sys.calls, seen)", "SCOPE", "SCRIPT", setup=setup) == (1, False)


def test_timeout_ends_a_script(r):
    with at_most(20):
        assert error(r, "while True: pass", "TIMEOUT", "200")
    wait_freed(r)
    assert r.execute_command("RG.PYEXECUTE", "1", "TIMEOUT", "60000") == b"OK"


def test_timeout_ends_an_execution(r):
    with at_most(20):
        reply = None
        try:
            reply = run(r, script(records="iter(int, 1)", steps=".filter(lambda r: False)"), "TIMEOUT", "300")
        except redis.ResponseError:
            pass
    assert reply is None or len(reply[1]) == 1


def test_maxmemory_is_the_interpreter_s_own(server, r):
    text = error(r, "x = []\nwhile True: x.append(bytearray(1 << 20))", "MAXMEMORY", str(64 << 20))
    assert "MemoryError" in text
    other = server.client()
    assert value(other, "len(bytearray(128 << 20))") == 128 << 20


def test_maxmemory_in_a_step(r):
    found, errors = run(r, script(steps=".map(lambda r: bytearray(256 << 20))"), "MAXMEMORY", str(64 << 20))
    assert found == [] and len(errors) == 1 and b"MemoryError" in errors[0]


# -- several clients ------------------------------------------------------------------------------


def test_scripts_of_many_clients_at_once(server, r):
    def one(n):
        client = server.client()
        return [value(client, "x + execute('INCR', 'n') * 0", setup=f"x = {n}") for _ in range(5)]

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(one, range(20))) == [[n] * 5 for n in range(20)]
    assert r.get("n") == b"100"
