"""What does the search bench search? Comments that look like comments, the same on every run.

Words are those of Python's own help texts (`pydoc_data.topics`), as frequent as they are there, which is
as Zipf says; a few more are sprinkled in with an exact share of the documents, so that a query's number of
matches is known before it is asked. Documents are written to files as ready protocol, once for each way of
loading, so that a loader costs nothing but its sockets.
"""

import itertools
import pathlib
import random
import re
import tempfile

# Word -> share of the documents that hold it.
SHARES = {"zebra": 0.0005, "piano": 0.005, "pianist": 0.003, "pianola": 0.002}
# Two frequent words that like each other: both are in BOTH_SHARE of the documents, side by side in PHRASE_SHARE.
HEAVY, OTHER = "music", "movie"
HEAVY_SHARE, OTHER_SHARE, BOTH_SHARE, PHRASE_SHARE = 0.2, 0.18, 0.06, 0.02
TAG, TAG_SHARE = "python", 0.042
CITIES = [("2.35", "48.85"), ("13.40", "52.52"), ("-0.12", "51.50"), ("-74.00", "40.71"), ("139.69", "35.68")]
CITY_SHARE = 0.025  # of each city; the other documents are spread over the globe
LARGEST = 1_000_000  # of the numeric field, evenly spread


def words():
    """All words of the help texts, each as often as it occurs, without those that are sprinkled in."""
    from pydoc_data.topics import topics

    found = re.findall(r"[a-z]{2,}", " ".join(topics[name] for name in sorted(topics)).lower())
    taken = {*SHARES, HEAVY, OTHER}
    return [word for word in found if word not in taken]


def documents(count, seed=1):
    """(body, author, forum, votes, place) of each document."""
    draw = random.Random(seed)
    base = words()
    forums = [f"forum{n}" for n in range(200)]
    for _ in range(count):
        at = draw.randrange(len(base))
        # Neighbours in the text, with some from elsewhere: comments are not all alike.
        body = base[at:at + draw.randint(8, 40)]
        body += draw.choices(base, k=12)
        for word, share in SHARES.items():
            if draw.random() < share:
                body.insert(draw.randrange(len(body)), word)
        part = draw.random()
        if part < PHRASE_SHARE:
            where = draw.randrange(len(body))
            body[where:where] = (HEAVY, OTHER)
        else:
            if part < HEAVY_SHARE:
                body.insert(draw.randrange(len(body)), HEAVY)
            if part < BOTH_SHARE or HEAVY_SHARE <= part < HEAVY_SHARE + OTHER_SHARE - BOTH_SHARE:
                body.insert(draw.randrange(len(body)), OTHER)
        city = draw.random() / CITY_SHARE
        if city < len(CITIES):
            place = ",".join(CITIES[int(city)])
        else:
            place = f"{draw.uniform(-180, 180):.4f},{draw.uniform(-60, 60):.4f}"
        forum = TAG if draw.random() < TAG_SHARE else draw.choice(forums)
        yield " ".join(body), f"user{int(draw.paretovariate(0.8)) % 50_000}", forum, draw.randrange(LARGEST), place


def command(*args):
    """A command as protocol."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        arg = arg if isinstance(arg, bytes) else str(arg).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(parts)


def write(count, parts, seed=1):
    """Files of commands for `parts` connections: {"hset": [paths], "ft.add": [paths]}."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="interlock-corpus-"))
    paths = {kind: [folder / f"{kind}.{part}" for part in range(parts)] for kind in ("hset", "ft.add")}
    files = {kind: [path.open("wb") for path in several] for kind, several in paths.items()}
    for n, (body, author, forum, votes, place) in enumerate(documents(count, seed)):
        fields = ["body", body, "author", author, "forum", forum, "votes", votes, "place", place]
        files["hset"][n % parts].write(command("HSET", f"doc:{n}", *fields))
        files["ft.add"][n % parts].write(command("FT.ADD", "comments", f"doc:{n}", "1.0", "FIELDS", *fields))
    for file in itertools.chain(*files.values()):
        file.close()
    return paths
