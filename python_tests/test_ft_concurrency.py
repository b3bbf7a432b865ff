"""Searches beside writers: every answer is one moment of the index, and every row matches."""

import collections
import contextlib
import random
import resource
import socket
import threading
import time

import pytest
import redis

from helpers import config, in_background, in_lane, jobs_running, plain, wait_until


@contextlib.contextmanager
def running(*functions):
    """Runs functions, each with an event that says when to stop, while the block runs; their errors are the test's."""
    stop, errors = threading.Event(), []

    def body(function):
        try:
            function(stop)
        except BaseException as error:
            errors.append(error)
            stop.set()

    threads = [threading.Thread(target=body, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    try:
        yield stop
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def lanes(server):
    """How to run one search, by lane."""
    client = server.client()

    def multi(*words):
        with client.pipeline(transaction=True) as pipe:
            return pipe.execute_command("FT.SEARCH", *words).execute()[0]

    return {
        "pooled": lambda *words: client.execute_command("FT.SEARCH", *words),
        "multi": multi,
        "lua": lambda *words: client.eval("return redis.call('FT.SEARCH', unpack(ARGV))", 0, *words),
    }


PAIRS = 40


@pytest.mark.parametrize("lane", ["pooled", "multi", "lua"])
@pytest.mark.parametrize("inline_cost", [0, 1_000_000])
def test_no_search_sees_half_a_flip(server, r, lane, inline_cost):
    """Writers flip pairs between two states in MULTI; one of each pair is black, always."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "colour", "TEXT", "n", "NUMERIC", "tag", "TAG")
    for n in range(PAIRS):
        r.hset(f"a:{n}", mapping={"colour": "black", "n": 0, "tag": "x"})
        r.hset(f"b:{n}", mapping={"colour": "white", "n": 1, "tag": "y"})

    def write(seed):
        def flip(stop):
            dice, client = random.Random(seed), server.client()
            while not stop.is_set():
                black, white = random.Random(dice.random()).sample([0, 1], 2)
                n = dice.randrange(PAIRS)
                with client.pipeline(transaction=True) as pipe:
                    for key, colour in ((f"a:{n}", black), (f"b:{n}", white)):
                        pipe.hset(key, mapping={
                            "colour": ["black", "white"][colour], "n": colour, "tag": "xy"[colour]})
                    pipe.execute()
        return flip

    def read(stop):
        search = lanes(server)[lane]
        for query in ["black", "@n:[0 0]", "@tag:{x}", "-white", "black|nothing"] * 60:
            if stop.is_set():
                return
            total, *keys = plain(search("idx", query, "NOCONTENT", "LIMIT", 0, 1000))
            assert total == PAIRS and len(set(keys)) == PAIRS
            assert len({key[2:] for key in keys}) == PAIRS, "a pair was seen twice, and another not at all"

    with config(r, inline_cost=inline_cost):
        with running(write(1), write(2)):
            read(threading.Event())


@pytest.mark.parametrize("words", [
    (), ("SORTBY", "n"), ("RETURN", 2, "t", "n"), ("SORTBY", "plain", "LIMIT", 0, 50), ("LIMIT", 0, 100)])
def test_rows_always_match(server, r, words):
    """Under updates a row is whole and matches: what has changed is shown as it is now, or not at all."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT", "n", "NUMERIC", "SORTABLE", "plain", "TAG")

    def fields(n, wanted):
        return {"t": f"{'wanted' if wanted else 'other'} word{n}", "n": n, "plain": f"p{n}", "check": f"{wanted}:{n}"}

    for n in range(300):
        r.hset(f"d:{n}", mapping=fields(n, True))

    def write(stop):
        dice, client = random.Random(5), server.client()
        while not stop.is_set():
            n = dice.randrange(300)
            if dice.random() < 0.1:
                client.delete(f"d:{n}")
            else:
                client.hset(f"d:{n}", mapping=fields(dice.randrange(1000), dice.random() < 0.5))

    with running(write, write):
        client = server.client()
        rows = 0
        for _ in range(300):
            reply = plain(client.execute_command("FT.SEARCH", "idx", "wanted", *words))
            found = reply[2::2]
            rows += len(found)
            assert len(set(reply[1::2])) == len(found)
            for flat in found:
                row = dict(zip(flat[::2], flat[1::2]))
                assert row["t"].startswith("wanted"), row
                assert row["t"] == f"wanted word{row['n']}", "torn"
    assert rows > 1000


@pytest.fixture
def heavy(server, r):
    """An index with a search that takes long."""
    return fill_heavy(r)


def fill_heavy(r):
    r.execute_command("FT.CREATE", "idx", "PREFIX", 1, "d:", "SCHEMA", "t", "TEXT")
    pipe = r.pipeline(transaction=False)
    for n in range(20_000):
        pipe.hset(f"d:{n}", "t", " ".join(f"w{(n * k) % 997}" for k in range(1, 16)))
        if n % 2000 == 1999:
            pipe.execute()
    pipe.execute()
    assert r.execute_command("FT.SEARCH", "idx", "w1", "LIMIT", 0, 0)[0] > 0
    # Near one another, in any order: positions of all of them must be read.
    words = " ".join(f"({'|'.join(f'w{k}' for k in range(part, 997, 3))})" for part in range(3))
    return f"({words}) => {{$slop: 9; $inorder: true;}}"


def long_search(client, query, *words):
    return client.execute_command("FT.SEARCH", "idx", query, "NOCONTENT", "DIALECT", 2, *words)


def test_the_heavy_search_is_heavy(r, heavy):
    """What the tests below rely on."""
    begun = time.monotonic()
    total = long_search(r, heavy, "TIMEOUT", 0)[0]
    assert total > 0 and time.monotonic() - begun > 0.03, "too light"


def test_timeout_returns_a_part_or_an_error(server, r, r3, heavy):
    with config(r, timeout=5):
        reply = plain(long_search(r3, heavy))
        assert reply["warning"] == ["Timeout limit was reached"]
        begun = time.monotonic()
        assert isinstance(long_search(r, heavy), list)
        assert time.monotonic() - begun < 5
        assert plain(long_search(r3, heavy, "TIMEOUT", 0))["warning"] == []
        # RESP2 has no place for it among rows: who wants to know asks for it, in every lane.
        late = ["FT.SEARCH", "idx", heavy, "NOCONTENT", "DIALECT", 2, "WITHWARNINGS"]
        for lane in ("pooled", "multi", "lua", "safemode"):
            rows, warnings = plain(in_lane(server, lane, *late))
            assert isinstance(rows[0], int) and warnings == ["Timeout limit was reached"], lane
        assert plain(r3.execute_command(*late))["warning"] == ["Timeout limit was reached"]
        profile = plain(r.execute_command("FT.PROFILE", "idx", "SEARCH", "QUERY", heavy, "NOCONTENT", "DIALECT", 2))[1]
        assert ["Warning", "Timeout limit was reached"] in profile
        rows, warnings = r.execute_command(*late, "TIMEOUT", 0)
        assert rows == long_search(r, heavy, "TIMEOUT", 0) and warnings == []
    with config(r, on_timeout="fail"):
        for lane, search in lanes(server).items():
            with pytest.raises(redis.ResponseError, match="Timeout limit was reached"):
                search("idx", heavy, "NOCONTENT", "DIALECT", 2, "TIMEOUT", 5)
    assert long_search(r, heavy, "TIMEOUT", 100_000)[0] > 0


@pytest.mark.parametrize("query", [
    " | ".join(f"w{n}" for n in range(1000)), "%%%w1%%%", "w'w*'", "w*", "-w1", "*"])
def test_every_kind_of_query_obeys_the_timeout(r3, heavy, query):
    begun = time.monotonic()
    long_search(r3, query, "TIMEOUT", 1)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("words", [(), ("TERMS", "INCLUDE", "many")])
def test_spell_checking_obeys_the_timeout(server, r, heavy, words):
    """With an error: of a part nobody could tell which words are known."""
    r.execute_command("FT.DICTADD", "many", *(f"v{n}" for n in range(20_000)))
    query = " ".join(f"x{n}" for n in range(5000))
    with config(r, timeout=1):
        for lane in ("pooled", "multi"):
            reply = in_lane(server, lane, "FT.SPELLCHECK", "idx", query, "DISTANCE", 4, *words)
            assert "Timeout limit was reached" in str(reply), lane
    assert r.execute_command("FT.SPELLCHECK", "idx", "x1")


def blocked(server):
    return [client for client in server.client().client_list() if "b" in client["flags"]]


def test_a_killed_client_ends_its_search(server, r, heavy):
    client = server.client()

    def search():
        with pytest.raises(redis.ConnectionError):
            for _ in range(1000):
                long_search(client, heavy, "TIMEOUT", 0)

    with in_background(search):
        ident = wait_until(lambda: next((c["id"] for c in blocked(server)), None), what="a blocked search")
        r.client_kill_filter(_id=ident)
    wait_until(lambda: jobs_running(server) == 0, what="the job to notice")


@pytest.mark.parametrize("command", ["FT.DROPINDEX idx", "FLUSHALL", "FLUSHDB"])
def test_the_index_goes_midway(server, r, heavy, command):
    """A search that is under way says that its index is gone, or was done before."""
    failures, answers = [], []

    def search(stop):
        client = server.client()
        while not stop.is_set():
            try:
                answers.append(long_search(client, heavy, "TIMEOUT", 0)[0])
            except redis.ResponseError as error:
                failures.append(str(error))
                return

    with running(search, search, search) as stop:
        wait_until(lambda: len(answers) > 2 or failures, what="answers")
        wait_until(lambda: blocked(server), what="a blocked search")
        r.execute_command(*command.split())
        wait_until(lambda: len(failures) == 3, what="all to notice")
        stop.set()
    assert set(failures) == {"idx: no such index"}
    assert len(set(answers)) == 1


def test_five_hundred_searches_at_once(server, r, heavy):
    """None is lost, however many wait."""
    connections = [server.client().connection_pool.get_connection() for _ in range(500)]
    for number, connection in enumerate(connections):
        connection.send_command("FT.SEARCH", "idx", heavy if number % 50 == 0 else "w1", "NOCONTENT", "DIALECT", 2,
                                "TIMEOUT", 0, "LIMIT", 0, number + 1)
    totals = [connection.read_response()[0] for connection in connections]
    assert len(set(totals[1:50])) == 1 and len(set(totals)) == 2
    for connection in connections:
        connection.disconnect()


def test_past_the_queues_limit_there_is_a_clear_error(server, r, heavy):
    with config(r, queue_limit=5, inline_cost=0, long_cost=1_000_000_000):
        connections = [server.client().connection_pool.get_connection() for _ in range(40)]
        for number, connection in enumerate(connections):
            # Identical ones would share a place.
            words = ["LIMIT", 0, number + 1]
            connection.send_command("FT.SEARCH", "idx", heavy, "NOCONTENT", "DIALECT", 2, "TIMEOUT", 0, *words)
        replies = []
        for connection in connections:
            try:
                replies.append(connection.read_response()[0])
            except redis.ResponseError as error:
                assert "queue is full" in str(error)
                replies.append(None)
            connection.disconnect()
    assert None in replies and len(set(replies)) == 2


def request(*words):
    """A command as it is sent."""
    words = [str(word).encode() for word in words]
    return b"".join([b"*%d\r\n" % len(words), *(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)])


def reply_line(connection):
    """The first line of a reply; the rest of it is short enough to have come with it."""
    data = b""
    while not data.endswith(b"\r\n"):
        part = connection.recv(65536)
        assert part, f"closed after {data!r}"
        data += part
    return data.partition(b"\r\n")


def test_ten_thousand_searches_wait(new_server):
    """Each gets one answer: rows, or past the queue's limit an error. What they take is bounded, and the server serves."""
    limit, clients, holders = 10_000, 10_100, 300
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < clients + holders + 200:
        pytest.skip(f"no more than {hard} files may be open")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = new_server("WORKERS", 1, "QUEUE-LIMIT", limit, "INLINE-COST", 0, "LONG-COST", 1_000_000_000,
                        config=["--maxclients", "12000"])
    r = server.client()
    query = fill_heavy(r)
    memory = r.info("memory")["used_memory"]
    with contextlib.ExitStack() as stack:
        def connect():
            return stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60))

        # They keep the one worker busy, until they go away.
        held = [connect() for _ in range(holders)]
        for number, connection in enumerate(held):
            connection.sendall(request("FT.SEARCH", "idx", query, "DIALECT", 2, "TIMEOUT", 0, "LIMIT", 0, number + 1))
        waiting = [connect() for _ in range(clients)]
        for number, connection in enumerate(waiting):
            connection.sendall(request("FT.SEARCH", "idx", f"none{number}|w1", "LIMIT", 0, 0))
        wait_until(lambda: server.info_interlock()["workers_queued"] > limit - holders, 60, what="a full queue")
        assert server.info_interlock()["workers_queued"] <= limit
        # Most of it is what the server keeps for any blocked client of a module.
        assert r.info("memory")["used_memory"] - memory < (clients + holders) * 120_000
        for connection in held:
            connection.close()
        lines = collections.Counter(reply_line(connection)[0] for connection in waiting)
    refused = [line for line in lines if line.startswith(b"-")]
    assert len(refused) == 1 and b"the job queue is full (see CONFIG GET search.queue-limit)" in refused[0]
    assert set(lines) == {b"*1", refused[0]} and lines[b"*1"] >= limit - holders
    wait_until(lambda: r.info("clients")["blocked_clients"] == 0, what="nobody to wait any more")


def test_altering_beside_searches(server, r):
    """FT.ALTER, aliases and synonyms change while searches run."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT")
    for n in range(200):
        r.hset(f"d:{n}", mapping={"t": "word", "later": n})

    def search(stop):
        client = server.client()
        while not stop.is_set():
            total, *rows = client.execute_command("FT.SEARCH", "idx", "word", "LIMIT", 0, 5)
            assert total == 200 and len(rows) == 10

    with running(search, search):
        for n in range(10):
            r.execute_command("FT.ALTER", "idx", "SCHEMA", "ADD", f"later{n}", "NUMERIC")
            r.execute_command("FT.SYNUPDATE", "idx", f"g{n}", "word", f"other{n}")
            time.sleep(0.05)
