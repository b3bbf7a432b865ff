"""How do values cross between the server and a script, both ways?"""

import pytest
import redis

from gears import results, run, script, value
from helpers import reply_or_error


def reply(client, expression, setup=""):
    """What one record of this value is on the wire."""
    (found,) = results(client, script(setup, f"[{expression}]", run=", convertToStr=False"))
    return found


# -- from Python to the wire ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression, expected",
    [
        ("1", 1),
        ("-1", -1),
        ("2**63 - 1", 2**63 - 1),
        ("-2**63", -(2**63)),
        ("True", 1),
        ("False", 0),
        ("1.5", b"1.500000"),
        ("-0.1", b"-0.100000"),
        ("1e20", b"100000000000000000000.000000"),
        ("'text'", b"text"),
        ("''", b""),
        ("'+'", b"+"),
        ("'-'", b"-"),
        ("'+OK'", b"OK"),
        ("'žluť 日本'", "žluť 日本".encode()),
        ("b'\\x00\\xff\\r\\n'", b"\x00\xff\r\n"),
        ("b''", b""),
        ("b'+x'", b"+x"),
        ("b'-x'", b"-x"),
        ("'a\\x00b'", b"a\x00b"),
        ("'%n%s%d'", b"%n%s%d"),
        ("[]", []),
        ("[1, 'a', b'b', [2.0, [True]]]", [1, b"a", b"b", [b"2.000000", [1]]]),
        ("None", b"PY RECORD"),
        ("{}", b"PY RECORD"),
        ("{'a': 1}", b"PY RECORD"),
        ("(1, 2)", b"PY RECORD"),
        ("{1}", b"PY RECORD"),
        ("bytearray(b'x')", b"PY RECORD"),
        ("object()", b"PY RECORD"),
        ("len", b"PY RECORD"),
        ("[None, (1,)]", [b"PY RECORD", b"PY RECORD"]),
    ],
)
def test_values_become_replies(r, r3, expression, expected):
    assert reply(r, expression) == expected
    assert reply(r3, expression) == expected


def test_a_text_with_a_minus_is_an_error_reply(r):
    found = reply(r, "'-ERR refused'")
    assert isinstance(found, redis.ResponseError) and "refused" in str(found)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**40])
def test_integers_beyond_64_bits_are_decimal_texts(r, number):
    assert reply(r, str(number)) == str(number).encode()


def test_subclasses_are_what_they_derive_from(r):
    setup = "class L(list): pass\nclass S(str): pass\nclass I(int): pass\nclass B(bytes): pass"
    assert reply(r, "L([S('a'), I(3), B(b'x')])", setup) == [b"a", 3, b"x"]


def test_lone_surrogates_do_no_harm(r):
    assert b"a" in reply(r, "'a\\ud800b'")
    assert r.ping()


def test_a_list_that_contains_itself_is_refused(r):
    found, errors = None, None
    refused = reply_or_error(
        lambda: r.execute_command("RG.PYEXECUTE", script("x = []\nx.append(x)", "[x]", run=", convertToStr=False"))
    )
    if isinstance(refused, list):
        found, errors = refused
        assert found == [] and len(errors) == 1
    assert r.ping()


def test_deep_nesting_does_no_harm(r):
    setup = "x = []\nfor _ in range(100000): x = [x]"
    reply_or_error(lambda: r.execute_command("RG.PYEXECUTE", script(setup, "[x]", run=", convertToStr=False")))
    client = redis.Redis(port=r.connection_pool.connection_kwargs["port"])
    assert client.ping()
    client.close()


def test_a_list_of_a_hundred_levels(r):
    found = reply(r, "x", "x = 7\nfor _ in range(100): x = [x]")
    for _ in range(100):
        (found,) = found
    assert found == 7


def test_by_default_records_become_texts(r):
    found = results(r, script(records="[1, 2.5, None, 'x', b'y', [1, 'a'], {'k': (1,)}, True]"))
    assert found == [b"1", b"2.5", b"None", b"x", b"b'y'", b"[1, 'a']", b"{'k': (1,)}", b"True"]


def test_a_million_results(r):
    found = results(r, script(records="range(1000000)", run=", convertToStr=False"))
    assert len(found) == 1_000_000 and found[0] == 0 and found[-1] == 999_999


# -- from the server to Python -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "command, expected",
    [
        ("'PING'", "PONG"),
        ("'SET', 'k', 'v'", "OK"),
        ("'GET', 'missing'", None),
        ("'GET', 'text'", "žluť"),
        ("'GET', 'binary'", bytearray(b"\xff\x00")),
        ("'STRLEN', 'text'", 6),
        ("'LRANGE', 'list', 0, -1", ["a", "b"]),
        ("'LRANGE', 'missing', 0, -1", []),
        ("'MGET', 'text', 'missing', 'binary'", ["žluť", None, bytearray(b"\xff\x00")]),
        ("'EXISTS', 'text', 'missing'", 1),
    ],
)
def test_replies_become_values(r, command, expected):
    r.set("text", "žluť")
    r.set("binary", b"\xff\x00")
    r.rpush("list", "a", "b")
    shown = f"execute({command})"
    if isinstance(expected, bytearray):
        assert value(r, f"(type(x := {shown}).__name__, bytes(x))") == ("bytearray", bytes(expected))
    elif isinstance(expected, list) and bytearray(b"\xff\x00") in expected:
        found = value(r, f"[bytes(x) if isinstance(x, bytearray) else x for x in {shown}]")
        assert found == [bytes(x) if isinstance(x, bytearray) else x for x in expected]
    else:
        assert value(r, shown) == expected


def test_a_hash_comes_back_whole(r):
    r.hset("h", mapping={"a": "1", "b": "2"})
    found = value(r, "execute('HGETALL', 'h')")
    assert found in (["a", "1", "b", "2"], {"a": "1", "b": "2"})


@pytest.mark.parametrize(
    "argument, stored",
    [
        ("'x'", b"x"),
        ("1", b"1"),
        ("1.5", b"1.5"),
        ("10**30", b"1" + b"0" * 30),
        ("b'\\x00\\xff'", b"\x00\xff"),
        ("bytearray(b'\\xff')", b"\xff"),
        ("None", b"None"),
        ("[1]", b"[1]"),
        ("'a\\x00b'", b"a\x00b"),
        ("''", b""),
        ("'%n'", b"%n"),
    ],
)
def test_arguments_of_execute(r, argument, stored):
    assert r.execute_command("RG.PYEXECUTE", f"execute('SET', 'k', {argument})") == b"OK"
    assert r.get("k") == stored


def test_a_large_value_crosses_both_ways(r):
    r.set("large", b"x" * (32 << 20))
    source = "v = execute('GET', 'large')\nexecute('SET', 'copy', v + 'y')"
    assert r.execute_command("RG.PYEXECUTE", source) == b"OK"
    assert r.strlen("copy") == (32 << 20) + 1


def test_results_are_whatever_the_last_step_made(r):
    found, errors = run(r, script(records="[3, 1, 2]", steps=".sort()", run=", convertToStr=False"))
    assert (found, errors) == ([1, 2, 3], [])
