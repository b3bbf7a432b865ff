"""Do the document commands of version 1 work on hashes?"""

import pytest
import redis

from ft import documents, error_of, info, names
from helpers import in_lua, in_multi, wait_until


@pytest.fixture
def index(r):
    r.execute_command("FT.CREATE", "i", "SCHEMA", "t", "TEXT", "n", "NUMERIC")
    return r


def test_add_get_delete(index):
    r = index
    assert r.execute_command("FT.ADD", "i", "d", "0.5", "FIELDS", "t", "hello", "n", "1", "x", "y") == b"OK"
    assert documents(r, "i") == 1
    assert r.hgetall("d") == {b"t": b"hello", b"n": b"1", b"x": b"y", b"__score": b"0.5"}
    got = r.execute_command("FT.GET", "i", "d")
    assert dict(zip(got[::2], got[1::2])) == {b"t": b"hello", b"n": b"1", b"x": b"y"}
    assert r.execute_command("FT.GET", "i", "no") is None
    assert r.execute_command("FT.MGET", "i", "no", "d") == [None, got]
    assert error_of(r, "FT.GET", "no", "d") == "Unknown Index name"
    assert r.execute_command("FT.DEL", "i", "d") == 1
    assert r.execute_command("FT.DEL", "i", "d", "DD") == 0
    assert documents(r, "i") == 0 and r.dbsize() == 0


@pytest.mark.parametrize("command", ["FT.ADD", "FT.SAFEADD"])
def test_add_to_a_document_that_is_there(index, command):
    r = index
    add = lambda *words: r.execute_command(command, "i", "d", 1, *words)
    assert error_of(r, command, "i", "d", 1, "REPLACE", "NOCREATE", "FIELDS", "t", "x") == "Document does not exist"
    add("LANGUAGE", "french", "PAYLOAD", "p", "FIELDS", "t", "hello", "x", "y")
    assert error_of(r, command, "i", "d", 1, "FIELDS", "t", "x") == "Document already exists"
    assert r.hgetall("d") == {b"t": b"hello", b"x": b"y", b"__score": b"1", b"__language": b"french", b"__payload": b"p"}
    assert add("REPLACE", "PARTIAL", "FIELDS", "n", "7") == b"OK"
    assert r.hmget("d", "t", "n") == [b"hello", b"7"]
    assert add("REPLACE", "IF", "@n > 10", "FIELDS", "t", "no") == b"NOADD"
    assert add("REPLACE", "IF", "@n == 7", "FIELDS", "t", "yes") == b"OK"
    assert r.hgetall("d") == {b"t": b"yes", b"__score": b"1"}
    assert documents(r, "i") == 1


@pytest.mark.parametrize(
    "words, text",
    [
        ("d x FIELDS t v", "Could not parse document score"),
        ("d 2 FIELDS t v", "Score must be between 0 and 1"),
        ("d nan FIELDS t v", "Score must be between 0 and 1"),
        ("d 1 FIELDS t", "Fields must be specified in FIELD VALUE pairs"),
        ("d 1 REPLACE", "No field list found"),
        ("d 1 FOO FIELDS t v", "Unknown keyword `FOO` provided"),
        ("d 1 LANGUAGE klingon FIELDS t v", "Unsupported language"),
        ("d 1 NOSAVE FIELDS t v", "NOSAVE is not supported: documents are hashes"),
        ("d 1 FIELDS n one", "Invalid numeric value: 'one'"),
    ],
)
def test_add_refused(index, words, text):
    assert error_of(index, "FT.ADD", "i", *words.split()) == text
    assert error_of(index, "FT.ADD", "no", *words.split()) == "Unknown index name"
    assert index.dbsize() == 0


@pytest.mark.parametrize("lane", [in_multi, in_lua])
def test_add_in_other_lanes(index, lane):
    assert lane(index, "FT.ADD", "i", "d", 1, "FIELDS", "t", "hello") == b"OK"
    assert isinstance(lane(index, "FT.ADD", "i", "d", 1, "FIELDS", "t", "hello"), redis.ResponseError)
    assert documents(index, "i") == 1


@pytest.mark.parametrize("command", ["FT.ADDHASH", "FT.SAFEADDHASH"])
def test_addhash(index, command):
    r = index
    assert error_of(r, command, "i", "d", 1) == "Could not load document"
    r.hset("d", "t", "hello")
    assert r.execute_command(command, "i", "d", "0.25", "LANGUAGE", "french") == b"OK"
    assert r.hmget("d", "__score", "__language") == [b"0.25", b"french"]
    assert error_of(r, command, "i", "d", 1) == "Document already exists"
    assert r.execute_command(command, "i", "d", "0.75", "REPLACE") == b"OK"
    assert r.hget("d", "__score") == b"0.75"


def test_setpayload_and_optimize(index):
    r = index
    assert error_of(r, "FT.SETPAYLOAD", "i", "d", "p") == "Document does not exist"
    r.hset("d", "t", "hello")
    assert r.execute_command("FT.SETPAYLOAD", "i", "d", "p") == b"OK"
    assert r.hget("d", "__payload") == b"p"
    assert r.execute_command("FT.OPTIMIZE", "i") == 0


def test_drop_deletes_documents_unless_told_otherwise(index):
    r = index
    r.hset("d", "t", "hello")
    assert error_of(r, "FT.DROP", "i", "FOO") == "Unknown argument `FOO`"
    assert r.execute_command("FT.DROP", "i", "KEEPDOCS") == b"OK"
    assert r.exists("d") == 1
    r.execute_command("FT.CREATE", "i", "SCHEMA", "t", "TEXT")
    wait_until(lambda: info(r, "i")["indexing"] == 0)
    assert r.execute_command("FT.DROP", "i") == b"OK"
    assert r.exists("d") == 0 and names(r) == set()


def test_keys_are_subject_to_acls(server, index):
    r = index
    r.execute_command("ACL", "SETUSER", "limited", "on", ">secret", "~mine:*", "+@all")
    try:
        limited = server.client(username="limited", password="secret")
        assert limited.execute_command("FT.ADD", "i", "mine:1", 1, "FIELDS", "t", "x") == b"OK"
        for words in (
            ("FT.ADD", "i", "other", 1, "FIELDS", "t", "x"),
            ("FT.ADDHASH", "i", "other", 1),
            ("FT.GET", "i", "other"),
            ("FT.MGET", "i", "mine:1", "other"),
            ("FT.DEL", "i", "other"),
            ("FT.SETPAYLOAD", "i", "other", "p"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                limited.execute_command(*words)
    finally:
        r.execute_command("ACL", "DELUSER", "limited")
