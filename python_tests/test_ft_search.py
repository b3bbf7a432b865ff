"""FT.SEARCH: every option and every error, over RESP2 and RESP3."""

import pytest
import redis
from redis.commands.search.query import GeoFilter, NumericFilter, Query

from helpers import in_lane, plain

SCHEMA = (
    "title TEXT SORTABLE UNF body TEXT WEIGHT 2 tags TAG price NUMERIC SORTABLE loc GEO plain TAG lower TEXT SORTABLE"
).split()

DOCUMENTS = {
    "d:1": dict(title="Zebra", body="the quick brown fox jumps over the lazy dog", tags="red,blue", price=1, plain="c"),
    "d:2": dict(title="apple", body="quick quick rabbits running", tags="red", price=2.5, plain="a", lower="BETA"),
    "d:3": dict(title="Mango", body="a fox and a rabbit", tags="Green", price=-3, loc="2.35,48.85", lower="alpha"),
    "d:4": dict(title="kiwi", body="nothing of interest", loc="2.36,48.86", plain="b"),
}


@pytest.fixture
def zoo(r):
    r.execute_command("FT.CREATE", "idx", "PREFIX", 1, "d:", "SCHEMA", *SCHEMA)
    for key, fields in DOCUMENTS.items():
        r.hset(key, mapping=fields)
    return r


def search(client, *words):
    """FT.SEARCH idx: the total and the rows, each a list of its parts."""
    return plain(client.execute_command("FT.SEARCH", "idx", *words))


def keys(client, *words):
    """The keys of the rows, in order."""
    return search(client, *words, "NOCONTENT")[1:]


def fields(row):
    return dict(zip(row[::2], row[1::2]))


def test_rows_are_whole_documents(zoo):
    total, key, row = search(zoo, "zebra")
    assert (total, key) == (1, "d:1")
    assert fields(row) == {name: str(value) for name, value in DOCUMENTS["d:1"].items()}


def test_total_counts_all_and_limit_pages(zoo):
    assert search(zoo, "fox|quick", "LIMIT", 0, 0) == [3]
    everything = keys(zoo, "fox|quick")
    assert sorted(everything) == ["d:1", "d:2", "d:3"]
    paged = [key for offset in range(4) for key in keys(zoo, "fox|quick", "LIMIT", offset, 1)]
    assert paged == everything
    assert search(zoo, "fox|quick", "NOCONTENT", "LIMIT", 5, 10) == [3]


def test_equal_scores_stand_by_age(zoo):
    assert keys(zoo, "*", "SCORER", "DOCSCORE") == ["d:1", "d:2", "d:3", "d:4"]
    zoo.hset("d:1", "price", 7)
    assert keys(zoo, "*", "SCORER", "DOCSCORE") == ["d:2", "d:3", "d:4", "d:1"]


def test_a_client_finds_its_own_writes(zoo):
    for n in range(200):
        zoo.hset("d:5", "body", f"word{n}")
        assert keys(zoo, f"word{n}") == ["d:5"]
        assert keys(zoo, f"word{n - 1}") == []
    zoo.delete("d:5")
    assert search(zoo, "word199") == [0]


@pytest.mark.parametrize("field, direction, expected", [
    ("price", "ASC", ["d:3", "d:1", "d:2", "d:4"]),
    ("price", "DESC", ["d:2", "d:1", "d:3", "d:4"]),
    ("title", "ASC", ["d:3", "d:1", "d:2", "d:4"]),
    ("title", "DESC", ["d:4", "d:2", "d:1", "d:3"]),
    ("lower", "ASC", ["d:3", "d:2", "d:1", "d:4"]),
    ("lower", "DESC", ["d:2", "d:3", "d:4", "d:1"]),
    ("plain", "ASC", ["d:2", "d:4", "d:1", "d:3"]),
    ("plain", "DESC", ["d:1", "d:4", "d:2", "d:3"]),
])
def test_sortby(zoo, field, direction, expected):
    """Numbers, texts as written, normalised texts, and a field that is not SORTABLE; without a value: last."""
    assert keys(zoo, "*", "SORTBY", field, direction) == expected
    assert keys(zoo, "*", "SORTBY", field, direction, "LIMIT", 1, 2) == expected[1:3]


def test_sort_keys(zoo):
    assert search(zoo, "*", "SORTBY", "price", "WITHSORTKEYS", "NOCONTENT") == [
        4, "d:3", "#-3", "d:1", "#1", "d:2", "#2.5", "d:4", None]
    assert search(zoo, "*", "SORTBY", "lower", "WITHSORTKEYS", "NOCONTENT", "LIMIT", 0, 2) == [
        4, "d:3", "$alpha", "d:2", "$beta"]
    assert search(zoo, "*", "SORTBY", "plain", "WITHSORTKEYS", "NOCONTENT", "LIMIT", 0, 1) == [4, "d:2", "$a"]
    assert search(zoo, "zebra", "WITHSORTKEYS", "NOCONTENT") == [1, "d:1", None]


def test_return(zoo):
    row = search(zoo, "zebra", "RETURN", 2, "title", "price")[2]
    assert fields(row) == {"title": "Zebra", "price": "1"}
    row = search(zoo, "zebra", "RETURN", 6, "title", "AS", "t", "price", "AS", "p")[2]
    assert fields(row) == {"t": "Zebra", "p": "1"}
    assert search(zoo, "kiwi", "RETURN", 2, "price", "nothing")[2] == []
    assert search(zoo, "zebra", "RETURN", 0) == [1, "d:1"]
    assert search(zoo, "zebra", "RETURN", 1, "title")[2] == ["title", "Zebra"]


def test_numbers_are_returned_as_they_are_stored(zoo):
    zoo.hset("d:1", "price", "1.50")
    assert search(zoo, "zebra", "RETURN", 1, "price")[2] == ["price", "1.50"]
    assert search(zoo, "@price:[1.5 1.5]", "NOCONTENT") == [1, "d:1"]


def test_scores_and_explanations(zoo):
    total, key, score, row = search(zoo, "zebra", "WITHSCORES")
    assert (total, key) == (1, "d:1") and float(score) > 0 and row
    _, _, (score, explanation), _ = search(zoo, "zebra", "WITHSCORES", "EXPLAINSCORE")
    assert float(score) > 0
    assert explanation[0].startswith("Final TFIDF")
    assert any("TFIDF" in str(child) for child in explanation[1])


@pytest.mark.parametrize("scorer", ["TFIDF", "TFIDF.DOCNORM", "BM25", "BM25STD", "DISMAX", "DOCSCORE", "HAMMING"])
def test_scorers(zoo, scorer):
    total, *rows = search(zoo, "quick", "SCORER", scorer, "WITHSCORES", "NOCONTENT", "PAYLOAD", "ab")
    assert total == 2 and sorted(rows[::2]) == ["d:1", "d:2"]
    scores = [float(score) for score in rows[1::2]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == {"DOCSCORE": 1.0, "HAMMING": 0.0}.get(scorer, scores[0])


def test_payloads(r):
    r.execute_command("FT.CREATE", "idx", "PAYLOAD_FIELD", "pay", "SCHEMA", "t", "TEXT")
    r.hset("a", mapping={"t": "x", "pay": "\x0f"})
    r.hset("b", mapping={"t": "x", "pay": "\x0e"})
    r.hset("c", mapping={"t": "x"})
    reply = search(r, "x", "WITHPAYLOADS", "NOCONTENT", "SCORER", "HAMMING", "PAYLOAD", "\x0e")
    assert reply == [3, "b", "\x0e", "a", "\x0f", "c", None]


def test_what_is_about_a_document_is_not_shown(r):
    r.execute_command("FT.CREATE", "idx", "SCORE_FIELD", "s", "LANGUAGE_FIELD", "l", "SCHEMA", "t", "TEXT")
    r.hset("a", mapping={"t": "x", "s": "0.5", "l": "german", "other": "1"})
    assert fields(search(r, "x")[2]) == {"t": "x", "other": "1"}
    assert fields(search(r, "x", "RETURN", 2, "s", "l")[2]) == {"s": "0.5", "l": "german"}


@pytest.mark.parametrize("words, expected", [
    (["FILTER", "price", 1, 3], ["d:1", "d:2"]),
    (["FILTER", "price", "(1", "inf"], ["d:2"]),
    (["FILTER", "price", "-inf", 0], ["d:3"]),
    (["FILTER", "price", 0, 5, "FILTER", "price", 2, 9], ["d:2"]),
    (["FILTER", "title", 0, 5], []),
    (["FILTER", "none", 0, 5], []),
    (["GEOFILTER", "loc", 2.35, 48.85, 100, "m"], ["d:3"]),
    (["GEOFILTER", "loc", 2.35, 48.85, 5, "km"], ["d:3", "d:4"]),
    (["GEOFILTER", "price", 2.35, 48.85, 5, "km"], []),
    (["INKEYS", 3, "d:4", "d:2", "nothing"], ["d:2", "d:4"]),
    (["INKEYS", 0], []),
    (["INFIELDS", 1, "title"], ["d:1", "d:2", "d:3", "d:4"]),
])
def test_filters(zoo, words, expected):
    assert sorted(keys(zoo, "*", *words)) == expected


def test_infields_restrict_bare_words(zoo):
    assert keys(zoo, "zebra", "INFIELDS", 1, "title") == ["d:1"]
    assert keys(zoo, "zebra", "INFIELDS", 1, "body") == []
    assert keys(zoo, "zebra", "INFIELDS", 2, "body", "title") == ["d:1"]
    assert keys(zoo, "zebra", "INFIELDS", 1, "price") == []


@pytest.mark.parametrize("query, words, expected", [
    ("runs", [], ["d:2"]),
    ("runs", ["VERBATIM"], []),
    ("runs", ["LANGUAGE", "russian"], []),
    ("quick fox", ["SLOP", 0], []),
    ("quick fox", ["SLOP", 1], ["d:1"]),
    ("fox quick", ["SLOP", 5, "INORDER"], []),
    ("fox quick", ["INORDER"], []),
    ("fox quick", ["SLOP", 5], ["d:1"]),
    ("the fox", [], ["d:1", "d:3"]),
    ("the fox", ["NOSTOPWORDS"], []),
    ("rabbits", ["EXPANDER", "SYNONYM"], ["d:2"]),
    ("$word", ["PARAMS", 2, "word", "zebra", "DIALECT", 2], ["d:1"]),
    ("w'$pattern'", ["PARAMS", 2, "pattern", "z?b*", "DIALECT", 2], ["d:1"]),
    ("@tags:{w'$pattern'}", ["PARAMS", 2, "pattern", "gr?*n", "DIALECT", 2], ["d:3"]),
    ("@price:[$low $high]", ["PARAMS", 4, "low", 1, "high", 2, "DIALECT", 2], ["d:1"]),
    ("@tags:{red}", [], ["d:1", "d:2"]),
    ("@tags:{green}", [], ["d:3"]),
    ("-fox", [], ["d:2", "d:4"]),
    ("zeb*", [], ["d:1"]),
    ("%zebro%", [], ["d:1"]),
    ("*bra", [], ["d:1"]),
    ("@loc:[2.35 48.85 100 m]", [], ["d:3"]),
    ("", [], []),
    ("the", [], []),
])
def test_queries(zoo, query, words, expected):
    assert sorted(keys(zoo, query, *words)) == expected


def test_highlight_and_summarize(zoo):
    row = fields(search(zoo, "fox", "HIGHLIGHT", "INKEYS", 1, "d:1")[2])
    assert row["body"] == "the quick brown <b>fox</b> jumps over the lazy dog" and row["title"] == "Zebra"
    row = fields(search(zoo, "fox", "INKEYS", 1, "d:1", "RETURN", 1, "body", "SUMMARIZE", "HIGHLIGHT")[2])
    assert row == {"body": "quick brown <b>fox</b> jumps over the lazy... "}
    row = fields(search(zoo, "fox", "INKEYS", 1, "d:1", "RETURN", 1, "body",
                        "SUMMARIZE", "FIELDS", 1, "body", "FRAGS", 1, "LEN", 2, "SEPARATOR", "|")[2])
    assert row == {"body": "fox jumps|"}
    row = fields(search(zoo, "fox zebra", "HIGHLIGHT", "FIELDS", 1, "title", "TAGS", "<i>", "</i>")[2])
    assert row["title"] == "<i>Zebra</i>" and "fox" in row["body"] and "<" not in row["body"]
    row = fields(search(zoo, "running", "RETURN", 3, "body", "AS", "b", "HIGHLIGHT")[2])
    assert row == {"b": "quick quick rabbits <b>running</b>"}


def test_highlight_of_an_index_without_offsets(r):
    r.execute_command("FT.CREATE", "idx", "NOHL", "SCHEMA", "t", "TEXT")
    for option in ("HIGHLIGHT", "SUMMARIZE"):
        with pytest.raises(redis.ResponseError, match="Cannot use highlight/summarize because NOOFSETS was specified at index level"):
            search(r, "x", option)


def test_resp3(zoo, r3):
    reply = plain(r3.execute_command("FT.SEARCH", "idx", "zebra", "WITHSCORES", "WITHPAYLOADS", "WITHSORTKEYS",
                                     "SORTBY", "price", "RETURN", 1, "title"))
    assert list(reply) == ["attributes", "total_results", "format", "results", "warning"]
    assert (reply["attributes"], reply["total_results"], reply["format"], reply["warning"]) == ([], 1, "STRING", [])
    (row,) = reply["results"]
    assert list(row) == ["id", "score", "payload", "sortkey", "extra_attributes", "values"]
    assert isinstance(row["score"], float)
    assert row == {"id": "d:1", "score": row["score"], "payload": None, "sortkey": "#1",
                   "extra_attributes": {"title": "Zebra"}, "values": []}
    (row,) = plain(r3.execute_command("FT.SEARCH", "idx", "zebra", "NOCONTENT"))["results"]
    assert row == {"id": "d:1", "values": []}


@pytest.mark.parametrize("words, error", [
    ([], "No query string provided"),
    (["q", "FOO"], "Unknown argument `FOO` at position 1 for <main>"),
    (["q", "LIMIT", 1], "LIMIT requires two arguments"),
    (["q", "LIMIT", "a", "b"], "LIMIT needs two numeric arguments"),
    (["q", "LIMIT", 0, 1000001], "LIMIT exceeds maximum of 1000000"),
    (["q", "LIMIT", 1000001, 1], "OFFSET exceeds maximum of 1000000"),
    (["q", "RETURN", 2, "f", "AS"], "RETURN path AS name - must be accompanied with NAME"),
    (["q", "SORTBY", "zz"], "Property `zz` not loaded nor in schema"),
    (["q", "FILTER", "n", 1], "FILTER requires 3 arguments"),
    (["q", "GEOFILTER", "n", 1], "GEOFILTER requires 5 arguments"),
    (["q", "GEOFILTER", "g", 1, 2, 3, "yd"], "Unknown distance unit yd"),
    (["q", "LANGUAGE", "klingon"], "No such language"),
    (["q", "SCORER", "mine"], "No such scorer mine"),
    (["q", "EXPLAINSCORE"], "EXPLAINSCORE must be accompanied with WITHSCORES"),
    (["q", "TIMEOUT", "x"], "TIMEOUT requires a non negative integer"),
    (["q", "DIALECT", 9], "DIALECT requires a non negative integer >=1 and <= 4"),
    (["q", "SUMMARIZE", "LEN", "x"], "Bad arguments for SUMMARIZE"),
    (["q", "HIGHLIGHT", "TAGS", "x"], "Bad arguments for HIGHLIGHT"),
    (["q", "PARAMS", 1, "x"], "Parameters must be specified in PARAM VALUE pairs"),
    (["$x", "DIALECT", 2], "No such parameter `x`"),
    (["@price:[a 1]"], "Syntax error at offset"),
    (["(fox"], "Syntax error at offset"),
    (["fox)"], "Syntax error at offset"),
])
def test_errors(zoo, words, error):
    with pytest.raises(redis.ResponseError) as raised:
        search(zoo, *words)
    assert error in str(raised.value)


def test_no_such_index(r):
    with pytest.raises(redis.ResponseError, match="nope: no such index"):
        r.execute_command("FT.SEARCH", "nope", "x")


def test_aliases_and_other_databases(server, zoo):
    zoo.execute_command("FT.ALIASADD", "other", "idx")
    assert plain(zoo.execute_command("FT.SEARCH", "other", "zebra", "NOCONTENT")) == [1, "d:1"]
    third = server.client(db=3)
    assert search(third, "zebra")[2] == search(zoo, "zebra")[2]


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(server, zoo, protocol):
    """The queries as redis-py builds them."""
    ft = server.client(protocol=protocol, decode_responses=True).ft("idx")
    query = (
        Query("quick").with_scores().with_payloads().return_fields("title", "price").sort_by("price", asc=False)
        .paging(0, 5).dialect(2)
    )
    query.add_filter(NumericFilter("price", 0, NumericFilter.INF))
    result = ft.search(query)
    if protocol == 2:
        assert result.total == 2
        assert [(doc.id, doc.title, doc.price) for doc in result.docs] == [("d:2", "apple", "2.5"), ("d:1", "Zebra", "1")]
        assert all(doc.score > 0 and doc.payload is None for doc in result.docs)
    geo = Query("*").add_filter(GeoFilter("loc", 2.35, 48.85, 1, "km")).no_content()
    found = ft.search(geo)
    assert (found.total if protocol == 2 else len(getattr(found, "docs", found))) >= 1
    assert ft.explain("quick fox").startswith("INTERSECT {")


def test_expired_documents_are_left_out(zoo):
    zoo.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "0")
    try:
        zoo.pexpire("d:1", 1)
        import time
        time.sleep(0.02)
        assert search(zoo, "fox", "RETURN", 1, "tags")[1:] == ["d:3", ["tags", "Green"]]
    finally:
        zoo.execute_command("DEBUG", "SET-ACTIVE-EXPIRE", "1")


@pytest.fixture
def limited(server, zoo):
    zoo.execute_command("ACL", "SETUSER", "limited", "on", ">pw", "%R~d:1", "~d:3", "%W~d:2", "+@all")
    yield server.client(username="limited", password="pw")
    zoo.execute_command("ACL", "DELUSER", "limited")


def test_a_user_sees_only_rows_it_may_read(limited):
    assert keys(limited, "*") == ["d:1", "d:3"]
    assert [row for row in search(limited, "quick", "RETURN", 1, "title")[1:]] == ["d:1", ["title", "Zebra"]]
    assert search(limited, "apple") == [1], "the total is that of the index"
    assert keys(limited, "*", "SORTBY", "price", "DESC", "LIMIT", 0, 1) == ["d:1"]
    assert search(limited, "*", "SORTBY", "plain", "RETURN", 1, "plain")[1:] == ["d:1", ["plain", "c"], "d:3", []]


def test_chinese_has_words_without_blanks(r, server):
    """In documents and queries of that language, in every lane."""
    r.execute_command("FT.CREATE", "idx", "LANGUAGE", "chinese", "LANGUAGE_FIELD", "lang", "SCHEMA", "t", "TEXT")
    r.hset("d:1", mapping={"t": "小明硕士毕业于中国科学院计算所，后在日本京都大学深造", "x": "y"})
    r.hset("d:2", mapping={"t": "我买了一部 iPhone手机。很好用", "x": "y"})
    r.hset("d:3", mapping={"t": "running 中国", "lang": "english"})

    def found(query, *words):
        return sorted(search(r, query, "NOCONTENT", *words)[1:])

    for query, expected in [
        ("毕业", ["d:1"]), ("科学院", ["d:1"]), ("京都", ["d:1"]), ("大学", ["d:1"]), ("大学生", []),
        ("中国科学院计算所", ["d:1"]), ("毕业手机", []), ('"毕业于中国科学院"', ["d:1"]), ('"深造 毕业"', []),
        ("iphone", ["d:2"]), ("手机", ["d:2"]), ("手机|深造", ["d:1", "d:2"]), ("-手机", ["d:1", "d:3"]), ("手机*", ["d:2"]),
    ]:
        assert found(query, "LANGUAGE", "chinese") == expected, query
        assert found(query) == expected, query
    # A document of another language is read as that.
    assert found("中国") == ["d:1", "d:3"] and found("runs", "LANGUAGE", "english") == ["d:3"]
    row = search(r, "京都 手机|京都", "HIGHLIGHT", "TAGS", "<", ">", "RETURN", 1, "t", "LANGUAGE", "chinese")
    assert row[2][1].count("<") == 1 and "<日本京都大学>" in row[2][1], "the word that it is inside"
    row = search(r, "手机", "HIGHLIGHT", "TAGS", "<", ">", "RETURN", 1, "t", "LANGUAGE", "chinese")
    assert row[2][1] == "我买了一部 iPhone<手机>。很好用"
    for lane in ("multi", "lua"):
        assert plain(in_lane(server, lane, "FT.SEARCH", "idx", "科学院", "NOCONTENT")) == [1, "d:1"], lane
