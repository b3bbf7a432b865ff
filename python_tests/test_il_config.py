"""Options: load arguments and CONFIG GET/SET search.*"""

import pytest
import redis

from helpers import config, fill, plain

LIVE = {
    "search.safemode": ("no", ["yes", "no"], ["maybe", "2"]),
    "search.isolation": ("subinterpreter", ["shared", "subinterpreter"], ["none", ""]),
    "search.workers": (None, [], []),
    "search.slice-us": ("200", ["50", "1000", "200"], ["0", "-1", "x", "999999999999"]),
    "search.queue-limit": (None, ["10", "100000"], ["-1", "x"]),
    "search.python-time-limit": (None, ["0", "1000", "60000"], ["-1", "x"]),
    "search.python-inline-limit": (None, ["100", "5000"], ["-1", "x"]),
    "search.python-max-memory": ("0", ["100000000", "0"], ["-1", "x"]),
    "search.warm-interpreters": (None, ["0", "2"], ["-1", "x", "99999999"]),
}
FIXED = ["search.python-ticker", "search.python-own-heap", "search.python-preload-datetime"]


@pytest.mark.parametrize("name", [*LIVE, "search.python-workers", *FIXED])
def test_option_exists(r, name):
    assert name in plain(r.config_get(name))


@pytest.mark.parametrize("name", LIVE)
def test_live_option(r, name):
    default, good, bad = LIVE[name]
    before = plain(r.config_get(name))[name]
    if default is not None:
        assert before == default
    try:
        for value in good:
            r.config_set(name, value)
            assert plain(r.config_get(name))[name] == value
        for value in bad:
            now = plain(r.config_get(name))[name]
            with pytest.raises(redis.ResponseError):
                r.config_set(name, value)
            assert plain(r.config_get(name))[name] == now
    finally:
        r.config_set(name, before)


@pytest.mark.parametrize("name", FIXED)
def test_option_of_the_start_cannot_be_changed_later(r, name):
    value = plain(r.config_get(name))[name]
    with pytest.raises(redis.ResponseError):
        r.config_set(name, "no" if value == "yes" else "yes")


def test_safemode_at_run_time_runs_on_the_main_thread(server, r):
    fill(r, 10_000)
    with config(r, safemode="yes"):
        before = server.info_interlock()["slices"]
        assert len(r.execute_command("IL.KEYS", "*")) == 10_000
        assert server.info_interlock()["slices"] == before, "SAFEMODE takes no slices"
    assert len(r.execute_command("IL.KEYS", "*")) == 10_000
    assert server.info_interlock()["slices"] > before


def test_safemode_as_load_argument(safemode_server):
    client = safemode_server.client()
    assert plain(client.config_get("search.safemode")) == {"search.safemode": "yes"}
    client.flushall()
    client.set("a", 1)
    assert client.execute_command("IL.KEYS", "*") == [b"a"]


@pytest.mark.parametrize(
    "words, name, value",
    [
        (("SAFEMODE",), "safemode", "yes"),
        (("SAFEMODE", "no"), "safemode", "no"),
        (("safemode", "YES", "workers", "3"), "workers", "3"),
        (("WORKERS", "5"), "workers", "5"),
        (("SLICE-US", "500"), "slice-us", "500"),
        (("ISOLATION", "shared"), "isolation", "shared"),
        (("PYTHON-TIME-LIMIT", "1234"), "python-time-limit", "1234"),
        (("WARM-INTERPRETERS", "1"), "warm-interpreters", "1"),
        (("PYTHON-OWN-HEAP", "no"), "python-own-heap", "no"),
        (("WORKERS", "2", "SAFEMODE"), "safemode", "yes"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_load_argument(new_server, words, name, value):
    client = new_server(*words).client()
    assert plain(client.config_get(f"search.{name}")) == {f"search.{name}": value}
    assert client.execute_command("IL.KEYS", "*") == []


@pytest.mark.parametrize(
    "words, part",
    [
        (("NONSENSE",), "NONSENSE"),
        (("WORKERS",), "WORKERS"),
        (("WORKERS", "many"), "many"),
        (("WORKERS", "0"), "'0'"),
        (("WORKERS", "-3"), "'-3'"),
        (("WORKERS", "99999999999999999999"), "99999999999999999999"),
        (("SAFEMODE", "perhaps"), "perhaps"),
        (("ISOLATION", "hope"), "hope"),
        (("SLICE-US", "0"), "'0'"),
        (("SLICE-US", "200", "%n%s"), "%n%s"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_bad_load_argument_refuses_to_load(refused, words, part):
    log = refused(*words)
    named = [line for line in log.splitlines() if part in line and "--loadmodule" not in line]
    assert len(named) == 1, f"one clear line should name {part!r}:\n{log}"


def test_options_of_a_configuration_file_win_over_defaults(new_server):
    server = new_server(config=["--search.slice-us", "321"])
    assert plain(server.client().config_get("search.slice-us")) == {"search.slice-us": "321"}
