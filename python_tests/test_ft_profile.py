"""FT.PROFILE: a search with where its time went; and FT.EXPLAIN, FT.EXPLAINCLI."""

import pytest
import redis

from helpers import LANES, as_map, in_lane, plain
from test_ft_search import zoo  # noqa: F401  (a fixture)


def profile(client, *words):
    """The reply of the search and the profile as a dictionary."""
    reply, pairs = plain(client.execute_command("FT.PROFILE", "idx", "SEARCH", *words))
    return reply, {pair[0]: pair[1] if len(pair) > 1 else None for pair in pairs}


def test_a_search_is_profiled(zoo):  # noqa: F811
    plainly = plain(zoo.execute_command("FT.SEARCH", "idx", "quick fox"))
    reply, report = profile(zoo, "QUERY", "quick fox")
    assert reply == plainly
    assert list(report) == ["Total profile time", "Parsing time", "Pipeline creation time", "Warning",
                            "Iterators profile", "Result processors profile"]
    assert float(report["Total profile time"]) > 0 and report["Warning"] is None
    root = as_map(report["Iterators profile"])
    assert root["Type"] == "INTERSECT" and float(root["Time"]) > 0
    assert root["Counter"] == 1
    children = [as_map(child) for child in root["Child iterators"]]
    assert len(children) == 2 and all(child["Counter"] >= 1 for child in children)
    steps = [as_map(step) for step in report["Result processors profile"]]
    assert [(step["Type"], step["Counter"]) for step in steps] == [("Index", 1), ("Sorter", 1), ("Loader", 1)]


@pytest.mark.parametrize("query, kinds", [
    ("zebra", {"TEXT"}),
    ("@tags:{red}", {"TAG"}),
    ("@price:[1 2]", {"NUMERIC"}),
    ("@loc:[2.3 48.8 30 km]", {"GEO"}),
    ("*", {"WILDCARD"}),
    ("zebra|kiwi", {"UNION", "TEXT"}),
    ("-zebra", {"NOT", "TEXT"}),
    ("the", {"EMPTY"}),
])
def test_kinds_of_clauses(zoo, query, kinds):  # noqa: F811
    report = profile(zoo, "QUERY", query, "VERBATIM")[1]["Iterators profile"]
    found = set()

    def walk(clause):
        clause = as_map(clause)
        found.add(clause["Type"])
        for child in clause.get("Child iterators", []):
            walk(child)
        if "Child iterator" in clause:
            walk(clause["Child iterator"])

    walk(report)
    assert found == kinds


def test_limited_only_counts_the_clauses_of_unions(zoo):  # noqa: F811
    report = profile(zoo, "LIMITED", "QUERY", "zebra|kiwi|mango", "VERBATIM")[1]
    assert as_map(report["Iterators profile"])["Child iterators"] == "The number of iterators in the union is 3"


def test_resp3(zoo, r3):  # noqa: F811
    reply = plain(r3.execute_command("FT.PROFILE", "idx", "SEARCH", "QUERY", "zebra", "NOCONTENT"))
    assert reply["total_results"] == 1 and reply["results"] == [{"id": "d:1", "values": []}]
    assert reply["profile"]["Warning"] == "None"
    assert reply["profile"]["Iterators profile"]["Type"] == "TEXT"
    assert isinstance(reply["profile"]["Total profile time"], float)


@pytest.mark.parametrize("words, error", [
    (["QUERY", "x", "y"], "No `SEARCH` or `AGGREGATE` provided"),
    (["SEARCH", "x", "y"], "The QUERY keyword is expected"),
    (["AGGREGATE", "QUERY", "x"], "not supported"),
    (["SEARCH", "QUERY", "(x"], "Syntax error"),
    (["SEARCH", "QUERY", "x", "FOO"], "Unknown argument `FOO`"),
])
def test_errors(zoo, words, error):  # noqa: F811
    with pytest.raises(redis.ResponseError) as raised:
        zoo.execute_command("FT.PROFILE", "idx", *words)
    assert error in str(raised.value)


@pytest.mark.parametrize("lane", LANES)
def test_lanes(server, zoo, lane):  # noqa: F811
    assert "TEXT" in str(plain(in_lane(server, lane, "FT.PROFILE", "idx", "SEARCH", "QUERY", "zebra")))


@pytest.mark.parametrize("query, words, lines", [
    ("quick -fox", [], ["INTERSECT {", "  UNION {", "    quick", "    +quick(expanded)", "  }", "  NOT{", "    fox", "  }", "}"]),
    ("quick", ["VERBATIM"], ["quick"]),
    ("@price:[1 (5]", [], ["NUMERIC {1.000000 <= @price < 5.000000}"]),
    ("*", ["FILTER", "price", 0, "inf"], ["INTERSECT {", "  <WILDCARD>", "  NUMERIC {0.000000 <= @price <= inf}", "}"]),
    ("*", ["INKEYS", 1, "d:1"], ["INTERSECT {", "  <WILDCARD>", "  IDS { d:1 }", "}"]),
    ("the", [], ["<empty>"]),
    ("pre*", [], ["PREFIX{pre*}"]),
])
def test_explain(zoo, query, words, lines):  # noqa: F811
    assert plain(zoo.execute_command("FT.EXPLAIN", "idx", query, *words)) == "".join(line + "\n" for line in lines)
    assert plain(zoo.execute_command("FT.EXPLAINCLI", "idx", query, *words)) == [*lines, ""]


def test_explain_errors(r):
    for command in ("FT.EXPLAIN", "FT.EXPLAINCLI"):
        with pytest.raises(redis.ResponseError, match="nope: no such index"):
            r.execute_command(command, "nope", "x")


def test_tagvals(zoo, r3):  # noqa: F811
    def values(client=zoo):
        return plain(client.execute_command("FT.TAGVALS", "idx", "tags"))

    assert values() == ["blue", "green", "red"]
    assert sorted(values(r3)) == ["blue", "green", "red"]
    zoo.hset("d:3", "tags", "Violet")
    zoo.delete("d:1")
    assert values() == ["red", "violet"]
    for field, error in [("title", "Not a tag field"), ("none", "No such field")]:
        with pytest.raises(redis.ResponseError, match=error):
            zoo.execute_command("FT.TAGVALS", "idx", field)
    with pytest.raises(redis.ResponseError, match="Unknown Index name"):
        zoo.execute_command("FT.TAGVALS", "nope", "tags")


def test_spellcheck(zoo, r3):  # noqa: F811
    def check(*words, client=zoo):
        return plain(client.execute_command("FT.SPELLCHECK", "idx", *words))

    assert check("quikc zebra", "DISTANCE", 2) == [["TERM", "quikc", [["0.5", "quick"]]]]
    assert check("xyzzyxyzzy") == [["TERM", "xyzzyxyzzy", []]]
    assert check("quick") == []
    zoo.execute_command("FT.DICTADD", "more", "quilt")
    assert check("quilc", "TERMS", "INCLUDE", "more") == [["TERM", "quilc", [["0", "quilt"]]]]
    assert check("quilt") != [] and check("quilt", "TERMS", "EXCLUDE", "more") == []
    assert check("quickk", client=r3) == {"results": {"quickk": [{"quick": 0.5}]}}
    for words, error in [
        (("x", "DISTANCE", 0), "bad distance given, distance must be a natural number between 1 to 4"),
        (("x", "DISTANCE", 5), "bad distance given"),
        (("x", "TERMS", "FOO"), "bad format, exlude/include operation was not given"),
        (("x", "TERMS", "INCLUDE", "none"), "Dict does not exist: none"),
        (("x", "FOO"), "Unknown argument"),
        (("(x",), "Syntax error"),
    ]:
        with pytest.raises(redis.ResponseError) as raised:
            check(*words)
        assert error in str(raised.value)
