"""run(): its arguments, what an execution is made of, and every reader."""

import pytest


class Callable:
    def __call__(self, r):
        return r

    def method(self, r):
        return r


# --- run() ------------------------------------------------------------------------------------------------


def test_run_makes_texts_of_records(gears):
    results, _ = gears.run(gears.over([1, {"a": None}, "x", b"y"]), convertToStr=True)
    assert results == ["1", "{'a': None}", "x", "b'y'"]


def test_run_leaves_the_builder_as_it_was(gears):
    builder = gears.over([1])
    builder.run()
    builder.run(convertToStr=False)
    kinds = [[kind for kind, _, _ in execution[3]] for execution in gears.native.executions]
    assert kinds == [["map", "collect"], ["collect"]]


def test_later_steps_do_not_reach_an_execution_that_was_created(gears):
    builder = gears.over([1])
    builder.run(convertToStr=False)
    builder.map(lambda r: r + 1)
    assert gears.pipeline.run_plan(gears.native.executions[0][0])[0] == [1]


def test_collect_can_be_left_out(gears):
    gears.over([1]).run(convertToStr=False, collect=False)
    assert gears.native.executions[0][3] == []


def test_what_the_native_side_is_told(gears):
    def double(x):
        return x * 2

    gears.GB("KeysReader", desc="text").map(double).limit(3, 1).countby().run("a*")
    _, reader, description, steps = gears.native.executions[0]
    assert (reader, description) == ("KeysReader", "text")
    assert [kind for kind, _, _ in steps] == [
        'map', 'limit', 'extractkey', 'accumulatebykey', 'extractkey', 'repartition', 'accumulatebykey', 'map', 'collect',
    ]  # fmt: skip
    assert steps[0][1:] == ("double", str(double))
    assert all(type(text) is str for step in steps for text in step)
    assert steps[-1] == ("collect", "collect", "")


@pytest.mark.parametrize("reader, shown", [("KeysOnlyReader", "PythonReader"), ("ShardsIDReader", "PythonReader")])
def test_generators_are_shown_as_python_readers(gears, reader, shown):
    gears.GB(reader).run()
    assert gears.native.executions[0][1] == shown


def test_run_returns_a_future_that_has_the_execution_s_id(gears):
    assert gears.over([1]).run().executionId == "0" * 40 + "-0"


def test_what_the_native_side_is_told_of_a_registration(gears):
    builder = gears.GB("KeysReader", desc="about").map(lambda record: record)
    assert builder.register("\udcffp*", mode="sync", eventTypes=["SET"], keyTypes=("string",)) == f"{'0' * 40}-1"
    plan, reader, description, steps, options = gears.native.registrations[-1]
    assert (reader, description, [step[0] for step in steps]) == ("KeysReader", "about", ["map", "map", "collect"])
    assert dict(zip(options[::2], options[1::2])) == {
        b"prefix": b"\xffp*", b"mode": b"sync", b"callbacks": [], b"eventTypes": [b"set"], b"keyTypes": [b"string"],
        b"readValue": True, b"noScan": False,
    }


def test_a_registration_s_plan_runs_over_the_records_of_an_event(gears):
    gears.GB("CommandReader").map(lambda words: len(words)).register(trigger="t", convertToStr=False)
    plan = gears.native.registrations[-1][0]
    assert gears.pipeline.run_plan(plan, [["t", "a"], ["t"]])[:2] == ([2, 1], [])


def test_the_command_reader_cannot_run(gears):
    with pytest.raises(gears.Error) as raised:
        gears.GB("CommandReader").run()
    assert str(raised.value) == "Given reader do not support run or not exists"


def in_script(gears, code):
    gears.native.body = True
    exec(compile(code, "<string>", "exec"), {"__name__": "not_main", "GB": gears.GB})


def test_one_script_body_creates_one_execution(gears):
    in_script(gears, "GB().run()")
    with pytest.raises(gears.Error) as raised:
        in_script(gears, "GB().run()\nGB().run()")
    assert str(raised.value) == "Can not run more then 1 executions in a single script"
    in_script(gears, "GB().run()")


def test_a_run_that_was_refused_does_not_count(gears):
    in_script(gears, "try:\n  GB().run(1)\nexcept Exception: pass\nGB().run()")


def test_steps_may_run_more_than_once(gears):
    globals_of_script = {"__name__": "not_main", "GB": gears.GB}
    exec("def step():\n  GB().run()\n  GB().run()", globals_of_script)
    globals_of_script["step"]()
    assert len(gears.native.executions) == 2


@pytest.mark.parametrize(
    "reader, arg", [("KeysReader", "*"), ("KeysOnlyReader", "*"), ("StreamReader", "s"), ("ShardsIDReader", None)]
)
def test_unknown_arguments_are_named(gears, reader, arg):
    with pytest.raises(TypeError) as raised:
        gears.GB(reader).run(arg, prefix="x*", nosuch=1)
    assert "'nosuch', 'prefix'" in str(raised.value) and reader in str(raised.value)
    with pytest.raises(TypeError, match="argument 'prefix' "):
        gears.GB(reader).run(arg, prefix="x*")
    assert gears.native.executions == []


# --- readers ------------------------------------------------------------------------------------------------


def key_records(*names):
    return [{"key": name, "event": None} for name in names]


def test_keys_reader(gears):
    gears.native.batches = [key_records("a", "b"), key_records("c")]
    assert gears.results(gears.GB().map(lambda r: r["key"])) == ["a", "b", "c"]
    assert gears.native.opened == [("*", False, True)]
    assert gears.native.sources[0].closed


def test_keys_reader_arguments(gears):
    gears.results(gears.GB(defaultArg="d*"))
    gears.results(gears.GB(defaultArg="d*"), "")
    gears.results(gears.GB(defaultArg="d*"), "k", noScan=True, readValue=False)
    assert gears.native.opened == [("d*", False, True), ("d*", False, True), ("k", True, False)]


@pytest.mark.parametrize(
    "arg, options, message",
    [
        (1, {}, "regex argument must be a string"),
        (b"x", {}, "regex argument must be a string"),
        ("*", {"noScan": 1}, "exactMatch value is not boolean"),
        ("*", {"readValue": "yes"}, "readValue value is not boolean"),
    ],
)
def test_keys_reader_checks(gears, arg, options, message):
    with pytest.raises(gears.Error) as raised:
        gears.GB().run(arg, **options)
    assert str(raised.value) == message


def test_keys_are_read_batch_by_batch_until_an_error(gears):
    gears.native.batches = [key_records("a", "b")] * 100
    _, errors = gears.run(gears.GB().map(lambda r: 1 / 0))
    assert len(errors) == 1
    assert gears.native.batches_read == 1
    assert gears.native.sources[0].closed


def test_a_reader_that_fails(gears):
    def open_keys(*_):
        raise gears.Error("no database")

    gears.native.open_keys = open_keys
    results, errors = gears.run(gears.GB())
    assert results == [] and len(errors) == 1 and "no database" in errors[0]


def test_keys_only_reader(gears):
    gears.native.batches = [key_records("a", "b")]
    assert gears.results(gears.GB("KeysOnlyReader"), "x*") == ["a", "b"]
    assert gears.native.opened == [("x*", False, False)]


def test_keys_only_reader_of_one_key(gears):
    gears.native.replies["EXISTS"] = lambda key: 1 if key == "there" else 0
    assert gears.results(gears.GB("KeysOnlyReader"), "there", noScan=True) == ["there"]
    assert gears.results(gears.GB("KeysOnlyReader"), "not", noScan=True) == []
    assert gears.native.opened == []


def test_keys_only_reader_with_a_generator_of_patterns(gears):
    gears.native.batches = [key_records("a")]
    gears.native.replies["EXISTS"] = 1
    assert gears.results(gears.GB("KeysOnlyReader"), patternGenerator=lambda: ("p*", False)) == ["a"]
    assert gears.native.opened == [("p*", False, False)]
    assert gears.results(gears.GB("KeysOnlyReader"), patternGenerator=lambda: ("k", True)) == ["k"]


def test_keys_only_reader_errors_are_records(gears):
    results, errors = gears.run(gears.GB("KeysOnlyReader"), count="x")
    assert results == [] and "value is not an integer" in errors[0]
    results, errors = gears.run(gears.GB("KeysOnlyReader"), patternGenerator=1)
    assert results == [] and "object is not callable" in errors[0]


def test_python_reader(gears):
    def reader():
        yield 1
        yield None

    assert gears.results(gears.GB("PythonReader"), reader) == [1, None]


@pytest.mark.parametrize("bad", ["*", 1, len, Callable(), Callable().method])
def test_the_python_reader_takes_a_function(gears, bad):
    with pytest.raises(gears.Error) as raised:
        gears.GB("PythonReader").run(bad)
    assert str(raised.value) == "pyreader argument must be a function"


def test_a_python_reader_that_raises_midway(gears):
    def reader():
        yield 1
        yield 2
        raise ValueError("midway")

    results, errors = gears.run(gears.GB("PythonReader"), reader)
    assert results == [1, 2] and len(errors) == 1 and "midway" in errors[0]


def test_a_python_reader_that_is_no_generator_is_called_until_it_raises(gears):
    left = [3, 2, 1]
    results, errors = gears.run(gears.GB("PythonReader"), lambda: left.pop())
    assert results == [1, 2, 3] and len(errors) == 1 and "IndexError" in errors[0]
    assert gears.results(gears.GB("PythonReader").limit(2), lambda: 7) == [7, 7]


def test_a_generator_is_closed_when_nothing_more_is_wanted(gears):
    closed = []

    def reader():
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    gears.results(gears.GB("PythonReader", reader).limit(2))
    assert closed == [True]


def test_a_generator_that_fails_while_it_is_closed(gears):
    def reader():
        try:
            yield 1
        finally:
            raise ValueError("at the end")

    results, errors = gears.run(gears.GB("PythonReader", reader).limit(1))
    assert results == [1] and len(errors) == 1 and "at the end" in errors[0]


def test_async_python_readers_are_refused(gears, recwarn):
    async def values():
        yield 1

    async def value():
        return 1

    for reader in (values, value):
        results, errors = gears.run(gears.GB("PythonReader"), reader)
        assert results == [] and len(errors) == 1 and "must not be asynchronous" in errors[0]
    assert not recwarn.list


def test_shards_id_reader(gears):
    assert gears.results(gears.GB("ShardsIDReader")) == ["1"]
    assert gears.results(gears.GB("ShardsIDReader"), "anything") == ["1"]


class Stream:
    """Answers XRANGE from a list of entries."""

    def __init__(self, ids):
        self.entries = [[entry, ["f", "old", "f", entry]] for entry in ids]
        self.asked = []

    def __call__(self, key, start, end, count_word, count):
        self.asked.append(start)
        assert (key, end, count_word) == ("s", "+", "COUNT")
        after = [e for e in self.entries if int(e[0].split("-")[0]) > int(start[1:].split("-")[0])]
        return after[:count]


def test_stream_reader(gears):
    stream = gears.native.replies["XRANGE"] = Stream(f"{i}-0" for i in range(1, 1201))
    results = gears.results(gears.GB("StreamReader"), "s")
    assert len(results) == 1200
    assert results[0] == {"key": "s", "id": "1-0", "value": {"f": "1-0"}}
    assert stream.asked == ["(0-0", "(500-0", "(1000-0", "(1200-0"]


def test_stream_reader_from_an_id_exclusive(gears):
    gears.native.replies["XRANGE"] = Stream(["1-0", "2-0", "3-0"])
    assert [r["id"] for r in gears.results(gears.GB("StreamReader"), "s", fromId="2-0")] == ["3-0"]


def test_stream_reader_takes_resp3_maps_and_binary_fields(gears):
    replies = [[["1-0", {"a": "b"}], ["2-0", [bytearray(b"\xff"), bytearray(b"\xfe")]]], []]
    gears.native.replies["XRANGE"] = lambda *args: replies.pop(0)
    assert [r["value"] for r in gears.results(gears.GB("StreamReader"), "s")] == [{"a": "b"}, {b"\xff": b"\xfe"}]


def test_stream_reader_errors(gears):
    with pytest.raises(gears.Error, match="^fromId argument must be a string$"):
        gears.GB("StreamReader").run("s", fromId=1)
    gears.native.replies["XRANGE"] = gears.Error("ERR Invalid stream ID specified as stream command argument")
    assert gears.run(gears.GB("StreamReader"), "s", fromId="x") == (
        [],
        ["ERR Invalid stream ID specified as stream command argument"],
    )


def test_readers_that_scripts_build_themselves(gears):
    gears.native.batches = [key_records("a", "b")]
    reader = gears.builder.createKeysOnlyReader("k*")
    assert gears.results(gears.GB("PythonReader"), reader) == ["a", "b"]
    assert gears.native.opened == [("k*", False, False)]
    assert gears.results(gears.GB("PythonReader"), gears.builder.shardReaderCallback) == ["1"]


# --- memory ---------------------------------------------------------------------------------------------------


def test_streaming_steps_hold_one_record_at_a_time(gears):
    class Record:
        alive = 0
        most = 0

        def __init__(self):
            Record.alive += 1
            Record.most = max(Record.most, Record.alive)

        def __del__(self):
            Record.alive -= 1

    def reader():
        for _ in range(1000):
            yield Record()

    builder = gears.GB("PythonReader", reader).map(lambda r: r).filter(lambda r: True).count()
    assert gears.results(builder) == [1000]
    assert Record.most <= 3
    assert Record.alive == 0
