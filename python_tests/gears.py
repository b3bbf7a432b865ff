"""How does a test run a script and look at what is left of it?"""

import ast
import contextlib
import re
import time

import redis

from helpers import as_map, plain, wait_until

ID = re.compile(r"^[0-9a-zA-Z]{40}-\d+$")

STATUSES = ("created", "running", "done", "aborted")


def script(setup="", records="[1]", steps="", run=""):
    """A script that runs a pipeline over the values of an expression: an iterable of records."""
    return f"{setup}\ndef _records():\n    yield from ({records})\nGB('PythonReader'){steps}.run(_records{run})\n"


def run(client, source, *options):
    """The results and errors of a script that creates an execution, as bytes."""
    results, errors = client.execute_command("RG.PYEXECUTE", source, *options)
    return results, errors


def results(client, source, *options):
    """The results of a script that must have no errors."""
    results, errors = run(client, source, *options)
    assert errors == []
    return results


def values(client, records, *options, setup=""):
    """The values of an expression (an iterable), as they are inside a script."""
    found = results(client, script(setup, records, ".map(lambda value: repr(value))"), *options)
    return [ast.literal_eval(text.decode(errors="surrogateescape")) for text in found]


def value(client, expression, *options, setup=""):
    """The value of an expression inside a step."""
    source = script(setup, "[0]", f".map(lambda _: repr({expression}))")
    (found,) = results(client, source, *options)
    return ast.literal_eval(found.decode(errors="surrogateescape"))


def error(client, source, *options):
    """The text of the error that a script answers."""
    try:
        reply = client.execute_command("RG.PYEXECUTE", source, *options)
    except redis.ResponseError as refused:
        return str(refused)
    raise AssertionError(f"the script answered {reply!r:.500}")


def traceback_of(text):
    """The lines of an error with a traceback: a printed list."""
    lines = ast.literal_eval(text)
    assert isinstance(lines, list) and all(isinstance(line, str) and line.endswith("\n") for line in lines)
    return lines


def background(client, source, *options):
    """Creates an execution that nobody waits for; its id."""
    execution = client.execute_command("RG.PYEXECUTE", source, "UNBLOCKING", *options).decode()
    assert ID.match(execution), execution
    return execution


def executions(client):
    """The executions that are listed, by id: (status, registered)."""
    found = {}
    for entry in plain(client.execute_command("RG.DUMPEXECUTIONS")):
        entry = as_map(entry)
        assert set(entry) == {"executionId", "status", "registered"}
        assert entry["status"] in STATUSES
        found[entry["executionId"]] = (entry["status"], entry["registered"])
    return found


def status(client, execution):
    return executions(client)[execution][0]


def wait_done(client, execution, seconds=10):
    wait_until(lambda: status(client, execution) in ("done", "aborted"), seconds, what=f"{execution} done")


def interpreters(client):
    """What RG.PYDUMPINTERPRETERS shows, a dictionary each."""
    return [as_map(entry) for entry in plain(client.execute_command("RG.PYDUMPINTERPRETERS"))]


def busy_interpreters(client):
    """Those that somebody owns, or that are not gone yet: not warm, not kept for a script."""
    return [entry for entry in interpreters(client) if entry["state"] not in ("warm", "idle")]


#: Interpreters that a test found left over. It failed for them; later tests on that server need not.
_left_over = set()


def wait_freed(client, seconds=15):
    """Waits until no interpreter is owned any more. The main one, of shared mode, stays."""
    port = client.connection_pool.connection_kwargs["port"]

    def left():
        return {
            (port, entry["id"])
            for entry in busy_interpreters(client)
            if entry["isolation"] != "shared" or int(entry["owners"]) > 0
        } - _left_over

    try:
        wait_until(lambda: not left(), seconds, what="every interpreter freed")
    except AssertionError:
        _left_over.update(left())
        raise


def extra(client, key, setting):
    """Sets a value of the extra configuration."""
    return client.execute_command("RG.CONFIGSET", key, setting)


@contextlib.contextmanager
def gears_config(client, key, setting):
    """A value of RG.CONFIGSET while the block runs."""
    before = client.execute_command("RG.CONFIGGET", key)[0]
    client.execute_command("RG.CONFIGSET", key, setting)
    try:
        yield
    finally:
        client.execute_command("RG.CONFIGSET", key, before)


@contextlib.contextmanager
def at_most(seconds):
    """The block must end within a bound that only a hang exceeds."""
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < seconds, f"took {took:.1f} s"
