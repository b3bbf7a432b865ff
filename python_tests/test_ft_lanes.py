"""Searches give the same answer in every lane: pooled, in MULTI, in Lua, in SAFEMODE; and how they share threads."""

import os
import pathlib
import threading

import pytest
import redis

from helpers import LANES, config, in_all_lanes, in_background, in_lane, plain, wait_until
from test_ft_search import DOCUMENTS, SCHEMA, zoo  # noqa: F401  (a fixture)

SEARCHES = [
    ("quick",),
    ("fox|quick", "WITHSCORES", "NOCONTENT"),
    ("*", "SORTBY", "price", "DESC", "WITHSORTKEYS", "LIMIT", 1, 2, "RETURN", 1, "title"),
    ("*", "SORTBY", "plain", "RETURN", 1, "plain"),
    ("fox", "HIGHLIGHT", "SUMMARIZE", "LEN", 3),
    ("@tags:{red} @price:[0 2]",),
    ("*", "LIMIT", 0, 0),
    ("nothing here",),
]


def as_resp2(reply):
    """A RESP3 reply in the form of RESP2."""
    reply = plain(reply)
    if not isinstance(reply, dict):
        return reply
    flat = [reply["total_results"]]
    for row in reply["results"]:
        flat.append(row["id"])
        if "score" in row:
            flat.append(row["score"])
        if "sortkey" in row:
            flat.append(row["sortkey"])
        if "extra_attributes" in row:
            flat.append([part for pair in row["extra_attributes"].items() for part in pair])
    return flat


def numbers(reply):
    """Scores as numbers: RESP2 has them as texts."""
    if isinstance(reply, list):
        return [numbers(item) for item in reply]
    try:
        return round(float(reply), 9)
    except (TypeError, ValueError):
        return reply


@pytest.mark.parametrize("words", SEARCHES, ids=lambda words: " ".join(map(str, words)))
@pytest.mark.parametrize("inline_cost", [0, 1_000_000])
def test_every_lane_answers_the_same(server, zoo, words, inline_cost):  # noqa: F811
    """With all searches in the pool, and with those of few postings on the main thread."""
    with config(zoo, inline_cost=inline_cost):
        replies = in_all_lanes(server, "FT.SEARCH", "idx", *words)
    expected = numbers(as_resp2(replies["pooled"]))
    assert isinstance(expected, list)
    for lane, reply in replies.items():
        assert numbers(as_resp2(reply)) == expected, lane


@pytest.mark.parametrize("words", [("(",), ("x", "FOO"), ("x", "SORTBY", "zz")])
def test_every_lane_gives_the_same_error(server, zoo, words):  # noqa: F811
    texts = {str(reply) for reply in in_all_lanes(server, "FT.SEARCH", "idx", *words).values()}
    assert all(isinstance(reply, redis.ResponseError) for reply in in_all_lanes(server, "FT.SEARCH", "idx", *words).values())
    # Lua says where the error came from.
    assert len({text.split(" script:")[0].removeprefix("ERR ") for text in texts}) == 1


def test_writes_and_searches_in_one_transaction(r):
    """Inside MULTI there is nobody to index but the search itself."""
    pipe = r.pipeline(transaction=True)
    pipe.execute_command("FT.CREATE", "idx", "PREFIX", 1, "d:", "SCHEMA", *SCHEMA)
    for key, fields in DOCUMENTS.items():
        pipe.hset(key, mapping=fields)
    pipe.execute_command("FT.SEARCH", "idx", "quick", "NOCONTENT")
    pipe.delete("d:1")
    pipe.execute_command("FT.SEARCH", "idx", "quick", "NOCONTENT")
    pipe.hset("d:3", "body", "quick")
    pipe.execute_command("FT.SEARCH", "idx", "quick", "NOCONTENT", "SORTBY", "price")
    replies = plain(pipe.execute())
    assert sorted(replies[5][1:]) == ["d:1", "d:2"]
    assert replies[7] == [1, "d:2"]
    assert replies[9] == [2, "d:3", "d:2"]


def test_writes_and_searches_in_one_script(r):
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "n", "NUMERIC", "t", "TEXT")
    script = """
        for i = 1, 100 do redis.call('HSET', 'd:' .. i, 'n', i, 't', 'word' .. (i % 10)) end
        local before = redis.call('FT.SEARCH', 'idx', '@n:[1 50]', 'LIMIT', 0, 0)[1]
        for i = 1, 20 do redis.call('DEL', 'd:' .. i) end
        local after = redis.call('FT.SEARCH', 'idx', '@n:[1 50]', 'LIMIT', 0, 0)[1]
        return {before, after, redis.call('FT.SEARCH', 'idx', 'word7', 'NOCONTENT')[1]}
    """
    assert r.eval(script, 0) == [50, 30, 8]


@pytest.mark.parametrize("lane", LANES)
def test_explain_tagvals_spellcheck(server, zoo, lane):  # noqa: F811
    assert plain(in_lane(server, lane, "FT.EXPLAIN", "idx", "quick fox")).startswith("INTERSECT {")
    assert sorted(plain(in_lane(server, lane, "FT.TAGVALS", "idx", "tags"))) == ["blue", "green", "red"]
    reply = plain(in_lane(server, lane, "FT.SPELLCHECK", "idx", "quikc"))
    assert "quikc" in str(reply)


def test_long_searches_do_not_make_short_ones_wait(server, r):
    """All threads for long searches are busy; a short one is answered all the same."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT", "rare", "TAG")
    pipe = r.pipeline(transaction=False)
    for n in range(20_000):
        pipe.hset(f"d:{n}", mapping={"t": "common " + " ".join(f"w{n % 100 + k}" for k in range(5)), "rare": n})
    pipe.execute()
    stop = threading.Event()
    query = " | ".join(f"(common w{n} ~w{n + 1} -w{n + 7})" for n in range(60))

    def long_searches(number):
        client = server.client()
        while not stop.is_set():
            client.execute_command("FT.SEARCH", "idx", f"{query} | other{number}", "NOCONTENT", "TIMEOUT", 0)

    with config(r, inline_cost=0, long_cost=1000):
        threads = [threading.Thread(target=long_searches, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        try:
            for n in range(50):
                assert plain(r.execute_command("FT.SEARCH", "idx", f"@rare:{{{n}}}", "NOCONTENT")) == [1, f"d:{n}"]
            def busy():
                info = server.info_interlock()
                return info["long_running"] > 0 and info["long_queued"] > 0 and info["workers_queued"] == 0

            wait_until(busy, what="long searches that wait for each other, and nothing else that waits")
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)


def nice_of_threads(server, name):
    """What the threads of a pool are nice by."""
    for task in pathlib.Path(f"/proc/{server.pid()}/task").iterdir():
        words = (task / "stat").read_text()
        if f"({name})" in words:
            yield int(words.rpartition(")")[2].split()[16])


def test_rows_of_a_long_search_are_read_by_threads_that_do_not_step_back(server, r):
    """They hold the server's lock; the search itself gives way."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT", "other", "TAG")
    for n in range(2000):
        r.hset(f"d:{n}", mapping={"t": "common", "other": "x" * 20})
    with config(r, inline_cost=0, long_cost=1):
        for words in ((), ("RETURN", 1, "other"), ("SORTBY", "other")):
            total, *rows = r.execute_command("FT.SEARCH", "idx", "common", *words, "LIMIT", 0, 1000)
            assert total == 2000 and len(rows) == 2000 and b"x" * 20 in rows[1]
        assert r.execute_command("FT.SEARCH", "idx", "common", "LIMIT", 0, 0) == [2000]
    here = os.nice(0)
    assert set(nice_of_threads(server, "il-rows")) == {here}
    assert set(nice_of_threads(server, "il-long")) == {min(here + 5, 19)}


def test_identical_searches_at_once_are_computed_once(server, r):
    """As many clients as there are get one answer; what one of them does is no concern of the others."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT")
    pipe = r.pipeline(transaction=False)
    for n in range(20_000):
        pipe.hset(f"d:{n}", "t", "common " + " ".join(f"w{n % 100 + k}" for k in range(5)))
    pipe.execute()
    query = " | ".join(f"(common w{n} ~w{n + 1} -w{n + 7})" for n in range(90))
    expected = r.execute_command("FT.SEARCH", "idx", query, "TIMEOUT", 0)
    r.execute_command("IL.STATS", "RESET")
    connections = [server.client().connection_pool.get_connection() for _ in range(60)]
    for number, connection in enumerate(connections):
        words = ["RETURN", 1, "t"] if number % 10 == 0 else []
        connection.send_command("FT.SEARCH", "idx", query, "TIMEOUT", 0, *words)
    # Some do not wait for the answer, the first of all among them.
    for connection in connections[1:40:3]:
        connection.disconnect()
    for number, connection in enumerate(connections):
        if not 1 <= number < 40 or number % 3 != 1:
            assert connection.read_response() == expected
            connection.disconnect()
    info = server.info_interlock()
    assert info["searches_shared"] > 20
    assert info["searches"] + info["searches_shared"] >= 60
    # After a write it is another moment, and another search.
    r.hset("d:1", "t", "nothing")
    assert r.execute_command("FT.SEARCH", "idx", query, "TIMEOUT", 0)[0] == expected[0] - 1


def test_what_is_known_to_be_little_work_runs_at_once(server, r):
    """Lists that are read block by block, ranges, circles and prefixes too, as far as they are short; and nothing else."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT", "tag", "TAG", "n", "NUMERIC", "g", "GEO")
    pipe = r.pipeline(transaction=False)
    for n in range(20_000):
        place = "2.35,48.85" if n % 100 == 0 else f"{n % 360 - 180},-30"
        pipe.hset(f"d:{n}", mapping={"t": f"common w{n % 1000}", "tag": "even" if n % 2 == 0 else "odd", "n": n, "g": place})
    pipe.execute()

    def runs_at_once(query, *words):
        before = server.info_interlock()["searches_at_once"]
        r.execute_command("FT.SEARCH", "idx", query, "NOCONTENT", *words)
        return server.info_interlock()["searches_at_once"] > before

    with config(r, inline_cost=2000):
        # Once all documents are read, and sealed: what is not has no order by value.
        for little in ("@n:[100 200]", "@g:[2.35 48.85 10 km]", "@tag:{even}", "w99*", "w99 @n:[0 9000]"):
            wait_until(lambda query=little: runs_at_once(query), what=little)
        for much in ("-w99", "common|w99", "common @n:[0 9000]"):
            assert not runs_at_once(much), much
        # A text that is marked may be of any length.
        assert not runs_at_once("w99", "HIGHLIGHT") and not runs_at_once("w99", "SUMMARIZE")
    with config(r, inline_cost=0):
        assert not runs_at_once("@tag:{even}")


@pytest.mark.parametrize("size", [10, 20_000, 1_000_000])
def test_pages_of_every_size_are_whole(server, r, size):
    """What the main thread reads by the way, what another thread makes the reply of, and what takes more than one slice."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT", "n", "NUMERIC", "SORTABLE")
    for n in range(12):
        r.hset(f"d:{n}", mapping={"t": "common", "n": n, "text": f"{n:02}" * (size // 2)})
    expected = [12]
    for n in range(10):
        expected += [f"d:{n}", {"t": "common", "n": str(n), "text": f"{n:02}" * (size // 2)}]
    with config(r, inline_cost=0):
        before = server.info_interlock()["slices"]
        for lane, reply in in_all_lanes(server, "FT.SEARCH", "idx", "common", "SORTBY", "n").items():
            flat = as_resp2(reply)
            rows = [dict(zip(item[::2], item[1::2])) if isinstance(item, list) else item for item in flat]
            assert rows == expected, lane
        assert server.info_interlock()["slices"] > before
        # A document that is not there any more is replaced by the next one, wherever the page is read.
        def flip():
            for _ in range(100):
                r.delete("d:0")
                r.hset("d:0", mapping={"t": "common", "n": 0})

        with in_background(flip):
            for _ in range(50):
                total, *rows = r.execute_command("FT.SEARCH", "idx", "common", "SORTBY", "n", "RETURN", 1, "n")
                assert total in (11, 12) and len(rows) == 20


def test_long_lists_in_every_lane(server, r):
    """A dictionary and synonyms of which a worker makes the reply."""
    words = [f"word{n:04}" for n in range(1000)]
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT")
    r.execute_command("FT.DICTADD", "dict", *words)
    r.execute_command("FT.SYNUPDATE", "idx", "group", *words)
    for lane, reply in in_all_lanes(server, "FT.DICTDUMP", "dict").items():
        assert sorted(plain(reply)) == words, lane
    for lane, reply in in_all_lanes(server, "FT.SYNDUMP", "idx").items():
        reply = plain(reply)
        if isinstance(reply, list):
            reply = dict(zip(reply[::2], reply[1::2]))
        assert reply == {word: ["group"] for word in words}, lane


def test_one_document_is_enough_to_have_a_full_segment_sealed(server, r):
    """Whoever looked after the segments a moment before it was full: nobody may come after the document that filled it."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "n", "NUMERIC")
    pipe = r.pipeline(transaction=False)
    for n in range(19_999):
        pipe.hset(f"d:{n}", "n", n)
    pipe.execute()
    wait_until(lambda: r.execute_command("FT.SEARCH", "idx", "*", "LIMIT", 0, 0)[0] == 19_999)
    wait_until(lambda: server.info_interlock()["maintenance_running"] == 0)
    r.hset("last", "n", 1)

    def runs_at_once():
        before = server.info_interlock()["searches_at_once"]
        r.execute_command("FT.SEARCH", "idx", "@n:[100 200]", "NOCONTENT")
        return server.info_interlock()["searches_at_once"] > before

    with config(r, inline_cost=2000):
        wait_until(runs_at_once, what="a sealed segment, whose values have an order")


def test_a_long_query_is_read_off_the_servers_thread(server, zoo):  # noqa: F811
    """With the same answers, and the same errors."""
    words = "|".join(f"word{n}" for n in range(2000))
    for lane, reply in in_all_lanes(server, "FT.SEARCH", "idx", f"quick|{words}", "NOCONTENT").items():
        assert sorted(as_resp2(reply)[1:]) == ["d:1", "d:2"], lane
    for lane, reply in in_all_lanes(server, "FT.SEARCH", "idx", f"(quick|{words}").items():
        assert isinstance(reply, redis.ResponseError) and "Syntax error at offset" in str(reply), lane
