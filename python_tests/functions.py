"""How does a test load a library and call its functions?"""

import re

import redis

from gears import interpreters
from helpers import as_map, plain


def header(words):
    return f"#!python name={words}\n"


def source(words, body):
    """A library: what its first line says after `name=`, and its body."""
    return header(words) + body


def load(client, text, *options):
    """Loads a library; its name."""
    return client.execute_command("RG.FUNCTION", "LOAD", *options, text)


def load_error(client, pattern, *words):
    """Loads a library that must be refused. redis-py leaves the ERR of an error out."""
    try:
        reply = client.execute_command("RG.FUNCTION", "LOAD", *words)
    except redis.ResponseError as refused:
        assert re.search(pattern.removeprefix("ERR ").replace("(", r"\("), str(refused)), (pattern, str(refused))
        return
    raise AssertionError(f"{words[-1]!r} was loaded: {reply!r}")


def fcall(client, name, numkeys=0, *words):
    return client.execute_command("RG.FCALL", name, numkeys, *words)


def fcall_error(client, name, numkeys=0, *words):
    """The text of the error that a call answers."""
    try:
        reply = fcall(client, name, numkeys, *words)
    except redis.ResponseError as refused:
        return str(refused)
    raise AssertionError(f"{name} answered {reply!r:.500}")


def libraries(client, *words):
    """What RG.FUNCTION LIST shows, by name."""
    found = {}
    for entry in client.execute_command("RG.FUNCTION", "LIST", *words):
        entry = as_map(entry)
        entry["functions"] = [as_map(function) for function in entry["functions"]]
        found[entry["library_name"]] = plain(entry)
    return found


def library_interpreters(client):
    """The interpreters of libraries that are not gone yet."""
    return [entry for entry in interpreters(client) if entry["scope"] == "library"]
