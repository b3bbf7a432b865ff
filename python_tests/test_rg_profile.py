"""RG.PYPROFILE: where the time of a session's executions goes."""

import pytest
import redis

from gears import gears_config
from registrations import register, unregister_all

SOURCE = """
def slow(words):
    return sum(range(2000))
GB('CommandReader').map(slow).register(trigger='t', mode='{mode}')
"""


@pytest.fixture(autouse=True)
def none_left(r):
    unregister_all(r)
    yield
    unregister_all(r)


def error(r, *words):
    with pytest.raises(redis.ResponseError) as refused:
        r.execute_command("RG.PYPROFILE", *words)
    return str(refused.value)


@pytest.mark.parametrize("mode", ["async", "sync"])
@pytest.mark.parametrize("isolation", ["subinterpreter", "shared"])
def test_a_profile_has_the_scripts_functions(r, mode, isolation):
    register(r, SOURCE.format(mode=mode), "ID", "profiled", "ISOLATION", isolation)
    r.execute_command("RG.TRIGGER", "t")
    assert "no profile was collected" in error(r, "STATS", "profiled")
    with gears_config(r, "ProfileExecutions", 1):
        for _ in range(3):
            r.execute_command("RG.TRIGGER", "t")
        text = r.execute_command("RG.PYPROFILE", "STATS", "profiled").decode()
    assert "(slow)" in text and "built-in method builtins.sum" in text and "Ordered by: internal time" in text
    assert "Ordered by: cumulative time" in r.execute_command("RG.PYPROFILE", "stats", "profiled", "cumulative").decode()
    assert "unknown order 'nothing'" in error(r, "STATS", "profiled", "nothing")
    assert r.execute_command("RG.PYPROFILE", "RESET", "profiled") == b"OK"
    assert "no profile was collected" in error(r, "STATS", "profiled")


def test_bad_arguments(r):
    assert error(r, "STATS", "nobody") == error(r, "RESET", "nobody") == "session does not exists"
    assert error(r, "WHAT", "x") == "Wrong subcommand given to RG.PYPROFILE"
    assert "expected RG.PYPROFILE STATS session [order]" in error(r, "STATS")
    assert "expected RG.PYPROFILE RESET session" in error(r, "RESET", "a", "b")
