"""The commands that show, wait for, drop and abort executions."""

import threading
import time

import pytest
import redis

from gears import (
    at_most,
    background,
    error,
    executions,
    gears_config,
    results,
    run,
    script,
    status,
    wait_done,
    wait_freed,
)
from helpers import as_map, fill, in_background, plain, wait_until

ENDLESS = script(records="iter(int, 1)", steps=".filter(lambda r: False)")
MISSING = "0" * 40 + "-99999999"


def refusal(client, *command):
    with pytest.raises(redis.ResponseError) as refused:
        client.execute_command(*command)
    return str(refused.value)


@pytest.fixture
def endless(r):
    """An execution that runs until it is aborted."""
    execution = background(r, ENDLESS)
    wait_until(lambda: status(r, execution) == "running")
    yield execution
    try:
        r.execute_command("RG.ABORTEXECUTION", execution)
        wait_done(r, execution)
        r.execute_command("RG.DROPEXECUTION", execution)
    except redis.ResponseError:
        pass


@pytest.fixture
def done(r):
    """An execution with two results and one error."""
    source = script(records="[1, 2, 0]", steps=".map(lambda x: 2 // x).filter(lambda x: True).limit(9)")
    execution = background(r, source, "DESCRIPTION", "of the session")
    wait_done(r, execution)
    yield execution
    try:
        r.execute_command("RG.DROPEXECUTION", execution)
    except redis.ResponseError:
        pass


# -- RG.DUMPEXECUTIONS ----------------------------------------------------------------------------


def test_dump(r, r3, done, endless):
    for client in (r, r3):
        assert executions(client) == {done: ("done", 0), endless: ("running", 0)}
    for entry in r.execute_command("RG.DUMPEXECUTIONS"):
        assert [entry[0], entry[2], entry[4]] == [b"executionId", b"status", b"registered"] and len(entry) == 6
    assert len(r.execute_command("RG.DUMPEXECUTIONS", "ignored")) == 2


# -- RG.GETEXECUTION ------------------------------------------------------------------------------


def one(client, *words):
    """The fields of the only shard."""
    (shard,) = client.execute_command("RG.GETEXECUTION", *words)
    shard = as_map(shard)
    return shard, as_map(shard["execution_plan"])


def test_get_execution(r, done):
    shard, plan = one(r, done)
    assert list(shard) == ["shard_id", "execution_plan"] and shard["shard_id"] == "0" * 40
    assert plan["status"] == "done"
    assert plan["results"] == 2 and len(plan["errors"]) == 1 and "ZeroDivisionError" in plan["errors"][0]
    assert plan["shards_received"] >= 0 and plan["shards_completed"] >= 0
    assert 0 <= plan["read_duration"] and 0 <= plan["total_duration"] < 60_000
    assert list(plan) == [
        "status",
        "shards_received",
        "shards_completed",
        "results",
        "errors",
        "total_duration",
        "read_duration",
        "steps",
    ]


def test_the_shape_that_clients_index(r, done):
    reply = r.execute_command("RG.GETEXECUTION", done)
    assert len(reply) == 1 and len(reply[0]) == 4
    assert reply[0][0] == b"shard_id" and reply[0][2] == b"execution_plan"
    assert reply[0][3][1] == b"done" and reply[0][3][7] == 2
    assert len(reply[0][3][9]) == 1 and len(reply[0][3]) == 16


def test_the_steps_are_listed_last_first(r, done):
    _, plan = one(r, done)
    steps = [as_map(step) for step in plan["steps"]]
    assert [step["type"] for step in steps] == ["collect", "map", "limit", "filter", "map"]
    for step in steps:
        assert list(step) == ["type", "duration", "name", "arg"] and step["duration"] >= 0
    assert "<lambda>" in steps[-1]["name"] + steps[-1]["arg"]


def ended(client, source):
    """What is shown of an execution that has ended."""
    execution = background(client, source)
    wait_done(client, execution)
    plan = one(client, execution)[1]
    client.execute_command("RG.DROPEXECUTION", execution)
    return plan


@pytest.mark.parametrize("pause", ["time.sleep(0.03)", "await asyncio.sleep(0)\n    time.sleep(0.03)"], ids=["plain", "async"])
def test_durations(r, pause):
    source = f"""
import asyncio, time
def read():
    for number in range(3):
        time.sleep(0.02)
        yield number
{"async " if "await" in pause else ""}def slow(x):
    {pause}
    return x
def add(a, x):
    time.sleep(0.01)
    return x
GB('PythonReader').filter(lambda x: True).map(slow).accumulate(add).run(read)
"""
    plan = {}
    for profiled in (0, 1):
        with gears_config(r, "ProfileExecutions", profiled):
            plan = ended(r, source)
            # Coroutines run beside the reader.
            assert plan["total_duration"] >= 3 * (20 + 10 + (0 if 'await' in pause else 30)), plan
            durations = {step["type"] + str(at): step["duration"] for at, step in enumerate(map(as_map, plan["steps"]))}
            if not profiled:
                assert set(durations.values()) == {0}
    assert list(durations) == ["collect0", "map1", "accumulate2", "map3", "filter4"]
    assert plan["read_duration"] >= 3 * 20 and durations["accumulate2"] >= 3 * 10
    # The call of a coroutine only makes it.
    assert (durations["map3"] >= 3 * 30) == ("await" not in pause)
    assert durations["collect0"] == 0 and durations["filter4"] < 30
    assert sum(durations.values()) + plan["read_duration"] <= plan["total_duration"] + 5


def test_reading_keys_takes_time(r):
    fill(r, 20_000)
    plan = ended(r, "GB().count().run()")
    assert 0 < plan["read_duration"] <= plan["total_duration"]


def test_get_execution_while_it_runs(r, endless):
    _, plan = one(r, endless)
    assert plan["status"] == "running" and plan["results"] == -1 and plan["errors"] == []


def test_get_execution_words(r, done):
    assert one(r, done, "shard")[1]["status"] == "done"
    assert refusal(r, "RG.GETEXECUTION", done, "NOSUCH") == "unknown subcommand"
    assert (
        refusal(r, "RG.GETEXECUTION", done, "CLUSTER")
        == "no cluster detected - use `RG.GETEXECUTION <id> [SHARD]` instead"
    )
    assert refusal(r, "RG.GETEXECUTION", MISSING) == "execution plan does not exist"
    assert "wrong number of arguments" in refusal(r, "RG.GETEXECUTION")


# -- RG.GETRESULTS, RG.GETRESULTSBLOCKING ---------------------------------------------------------


@pytest.mark.parametrize("command", ["RG.GETRESULTS", "RG.GETRESULTSBLOCKING"])
def test_get_results(r, r3, done, command):
    for client in (r, r3, r):
        found, errors = client.execute_command(command, done)
        assert found == [b"2", b"1"] and len(errors) == 1
    assert refusal(r, command, MISSING) == "execution plan does not exist"
    assert "wrong number of arguments" in refusal(r, command)
    assert done in executions(r)


def test_get_results_of_a_running_one(r, endless):
    assert refusal(r, "RG.GETRESULTS", endless) == "execution is still running"


def test_get_results_blocking_waits(server, r):
    setup = "import time\ndef f():\n    time.sleep(0.5)\n    yield 1"
    execution = background(r, script(setup, "f()"))
    others = [server.client() for _ in range(3)]
    found = []
    threads = [
        threading.Thread(target=lambda c=c: found.append(c.execute_command("RG.GETRESULTSBLOCKING", execution)))
        for c in others
    ]
    for thread in threads:
        thread.start()
    with at_most(30):
        for thread in threads:
            thread.join()
    assert found == [[[b"1"], []]] * 3
    r.execute_command("RG.DROPEXECUTION", execution)


def test_a_waiting_client_that_goes_away(server, r, endless):
    other = server.client()
    other_id = other.client_id()
    connection = other.connection_pool.get_connection()
    connection.send_command("CLIENT", "ID")
    other_id = connection.read_response()
    connection.send_command("RG.GETRESULTSBLOCKING", endless)
    wait_until(lambda: any(int(c["id"]) == other_id and "b" in c["flags"] for c in r.client_list()))
    r.client_kill_filter(_id=other_id)
    assert r.ping()
    # Nobody but that client is gone.
    assert status(r, endless) == "running"


def test_unblocking_a_waiting_client(server, r, endless):
    connection = server.client().connection_pool.get_connection()
    connection.send_command("CLIENT", "ID")
    waiting = connection.read_response()
    connection.send_command("RG.GETRESULTSBLOCKING", endless)
    wait_until(lambda: any(int(c["id"]) == waiting and "b" in c["flags"] for c in r.client_list()))
    r.client_unblock(waiting, error=True)
    with pytest.raises(redis.ResponseError):
        connection.read_response()
    assert status(r, endless) == "running"


def test_aborting_answers_those_who_wait(server, r, endless):
    other = server.client()
    with in_background(lambda: other.execute_command("RG.GETRESULTSBLOCKING", endless)) as outcome:
        time.sleep(0.1)
        assert r.execute_command("RG.ABORTEXECUTION", endless) == b"OK"
    found, errors = outcome["value"]
    assert found == [] and len(errors) <= 1


# -- RG.DROPEXECUTION -----------------------------------------------------------------------------


def test_drop(r, done):
    assert r.execute_command("RG.DROPEXECUTION", done) == b"OK"
    assert refusal(r, "RG.DROPEXECUTION", done) == "execution plan does not exist"
    assert refusal(r, "RG.GETRESULTS", done) == "execution plan does not exist"
    assert executions(r) == {}


def test_drop_of_a_running_one(r, endless):
    text = refusal(r, "RG.DROPEXECUTION", endless)
    assert text == "can not drop a not yet finished execution, abort it first."


def test_drop_arguments(r):
    assert "wrong number of arguments" in refusal(r, "RG.DROPEXECUTION")
    assert "wrong number of arguments" in refusal(r, "RG.DROPEXECUTION", "a", "b")


# -- RG.ABORTEXECUTION ----------------------------------------------------------------------------


def test_abort(r, endless):
    with at_most(20):
        assert r.execute_command("RG.ABORTEXECUTION", endless) == b"OK"
        wait_done(r, endless)
    found, errors = r.execute_command("RG.GETRESULTS", endless)
    assert found == [] and len(errors) == 1
    # Once more is not an error.
    assert r.execute_command("RG.ABORTEXECUTION", endless) == b"OK"
    r.execute_command("RG.DROPEXECUTION", endless)
    wait_freed(r)


def test_abort_keeps_what_was_there(r, done):
    assert r.execute_command("RG.ABORTEXECUTION", done) == b"OK"
    assert r.execute_command("RG.GETRESULTS", done)[0] == [b"2", b"1"]


def test_abort_arguments(r):
    assert refusal(r, "RG.ABORTEXECUTION", MISSING) == "execution does not exist"
    assert "wrong number of arguments" in refusal(r, "RG.ABORTEXECUTION")


def test_abort_of_one_that_waits_for_a_worker(new_server):
    server = new_server("PYTHON-WORKERS", 1)
    r = server.client()
    first = background(r, ENDLESS)
    wait_until(lambda: status(r, first) == "running")
    other = server.client()
    # The second script itself has to wait for the only worker.
    connection = other.connection_pool.get_connection()
    connection.send_command("RG.PYEXECUTE", script(), "UNBLOCKING")
    time.sleep(0.2)
    assert r.execute_command("RG.ABORTEXECUTION", first) == b"OK"
    second = connection.read_response().decode()
    wait_done(r, second)
    assert r.execute_command("RG.GETRESULTS", second) == [[b"1"], []]


# -- what is kept ---------------------------------------------------------------------------------


def test_only_so_many_are_kept(r):
    with gears_config(r, "MaxExecutions", 3):
        ids = []
        for _ in range(6):
            execution = background(r, script())
            ids.append(execution)
            wait_until(lambda execution=execution: executions(r).get(execution, ("done", 0))[0] == "done")
        assert set(executions(r)) == set(ids[-3:])
    for execution in ids[-3:]:
        r.execute_command("RG.DROPEXECUTION", execution)


def test_an_execution_keeps_its_interpreter_until_it_is_dropped(r):
    execution = background(r, script())
    wait_done(r, execution)
    assert plain(r.execute_command("RG.DUMPEXECUTIONS"))
    r.execute_command("RG.DROPEXECUTION", execution)
    wait_freed(r)


def test_a_failed_script_leaves_no_execution(r):
    error(r, script() + "1/0")
    run(r, script(steps=".map(lambda r: 1 / 0)"))
    results(r, script())
    assert executions(r) == {}
