"""Does FT.CREATE make an index, or say in known words why not? And FT.DROPINDEX, FT._LIST."""

import time

import pytest
import redis

from ft import documents, error_of, info, names, plain
from helpers import in_lua, in_multi, wait_until


def create(client, name, *words):
    return client.execute_command("FT.CREATE", name, *words)


def test_create_list_drop(r, r3):
    assert create(r, "one", "SCHEMA", "t", "TEXT") == b"OK"
    assert create(r, "two", "ON", "HASH", "PREFIX", 1, "b:", "SCHEMA", "n", "NUMERIC", "SORTABLE") == b"OK"
    assert names(r) == {"one", "two"}
    assert names(r3) == {"one", "two"}
    assert error_of(r, "FT.CREATE", "one", "SCHEMA", "t", "TEXT") == "Index already exists"
    assert r.execute_command("FT.DROPINDEX", "one") == b"OK"
    assert names(r) == {"two"}
    assert error_of(r, "FT.DROPINDEX", "one") == "Unknown Index name"
    assert error_of(r, "FT.DROPINDEX", "one", "KEEP") == "Unknown argument `KEEP`"
    assert error_of(r, "FT.DROPINDEX", "one", "DD", "KEEP") == "Unknown argument `KEEP`"
    assert create(r, "one", "SCHEMA", "t", "TEXT") == b"OK"


@pytest.mark.parametrize(
    "words, text",
    [
        ("FOO SCHEMA t TEXT", "Unknown argument `FOO`"),
        ("SCHEMA", "Fields arguments are missing"),
        ("SCHEMA t", "Field `t` does not have a type"),
        ("SCHEMA t STRANGE", "Invalid field type for field `t`"),
        ("SCHEMA t TEXT t TEXT", "Duplicate field in schema - t"),
        ("ON LIST SCHEMA t TEXT", "Invalid rule type: LIST"),
        ("SCORE 2 SCHEMA t TEXT", "Invalid score"),
        ("LANGUAGE klingon SCHEMA t TEXT", "Invalid language"),
        ("PREFIX x SCHEMA t TEXT", "Bad arguments for PREFIX: Could not convert argument to expected type"),
        ("STOPWORDS 3 x", "Bad arguments for STOPWORDS: Expected an argument, but none provided"),
        ("SCHEMA t TAG SEPARATOR ab", "Tag separator must be a single character. Got `ab`"),
    ],
)
def test_refused_with_known_words(r, words, text):
    assert error_of(r, "FT.CREATE", "i", *words.split()) == text
    assert names(r) == set()


@pytest.mark.parametrize("words", ["ON JSON SCHEMA t TEXT", "SCHEMA v VECTOR FLAT 2 DIM 1", "SCHEMA g GEOSHAPE"])
def test_what_is_not_there_yet_is_refused(r, words):
    assert "not supported" in error_of(r, "FT.CREATE", "i", *words.split())


def test_only_on_database_0(server, r):
    other = server.client(db=1)
    assert error_of(other, "FT.CREATE", "i", "SCHEMA", "t", "TEXT") == "Cannot create index on db != 0"


@pytest.mark.parametrize("lane", [in_multi, in_lua])
def test_lanes(r, lane):
    assert lane(r, "FT.CREATE", "i", "SCHEMA", "t", "TEXT") == b"OK"
    assert isinstance(lane(r, "FT.CREATE", "i", "SCHEMA", "t", "TEXT"), redis.ResponseError)
    r.hset("d", "t", "hello")
    assert lane(r, "FT.DROPINDEX", "i", "DD") == b"OK"
    assert names(r) == set() and r.exists("d") == 0


def test_dropping_with_documents_deletes_only_them(r):
    create(r, "i", "PREFIX", 1, "d:", "SCHEMA", "t", "TEXT")
    for n in range(500):
        r.hset(f"d:{n}", "t", "hello")
        r.hset(f"e:{n}", "t", "hello")
    r.set("d:string", 1)
    assert r.execute_command("FT.DROPINDEX", "i", "dd") == b"OK"
    assert r.dbsize() == 501
    assert r.exists("d:string", "e:0") == 2


def test_flushall_drops_indexes_and_flushing_another_database_does_not(server, r):
    create(r, "i", "SCHEMA", "t", "TEXT")
    other = server.client(db=1)
    other.flushdb()
    assert names(r) == {"i"}
    r.flushdb()
    assert names(r) == set()
    create(r, "i", "SCHEMA", "t", "TEXT")
    other.flushall()
    assert names(r) == set()


def test_a_temporary_index_goes_with_its_documents_when_nobody_uses_it(r):
    create(r, "t", "PREFIX", 1, "d:", "TEMPORARY", 2, "SCHEMA", "t", "TEXT")
    create(r, "kept", "PREFIX", 1, "e:", "SCHEMA", "t", "TEXT")
    r.hset("d:1", "t", "x")
    r.hset("e:1", "t", "x")
    assert r.execute_command("FT.DEBUG", "TTL", "t") in (1, 2)
    assert error_of(r, "FT.DEBUG", "TTL", "kept") == "Index is not temporary"
    assert error_of(r, "FT.DEBUG", "TTL", "no") == "Unknown index name"
    wait_until(lambda: names(r) == {"kept"})
    wait_until(lambda: r.keys("*") == [b"e:1"])


def test_use_puts_off_the_end_of_a_temporary_index(r):
    create(r, "t", "PREFIX", 1, "d:", "TEMPORARY", 4, "SCHEMA", "t", "TEXT")
    for n in range(50):
        r.hset("d:1", "t", f"x{n}")
        time.sleep(0.1)
    assert names(r) == {"t"}


def test_filter(r):
    create(r, "i", "PREFIX", 1, "d:", "FILTER", "@n > 5 && startswith(@__key, 'd:a')", "SCHEMA", "t", "TEXT", "num", "AS", "n", "NUMERIC")
    assert error_of(r, "FT.CREATE", "j", "FILTER", "@n >", "SCHEMA", "t", "TEXT") == "Invalid expression"
    r.hset("d:a1", "num", 6)
    r.hset("d:a2", "num", 5)
    r.hset("d:b1", "num", 7)
    r.hset("d:a3", "t", "no number")
    assert documents(r, "i") == 1
    r.hset("d:a2", "num", 50)
    r.hset("d:a1", "num", 1)
    r.hset("d:a3", "num", 9)
    assert documents(r, "i") == 2
    assert plain(info(r, "i")["index_definition"])["filter"] == "@n > 5 && startswith(@__key, 'd:a')"
