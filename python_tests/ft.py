"""What do the tests of FT.* share?"""

import redis


def info(client, index):
    """FT.INFO as a dictionary with text keys, whatever the protocol."""
    return plain(client.execute_command("FT.INFO", index))


def plain(reply):
    """A reply with text for bytes, and pairs of a RESP2 map's first level as a dictionary."""
    value = text(reply)
    if isinstance(value, list):
        return dict(zip(value[::2], value[1::2]))
    return value


def text(reply):
    if isinstance(reply, bytes):
        return reply.decode(errors="replace")
    if isinstance(reply, (list, set)):
        return [text(item) for item in reply]
    if isinstance(reply, dict):
        return {text(key): text(value) for key, value in reply.items()}
    return reply


def documents(client, index):
    """How many documents an index has; all writes before are in."""
    return int(info(client, index)["num_docs"])


def found(client, index, query="*"):
    """The keys of the documents that match, and the number that FT.SEARCH says."""
    reply = client.execute_command("FT.SEARCH", index, query, "NOCONTENT", "LIMIT", 0, 100_000)
    return reply[0], {key.decode() for key in reply[1:]}


def names(client):
    return set(text(client.execute_command("FT._LIST")))


def error_of(client, *words):
    """The text of the error that a command must give."""
    try:
        reply = client.execute_command(*words)
    except redis.ResponseError as error:
        return str(error)
    raise AssertionError(f"{words} answered {reply!r}")
