"""Does FT.CREATE make an index, or say in known words why not? And FT.DROPINDEX, FT._LIST."""

import pytest
import redis

from helpers import in_lua, in_multi, wait_until


def create(client, name, *words):
    return client.execute_command("FT.CREATE", name, *words)


def names(client):
    return {name.decode() for name in client.execute_command("FT._LIST")}


def error_of(client, *words):
    with pytest.raises(redis.ResponseError) as error:
        client.execute_command(*words)
    return str(error.value)


def test_create_list_drop(r, r3):
    assert create(r, "one", "SCHEMA", "t", "TEXT") == b"OK"
    assert create(r, "two", "ON", "HASH", "PREFIX", 1, "b:", "SCHEMA", "n", "NUMERIC", "SORTABLE") == b"OK"
    assert names(r) == {"one", "two"}
    assert names(r3) == {"one", "two"}
    assert error_of(r, "FT.CREATE", "one", "SCHEMA", "t", "TEXT") == "Index already exists"
    assert r.execute_command("FT.DROPINDEX", "one") == b"OK"
    assert names(r) == {"two"}
    assert error_of(r, "FT.DROPINDEX", "one") == "Unknown Index name"
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
