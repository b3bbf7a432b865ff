"""GearsBuilder: every operation, every argument check, every behaviour that surprises."""

import functools

import pytest


# --- construction -------------------------------------------------------------------------------------


def test_the_reader_is_checked_at_construction(gears):
    for args, message in [
        ((1,), "reader argument must be a string"),
        (("KeysReader", "*", 1), "desc argument must be a string"),
        (("NoSuchReader",), "The given reader does not exists"),
    ]:
        with pytest.raises(gears.Error) as raised:
            gears.GB(*args)
        assert str(raised.value) == message


@pytest.mark.parametrize(
    "reader", ["KeysReader", "StreamReader", "CommandReader", "PythonReader", "ShardsIDReader", "KeysOnlyReader"]
)
def test_every_reader_is_accepted(gears, reader):
    assert gears.GB(reader).reader == reader


def test_the_short_name(gears):
    assert gears.builder.GB is gears.builder.GearsBuilder


# --- operations ---------------------------------------------------------------------------------------


def test_map(gears):
    assert gears.results(gears.over([1, 2, 3]).map(lambda x: x * 2)) == [2, 4, 6]


def test_filter(gears):
    assert gears.results(gears.over(range(6)).filter(lambda x: x % 2)) == [1, 3, 5]


def test_foreach_passes_the_same_record_on(gears):
    builder = gears.over([{"a": 1}]).foreach(lambda r: r.__setitem__("b", 2))
    assert gears.results(builder) == [{"a": 1, "b": 2}]


def test_flatmap_unfolds_a_list_from_its_end(gears):
    assert gears.results(gears.over([[1, 2], [3, 4]]).flatmap(lambda x: x)) == [2, 1, 4, 3]


@pytest.mark.parametrize("value", [(1, 2), "ab", {1}, None, {"a": 1}])
def test_flatmap_passes_anything_but_a_list_as_one_record(gears, value):
    assert gears.results(gears.over([1]).flatmap(lambda x: value)) == [value]


def test_flatmap_of_an_empty_list_gives_nothing(gears):
    assert gears.results(gears.over([1, 2]).flatmap(lambda x: [])) == []


def test_flatmap_takes_the_list_as_it_was(gears):
    kept = [1, 2]
    assert gears.results(gears.over([0]).flatmap(lambda x: kept).map(lambda x: kept.append(x) or x)) == [2, 1]


def test_accumulate_starts_with_none(gears):
    seen = []

    def add(a, r):
        seen.append(a)
        return (a or 0) + r

    assert gears.results(gears.over([1, 2, 3]).accumulate(add)) == [6]
    assert seen == [None, 1, 3]


def test_accumulate_without_records_gives_no_record(gears):
    assert gears.results(gears.over([]).accumulate(lambda a, r: 1)) == []


def test_accumulate_to_none_is_a_record(gears):
    assert gears.results(gears.over([1]).accumulate(lambda a, r: None)) == [None]


def test_limit(gears):
    assert gears.results(gears.over(range(10)).limit(3)) == [0, 1, 2]
    assert gears.results(gears.over(range(10)).limit(3, 2)) == [2, 3, 4]
    assert gears.results(gears.over(range(4)).limit(3, 2)) == [2, 3]
    assert gears.results(gears.over(range(4)).limit(0)) == []
    assert gears.results(gears.over(range(4)).limit(-1)) == []


def test_limit_stops_reading(gears):
    read = []

    def reader():
        for i in range(100):
            read.append(i)
            yield i

    assert gears.results(gears.GB("PythonReader", reader).limit(3)) == [0, 1, 2]
    assert read == [0, 1, 2]


def test_limit_zero_never_opens_the_reader(gears):
    assert gears.results(gears.GB().limit(0)) == []
    assert gears.native.opened == []


def test_limit_in_the_middle_of_a_list(gears):
    assert gears.results(gears.over([[1, 2, 3], [4]]).flatmap(lambda x: x).limit(2)) == [3, 2]


def test_limit_stops_through_nested_lists(gears):
    calls = []

    def unfold(x):
        calls.append(x)
        return [(x, 1), (x, 2)]

    builder = gears.over([["a", "b"], ["c"]]).flatmap(lambda x: x).flatmap(unfold).limit(1)
    assert gears.results(builder) == [("b", 2)]
    assert calls == ["b"]


def test_limit_after_a_sink_limits_what_the_sink_gave(gears):
    builder = gears.over("abca").localgroupby(lambda x: x, lambda k, a, r: (a or 0) + 1).limit(2)
    assert gears.results(builder) == [{"key": "a", "value": 2}, {"key": "b", "value": 1}]


def test_limit_before_a_sink_does_not_touch_what_follows(gears):
    builder = gears.over(range(10)).limit(4).accumulate(lambda a, r: (a or []) + [r]).flatmap(lambda x: x)
    assert gears.results(builder) == [3, 2, 1, 0]


def test_collect_and_repartition_change_nothing_here(gears):
    calls = []

    def key(r):
        calls.append(r)
        return str(r)

    assert gears.results(gears.over([1, 2]).collect().repartition(key).map(lambda x: x)) == [1, 2]
    assert calls == [1, 2]
    assert gears.results(gears.over([1, 2]).repartition(key)) == [1, 2]


@pytest.mark.parametrize("name", ["groupby", "localgroupby"])
def test_groupby(gears, name):
    builder = getattr(gears.over([1, 2, 3, 4]), name)(
        lambda r: "odd" if r % 2 else "even", lambda k, a, r: (a or 0) + r
    )
    results = gears.results(builder)
    assert sorted(results, key=str) == [{"key": "even", "value": 6}, {"key": "odd", "value": 4}]
    assert [list(r) for r in results] == [["key", "value"]] * 2


def test_groupby_hands_the_key_to_the_reducer(gears):
    keys = []
    gears.results(gears.over([1, 2]).groupby(lambda r: r, lambda k, a, r: keys.append((k, a, r))))
    assert keys == [("1", None, 1), ("2", None, 2)]


def test_keys_that_are_not_text_become_their_repr(gears):
    results = gears.results(gears.over([(1, "a"), None, b"x", 1.5]).groupby(lambda r: r, lambda k, a, r: 1))
    assert [r["key"] for r in results] == ["(1, 'a')", "None", "b'x'", "1.5"]


def test_batchgroupby(gears):
    builder = gears.over([1, 2, 3]).batchgroupby(lambda r: r % 2, lambda k, records: (k, records))
    assert gears.results(builder) == [{"key": "1", "value": ("1", [1, 3])}, {"key": "0", "value": ("0", [2])}]


def test_aggregate(gears):
    builder = gears.over(range(5)).aggregate([], lambda a, r: a + [r], lambda a, r: a + r)
    assert gears.results(builder) == [[0, 1, 2, 3, 4]]


def test_aggregate_copies_its_zero(gears):
    zero = []

    def append(a, r):
        a.append(r)
        return a

    builder = gears.over([1, 2]).aggregate(zero, append, lambda a, r: a + r)
    assert gears.results(builder) == [[1, 2]]
    assert zero == []
    assert gears.results(builder) == [[1, 2]]


def test_aggregate_replaces_a_falsy_accumulator_by_zero(gears):
    builder = gears.over([1, 2, 3]).aggregate(10, lambda a, r: 0 if r == 2 else a + r, lambda a, r: a + r)
    # 10 + 1, then 0, which counts as "none yet": 10 + 3; the second half adds its own zero.
    assert gears.results(builder) == [23]


def test_aggregate_without_records(gears):
    assert gears.results(gears.over([]).aggregate(0, lambda a, r: a + r, lambda a, r: a + r)) == []


def test_aggregateby(gears):
    builder = gears.over([1, 2, 3, 4]).aggregateby(lambda r: r % 2, 0, lambda k, a, r: a + r, lambda k, a, r: a + r)
    assert gears.results(builder) == [{"key": "1", "value": 4}, {"key": "0", "value": 6}]


def test_local_aggregateby(gears):
    builder = gears.over("aab").__localAggregateby__(lambda r: r, 0, lambda k, a, r: a + 1)
    assert gears.results(builder) == [{"key": "a", "value": 2}, {"key": "b", "value": 1}]


def test_count(gears):
    assert gears.results(gears.over(range(1000)).count()) == [1000]
    assert gears.results(gears.over([]).count()) == []


def test_countby(gears):
    assert gears.results(gears.over([1, 2, 1]).countby()) == [{"key": "1", "value": 2}, {"key": "2", "value": 1}]
    by = gears.over(["a", "bb", "cc"]).countby(len)
    assert gears.results(by) == [{"key": "1", "value": 1}, {"key": "2", "value": 2}]


def test_sort_is_ascending_unless_reverse_is_false(gears):
    assert gears.results(gears.over([2, 3, 1]).sort()) == [1, 2, 3]
    assert gears.results(gears.over([2, 3, 1]).sort(reverse=True)) == [1, 2, 3]
    assert gears.results(gears.over([2, 3, 1]).sort(reverse=False)) == [3, 2, 1]
    assert gears.results(gears.over([2, 3, 1]).sort(False)) == [3, 2, 1]
    assert gears.results(gears.over([]).sort()) == []


def test_distinct(gears):
    assert sorted(gears.results(gears.over([1, 2, 1, 3]).distinct())) == [1, 2, 3]


def test_avg(gears):
    assert gears.results(gears.over([1, 2, "6"]).avg()) == [3.0]
    assert gears.results(gears.over([[1], [3]]).avg(lambda x: x[0])) == [2.0]
    assert gears.results(gears.over([]).avg()) == []


def test_every_operation_returns_the_builder(gears):
    builder = gears.GB()
    one, two, three = (lambda r: r), (lambda a, r: r), (lambda k, a, r: r)
    for name, args in [
        ("map", (one,)),
        ("filter", (one,)),
        ("foreach", (one,)),
        ("flatmap", (one,)),
        ("accumulate", (two,)),
        ("limit", (1,)),
        ("collect", ()),
        ("repartition", (one,)),
        ("groupby", (one, three)),
        ("localgroupby", (one, three)),
        ("batchgroupby", (one, two)),
        ("aggregate", (0, two, two)),
        ("aggregateby", (one, 0, three, three)),
        ("__localAggregateby__", (one, 0, three)),
        ("count", ()),
        ("countby", ()),
        ("sort", ()),
        ("distinct", ()),
        ("avg", ()),
    ]:
        assert getattr(builder, name)(*args) is builder, name


# --- argument checks ------------------------------------------------------------------------------------


class Callable:
    def __call__(self, r):
        return r

    def method(self, r):
        return r


@pytest.mark.parametrize("name", ["map", "filter", "foreach", "flatmap", "accumulate", "repartition"])
@pytest.mark.parametrize("bad", [1, "x", None, str, Callable(), Callable().method, functools.partial(print), len])
def test_a_callback_must_be_a_function(gears, name, bad):
    with pytest.raises(gears.Error) as raised:
        getattr(gears.GB(), name)(bad)
    assert str(raised.value) == f"{name} argument must be a function"


@pytest.mark.parametrize("name", ["groupby", "localgroupby", "batchgroupby"])
def test_both_callbacks_of_a_grouping_must_be_functions(gears, name):
    for args in [(1, lambda: 1), (lambda: 1, 1)]:
        with pytest.raises(gears.Error) as raised:
            getattr(gears.GB(), name)(*args)
        assert str(raised.value) == f"{name} argument must be a function"


@pytest.mark.parametrize(
    "name, args",
    [
        (name, args)
        for name in ("map", "filter", "foreach", "flatmap", "accumulate", "repartition")
        for args in ((), (1, 2))
    ]
    + [(name, args) for name in ("groupby", "localgroupby", "batchgroupby") for args in ((), (1,), (1, 2, 3))]
    + [("limit", ()), ("limit", (1, 2, 3)), ("collect", (1,))],
)
def test_the_number_of_arguments_is_checked(gears, name, args):
    with pytest.raises(gears.Error) as raised:
        getattr(gears.GB(), name)(*args)
    assert str(raised.value) == f"wrong number of args to {name} function"


def test_operations_take_positional_arguments_only(gears):
    with pytest.raises(TypeError):
        gears.GB().map(f=lambda r: r)


def test_limit_takes_numbers(gears):
    for args in [("1",), (1, "2"), (None,), (1.5,)]:
        with pytest.raises(gears.Error) as raised:
            gears.GB().limit(*args)
        assert str(raised.value) == "limit argument must be a number"


# --- errors -----------------------------------------------------------------------------------------------


def test_an_error_record_has_the_traceback_as_a_printed_list(gears):
    def broken(r):
        raise ValueError('no such "thing"')

    results, errors = gears.run(gears.over([1]).map(broken))
    assert results == []
    assert len(errors) == 1
    lines = eval(errors[0])
    assert lines[0] == "Traceback (most recent call last):\n"
    assert "in broken" in lines[1]
    assert lines[-1] == 'ValueError: no such "thing"\n'
    assert not any("lib/pipeline.py" in line or "lib/builder.py" in line for line in lines)


def test_the_module_s_own_frames_are_not_shown(gears):
    def broken(a, r):
        raise ValueError("x")

    _, errors = gears.run(gears.over([1]).aggregate(0, broken, broken))
    assert len(eval(errors[0])) == 3


def test_without_tracebacks(gears):
    gears.native.traceback = False
    _, errors = gears.run(gears.over([1]).map(lambda r: 1 / 0))
    assert errors == ["Error type: <class 'ZeroDivisionError'>, Value: division by zero"]


def test_a_flat_error_is_its_text(gears):
    def broken(r):
        raise gears.native.GearsFlatError("exactly this")

    assert gears.run(gears.over([1]).map(broken)) == ([], ["exactly this"])


def test_an_exception_that_cannot_be_printed(gears):
    class Broken(Exception):
        def __str__(self):
            raise KeyError("again")

    def broken(r):
        raise Broken

    for gears.native.traceback in (True, False):
        _, errors = gears.run(gears.over([1]).map(broken))
        assert len(errors) == 1 and "Broken" in errors[0]


def test_the_reader_stops_after_an_error(gears):
    read = []

    def reader():
        for i in range(100):
            read.append(i)
            yield i

    results, errors = gears.run(gears.GB("PythonReader", reader).map(lambda r: r if r < 3 else 1 / 0))
    assert results == [0, 1, 2]
    assert len(errors) == 1
    assert read == [0, 1, 2, 3]


def test_an_error_record_skips_the_steps_that_follow(gears):
    seen = []
    gears.run(gears.over([1]).map(lambda r: 1 / 0).foreach(lambda r: seen.append(r)))
    assert seen == []


@pytest.mark.parametrize("name", ["filter", "foreach", "flatmap", "repartition"])
def test_errors_in_other_steps(gears, name):
    results, errors = gears.run(getattr(gears.over([1, 2]), name)(lambda r: 1 / 0))
    assert results == [] and len(errors) == 1 and "ZeroDivisionError" in errors[0]


def test_what_was_expanded_before_the_error_goes_on(gears):
    builder = gears.over([[1, 0, 2], [5]]).flatmap(lambda r: r).map(lambda r: 1 // r * r)
    results, errors = gears.run(builder)
    # The list is finished, nothing more is read.
    assert results == [0, 1]
    assert len(errors) == 1


def test_a_failed_element_of_a_nested_list(gears):
    builder = gears.over([[[1, 0], [0, 3]], [[5]]]).flatmap(lambda r: r).flatmap(lambda r: r)
    results, errors = gears.run(builder.map(lambda r: 6 // r))
    assert results == [2, 6]
    assert len(errors) == 2


def test_accumulate_drops_its_value_after_an_error(gears):
    results, errors = gears.run(gears.over([1, 2, 0]).map(lambda r: 1 // r).accumulate(lambda a, r: (a or 0) + r))
    assert results == [] and len(errors) == 1
    results, errors = gears.run(gears.over([1, 0]).map(lambda r: 1 // r).count())
    assert results == [] and len(errors) == 1


def test_accumulate_that_fails_itself(gears):
    results, errors = gears.run(gears.over([1, 2]).accumulate(lambda a, r: r if a is None else 1 // 0))
    assert results == [] and len(errors) == 1


def test_groups_survive_another_group_s_error(gears):
    def reducer(k, a, r):
        return (a or 0) + 10 // r

    results, errors = gears.run(gears.over([1, 2, 0]).groupby(lambda r: r % 3, reducer))
    assert results == [{"key": "1", "value": 10}, {"key": "2", "value": 5}]
    assert len(errors) == 1
    results, errors = gears.run(gears.over([1, 2, 0]).groupby(lambda r: "x", reducer))
    assert results == [] and len(errors) == 1


def test_an_error_after_a_grouping_costs_one_record(gears):
    builder = gears.over([1, 0, 2]).countby().map(lambda r: 2 // int(r["key"]))
    results, errors = gears.run(builder)
    assert results == [2, 1] and len(errors) == 1


def test_reducer_of_batchgroupby_fails(gears):
    builder = gears.over([1, 0]).batchgroupby(lambda r: r, lambda k, records: 1 // records[0])
    results, errors = gears.run(builder)
    assert results == [{"key": "1", "value": 1}] and len(errors) == 1


def test_records_that_cannot_be_sorted(gears):
    results, errors = gears.run(gears.over([1, "a"]).sort())
    assert results == [] and len(errors) == 1 and "TypeError" in errors[0]


def test_records_that_cannot_be_hashed(gears):
    results, errors = gears.run(gears.over([[]]).distinct())
    assert results == [] and "unhashable" in errors[0]


def test_sys_exit_is_an_error_record(gears):
    def leave(r):
        raise SystemExit(3)

    results, errors = gears.run(gears.over([1, 2]).map(leave))
    assert results == [] and len(errors) == 1 and "SystemExit: 3" in errors[0]


def test_a_stop_is_not_an_error_record(gears):
    stopped = gears.native.GearsForceStopped

    def stop(r):
        raise stopped("stop")

    for builder in [
        gears.GB().map(stop),
        gears.GB().flatmap(lambda r: [1, 2]).map(stop),
        gears.GB().countby().map(stop),
        gears.GB().groupby(lambda r: "k", lambda k, a, r: stop(r)),
    ]:
        gears.native.batches = [[{"key": "a", "event": None}]]
        with pytest.raises(stopped):
            gears.run(builder)
        assert gears.native.sources[-1].closed


def test_coroutines_where_nothing_can_wait(gears, recwarn):
    async def later(*args):
        return 1

    identity = lambda r: r
    for builder, message in [
        (gears.over([1]).groupby(later, lambda k, a, r: 1), "coroutine are not allow on extractor"),
        (gears.over([1]).batchgroupby(later, lambda k, r: 1), "coroutine are not allow on extractor"),
        (gears.over([1]).repartition(later), "coroutine are not allow on extractor"),
        (gears.over([1]).batchgroupby(identity, later), "coroutine are not allow on reduce"),
    ]:
        assert gears.run(builder) == ([], [message])
    assert not recwarn.list
