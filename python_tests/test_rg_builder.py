"""GearsBuilder through the server: every reader, every operation."""

import ast

import pytest

from gears import results, run, script, wait_freed
from helpers import PingWatch, fill, wait_until


def records(client, source):
    """The results of a script, each read back as the Python value that it shows."""
    return [ast.literal_eval(text.decode()) for text in results(client, source)]


# -- operations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "over, steps, expected",
    [
        ("[1, 2, 3]", ".map(lambda x: x * 2)", [2, 4, 6]),
        ("range(6)", ".filter(lambda x: x % 2)", [1, 3, 5]),
        ("[{'a': 1}]", ".foreach(lambda r: r.update(b=2))", [{"a": 1, "b": 2}]),
        ("[[1, 2], [3]]", ".flatmap(lambda x: x)", [2, 1, 3]),
        ("[(1, 2)]", ".flatmap(lambda x: x)", [(1, 2)]),
        ("[1, 2]", ".flatmap(lambda x: [])", []),
        ("[1, 2, 3]", ".accumulate(lambda a, r: (a or 0) + r)", [6]),
        ("[]", ".accumulate(lambda a, r: 1)", []),
        ("range(10)", ".limit(3)", [0, 1, 2]),
        ("range(10)", ".limit(2, 5)", [5, 6]),
        ("iter(int, 1)", ".limit(3)", [0, 0, 0]),
        ("range(7)", ".count()", [7]),
        ("[]", ".count()", []),
        ("'abca'", ".countby()", [{"key": "a", "value": 2}, {"key": "b", "value": 1}, {"key": "c", "value": 1}]),
        ("['a', 'bb', 'cc']", ".countby(lambda x: len(x))", [{"key": "1", "value": 1}, {"key": "2", "value": 2}]),
        (
            "range(1, 5)",
            ".groupby(lambda x: x % 2, lambda k, a, r: (a or 0) + r)",
            [{"key": "1", "value": 4}, {"key": "0", "value": 6}],
        ),
        (
            "range(1, 5)",
            ".localgroupby(lambda x: str(x % 2), lambda k, a, r: (a or 0) + r)",
            [{"key": "1", "value": 4}, {"key": "0", "value": 6}],
        ),
        (
            "range(1, 5)",
            ".batchgroupby(lambda x: str(x % 2), lambda k, rs: rs)",
            [{"key": "1", "value": [1, 3]}, {"key": "0", "value": [2, 4]}],
        ),
        ("range(4)", ".aggregate([], lambda a, r: a + [r], lambda a, r: a + r)", [[0, 1, 2, 3]]),
        ("[1, 2, 3]", ".aggregate(10, lambda a, r: 0 if r == 2 else a + r, lambda a, r: a + r)", [23]),
        (
            "range(1, 5)",
            ".aggregateby(lambda x: x % 2, 0, lambda k, a, r: a + r, lambda k, a, r: a + r)",
            [{"key": "1", "value": 4}, {"key": "0", "value": 6}],
        ),
        (
            "'aab'",
            ".__localAggregateby__(lambda x: x, 0, lambda k, a, r: a + 1)",
            [{"key": "a", "value": 2}, {"key": "b", "value": 1}],
        ),
        ("[2, 3, 1]", ".sort()", [1, 2, 3]),
        ("[2, 3, 1]", ".sort(reverse=False)", [3, 2, 1]),
        ("[2, 2]", ".distinct()", [2]),
        ("[1, 2, 6]", ".avg()", [3.0]),
        ("['a', 'bbb']", ".avg(lambda x: len(x))", [2.0]),
        ("[1, 2]", ".collect().repartition(lambda x: str(x)).collect()", [1, 2]),
        (
            "range(1000)",
            ".map(lambda x: x % 7).countby().map(lambda r: r['value']).sort()",
            [142, 143, 143, 143, 143, 143, 143],
        ),
    ],
)
def test_operations(r, over, steps, expected):
    found = records(r, script(records=over, steps=steps))
    key = repr if expected and isinstance(expected[0], dict) else None
    if key:
        found, expected = sorted(found, key=key), sorted(expected, key=key)
    assert found == expected


@pytest.mark.parametrize(
    "over, steps, found, failed",
    [
        ("[1, 2, 0, 3]", ".map(lambda x: 6 // x)", [6, 3], 1),
        ("[1, 2, 0, 3]", ".filter(lambda x: 6 // x)", [1, 2], 1),
        ("[1, 0, 3]", ".foreach(lambda x: 6 // x)", [1], 1),
        ("[1, 0, 3]", ".flatmap(lambda x: [6 // x])", [6], 1),
        ("[[1, 0, 2], [5]]", ".flatmap(lambda x: x).map(lambda x: 2 // x)", [1, 2], 1),
        ("[1, 0]", ".map(lambda x: 1 // x).count()", [], 1),
        ("[1, 0]", ".accumulate(lambda a, r: 1 // r)", [], 1),
        ("[1, 'a']", ".sort()", [], 1),
        ("[[]]", ".distinct()", [], 1),
        ("['x']", ".avg()", [], 1),
        ("[1]", ".repartition(lambda x: 1 // 0)", [], 1),
    ],
)
def test_errors_in_operations(r, over, steps, found, failed):
    got, errors = run(r, script(records=over, steps=steps))
    assert [ast.literal_eval(text.decode()) for text in got] == found
    assert len(errors) == failed


# -- KeysReader -----------------------------------------------------------------------------------


@pytest.fixture
def every_type(r):
    r.set("string", "text")
    r.set("binary", b"\xff\x00")
    r.rpush("list", "a", "b")
    r.hset("hash", mapping={"f": "1", "g": "2"})
    r.sadd("set", "m", "n")
    r.zadd("zset", {"x": 1.5, "y": 2})
    r.xadd("stream", {"f": "v"}, id="1-1")
    return r


def test_keys_reader_reads_values(every_type):
    found = {record["key"]: record for record in map(eval, map(bytes.decode, results(every_type, "GB().run()")))}
    assert set(found) == {"string", "binary", "list", "hash", "set", "zset", "stream"}
    for record in found.values():
        assert set(record) == {"key", "value", "type", "event"} and record["event"] is None
    types = {key: record["type"] for key, record in found.items()}
    assert types.pop("binary") == "string"
    assert all(key == shown for key, shown in types.items())
    assert found["string"]["value"] == "text"
    assert found["binary"]["value"] == bytearray(b"\xff\x00")
    assert found["list"]["value"] == ["a", "b"]
    assert found["hash"]["value"] == {"f": "1", "g": "2"}
    assert found["set"]["value"] == {"m", "n"}
    assert found["zset"]["value"] == {"x": 1.5, "y": 2.0}
    assert found["stream"]["value"] == [["1-1", {"f": "v"}]]


def test_keys_reader_without_values(every_type):
    for record in records(every_type, "GB().run(readValue=False)"):
        assert set(record) == {"key", "event"}


@pytest.mark.parametrize("pattern", ["*", "user:*", "user:[12]", "user:?", "*:1", "nothing*", "user:[^1]", "a\\*b"])
def test_keys_reader_takes_the_server_s_patterns(r, pattern):
    for name in ("user:1", "user:2", "user:3", "user:33", "order:1", "a*b", "axb"):
        r.set(name, "x")
    found = [record["key"] for record in records(r, f"GB().run({pattern!r}, readValue=False)")]
    assert sorted(found) == sorted(name.decode() for name in r.keys(pattern))


def test_the_default_argument(r):
    r.mset({"a1": 1, "b1": 1})
    assert [record["key"] for record in records(r, "GB('KeysReader', 'a*').run()")] == ["a1"]
    assert [record["key"] for record in records(r, "GB(defaultArg='a*').run('b*')")] == ["b1"]


def test_a_pattern_without_wildcards_reads_the_one_key(r):
    r.mset({"k": 1, "k1": 2, "k*": 3})
    r.hset("h", "f", "v")
    r.set("gone", 1, px=1)
    wait_until(lambda: not r.exists("gone"))
    assert [record["key"] for record in records(r, "GB().run('k')")] == ["k"]
    assert [(record["key"], record["value"]) for record in records(r, "GB().run('k\\\\*')")] == [("k*", "3")]
    assert [(record["type"], record["value"]) for record in records(r, "GB().run('h')")] == [("hash", {"f": "v"})]
    assert [record["value"] for record in records(r, "GB().run('[k]')")] == ["1"]
    assert [record for name in ("gone", "missing") for record in records(r, f"GB().run({name!r})")] == []


def test_no_scan_reads_one_literal_key(r):
    r.mset({"k*": "star", "kx": "other"})
    (record,) = records(r, "GB().run('k*', noScan=True)")
    assert (record["key"], record["value"]) == ("k*", "star")
    (record,) = records(r, "GB().run('missing', noScan=True)")
    assert (record["key"], record["type"], record["value"]) == ("missing", "empty", None)


def test_expired_keys_are_not_read(r):
    r.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 0)
    try:
        r.set("gone", "x", px=1)
        r.set("here", "x")
        import time

        time.sleep(0.05)
        assert [record["key"] for record in records(r, "GB().run()")] == ["here"]
    finally:
        r.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", 1)


def test_binary_key_names(r):
    r.set(b"\xff\x00key", "x")
    assert results(r, "GB().map(lambda r: type(r['key']).__name__).run()") == [b"bytearray"]
    assert results(r, "GB().map(lambda r: bytes(r['key'])).run(convertToStr=False)") == [b"\xff\x00key"]


def test_every_key_once(server, r):
    names = fill(r, 50_000)
    found = results(r, "GB().map(lambda r: r['key']).run()")
    assert sorted(found) == sorted(names)


def test_steps_may_change_what_is_read(r):
    fill(r, 5000)
    results(r, "GB().foreach(lambda r: execute('SET', 'copy:' + r['key'], r['value'])).count().run('key:*')")
    assert len(r.keys("copy:key:*")) == 5000
    results(r, "GB().foreach(lambda r: execute('DEL', r['key'])).run('copy:*')")
    assert r.dbsize() == 5000


def test_ping_while_many_keys_are_read(server, r):
    fill(r, 200_000)
    r.execute_command("IL.STATS", "RESET")
    with PingWatch(server) as watch:
        assert results(r, "GB().map(lambda r: len(r['value'])).count().run()") == [b"200000"]
    assert watch.percentile(99) < 0.1
    assert server.info_interlock()["slice_hold_us_max"] < 100_000


# -- other readers --------------------------------------------------------------------------------


def test_keys_only_reader(r):
    r.mset({"a1": 1, "a2": 1, "b1": 1})
    assert sorted(results(r, "GB('KeysOnlyReader').run()")) == [b"a1", b"a2", b"b1"]
    assert sorted(results(r, "GB('KeysOnlyReader').run('a*', count=10)")) == [b"a1", b"a2"]
    assert results(r, "GB('KeysOnlyReader').run('a1', noScan=True)") == [b"a1"]
    assert results(r, "GB('KeysOnlyReader').run('nothing', noScan=True)") == []
    assert results(r, "GB('KeysOnlyReader').run(patternGenerator=lambda: ('b*', False))") == [b"b1"]


@pytest.mark.parametrize(
    "argument, text", [("count='x'", b"value is not an integer"), ("patternGenerator=5", b"object is not callable")]
)
def test_keys_only_reader_errors(r, argument, text):
    found, errors = run(r, f"GB('KeysOnlyReader').run({argument})")
    assert found == [] and len(errors) == 1 and text in errors[0]


def test_stream_reader(r):
    for n in range(1, 1203):
        r.xadd("s", {"n": n}, id=f"{n}-0")
    found = records(r, "GB('StreamReader').run('s')")
    assert len(found) == 1202
    assert found[0] == {"key": "s", "id": "1-0", "value": {"n": "1"}}
    assert [record["id"] for record in found] == [f"{n}-0" for n in range(1, 1203)]
    assert [record["id"] for record in records(r, "GB('StreamReader').run('s', fromId='1200-0')")] == [
        "1201-0",
        "1202-0",
    ]
    assert results(r, "GB('StreamReader').run('missing')") == []


def test_stream_reader_errors(r):
    r.set("text", "x")
    r.xadd("s", {"a": 1})
    found, errors = run(r, "GB('StreamReader').run('s', fromId='x')")
    assert found == [] and errors == [b"ERR Invalid stream ID specified as stream command argument"]
    _, errors = run(r, "GB('StreamReader').run('text')")
    assert errors == [b"WRONGTYPE Operation against a key holding the wrong kind of value"]


def test_python_reader_that_is_no_generator(r):
    source = "left = [2, 1]\nGB('PythonReader').run(lambda: left.pop())"
    found, errors = run(r, source)
    assert found == [b"1", b"2"] and len(errors) == 1 and b"IndexError" in errors[0]
    assert results(r, "GB('PythonReader').limit(2).run(lambda: 7)") == [b"7", b"7"]


def test_shards_id_reader(r):
    assert results(r, "GB('ShardsIDReader').run()") == [b"1"]
    assert results(r, "GB('ShardsIDReader').map(lambda s: execute('PING')).run()") == [b"PONG"]


def test_readers_that_scripts_build(r):
    r.mset({"a1": 1, "b1": 1})
    assert results(r, "GB('PythonReader').run(createKeysOnlyReader('a*'))") == [b"a1"]
    assert results(r, "GB('PythonReader').run(shardReaderCallback)") == [b"1"]


@pytest.mark.slow
def test_memory_stays_flat_while_a_million_keys_are_counted(server, r):
    fill(r, 1_000_000)
    before = r.info("memory")["used_memory"]
    script_text = (
        "import gc\nmost = [0]\n"
        "def seen(r):\n    most[0] += 1\n    if most[0] % 100000 == 0: execute('RPUSH', 'used', execute('INFO', 'memory').split('used_memory:')[1].split()[0])\n"
        "GB().foreach(seen).count().run('key:*')"
    )
    assert results(r, script_text) == [b"1000000"]
    used = [int(n) for n in r.lrange("used", 0, -1)]
    assert len(used) == 10 and max(used) - before < 64 << 20
