"""Documents of many megabytes: read in parts, side by side, while the server and other searches go on."""

import random
import threading
import time

import pytest

from ft import documents, plain
from helpers import PingWatch, config

LARGE = 10 << 20


@pytest.fixture(scope="module")
def text():
    """Ten megabytes of words; the first is `alpha`, the last `omega`, with `needle` and `thread` side by side between."""
    dice = random.Random(7)
    words = [f"word{int(100_000 ** dice.random())}" for _ in range(LARGE // 8)]
    words[len(words) // 2:len(words) // 2] = ["needle", "thread"]
    text = " ".join(["alpha", *words, "omega"])
    assert len(text) > LARGE * 9 // 10
    return text


def search(client, query, *words):
    return client.execute_command("FT.SEARCH", "idx", query, "NOCONTENT", "DIALECT", 2, *words)


def test_a_writer_finds_its_large_document(server, r, text):
    """With all its words, in order and in place, as of a small document."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT", "n", "NUMERIC", "tag", "TAG")
    r.hset("large", mapping={"t": text, "n": 5, "tag": "a,b", "other": "x"})
    for query in ("alpha omega @n:[5 5] @tag:{b}", '"needle thread"', "(needle thread)=>{$inorder: true; $slop: 0}"):
        assert search(r, query) == [1, b"large"], query
    assert search(r, '"thread needle"')[0] == 0
    r.hset("large", "t", text.replace("needle", "other"))
    assert search(r, "needle")[0] == 0
    assert search(r, '"other thread"')[0] == 1
    r.delete("large")
    assert search(r, "alpha")[0] == 0
    assert documents(r, "idx") == 0


def test_a_bad_value_beside_a_large_text(server, r, text):
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT", "n", "NUMERIC")
    r.hset("large", mapping={"t": text, "n": "many"})
    assert search(r, "alpha")[0] == 0
    info = plain(r.execute_command("FT.INFO", "idx"))
    assert int(info["hash_indexing_failures"]) == 1
    r.hset("large", "n", "5")
    assert search(r, "alpha")[0] == 1


def test_the_server_and_searches_go_on(server, r, text):
    """Neither PING nor searches with their own limits wait for large documents."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT")
    r.execute_command("FT.CREATE", "small", "PREFIX", 1, "s:", "SCHEMA", "t", "TEXT")
    for n in range(100):
        r.hset(f"s:{n}", "t", "word1")
    stop, times = threading.Event(), []

    def searches():
        client = server.client()
        while not stop.is_set():
            begun = time.monotonic()
            assert client.execute_command("FT.SEARCH", "small", "word1", "LIMIT", 0, 0) == [100]
            times.append(time.monotonic() - begun)

    reader = threading.Thread(target=searches)
    with PingWatch(server) as watch:
        reader.start()
        for n in range(3):
            r.hset(f"large{n}", "t", text)
        assert search(r, "omega")[0] == 3
        stop.set()
        reader.join(60)
    print(f"\nPING p50 {watch.percentile(50) * 1000:.1f} ms, p99 {watch.percentile(99) * 1000:.1f} ms, max "
          f"{watch.worst() * 1000:.1f} ms; {len(times)} searches, the longest {max(times) * 1000:.1f} ms")
    # A tenth of what reading one of them takes; the rest is what a busy machine adds.
    assert watch.percentile(90) < 0.1 and len(times) > 20 and sorted(times)[len(times) // 2] < 0.1


def test_all_threads_read_one_large_document(server, r, text):
    """Also when it comes alone, so that nothing else would wake them."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT")
    with config(r, index_threads=4):
        r.hset("large", "t", text)
        most = 0
        while (figures := server.info_interlock())["index_queue"]:
            most = max(most, figures["indexing_running"])
            time.sleep(0.001)
    assert most > 2
    assert search(r, "alpha omega") == [1, b"large"]


def test_a_full_queue_is_bounded_and_loses_nothing(server, r, text):
    """Past its bound writers read parts themselves."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT")
    part, most = text[:2 << 20], 0
    with config(r, index_queue_bytes=4 << 20):
        with PingWatch(server):
            for n in range(40):
                r.hset(f"d:{n}", mapping={"t": f"{part} d{n}"})
                most = max(most, server.info_interlock()["index_queue_bytes"])
        assert search(r, "omega|alpha", "LIMIT", 0, 0)[0] == 40
    # Above the bound: those that are being read, and the one that has just come.
    print(f"\nat most {most >> 20} MB in the queue")
    assert most < 40 << 20, "half of what was written"
    for n in range(40):
        assert search(r, f"d{n}")[1:] == [f"d:{n}".encode()]


def test_the_wait_for_earlier_writes_is_not_the_searchs_own_time(r, r3, text):
    """Reading the large documents takes far longer than the searches may: still they find what was written before them."""
    r.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT")
    for fails in ("return", "fail"):
        with config(r, on_timeout=fails):
            for client in (r, r3):
                for n in range(3):
                    client.hset(f"large{n}", "t", text)
                client.hset("d:late", "t", "small")
                reply = search(client, "small", "TIMEOUT", 200)
                if client is r3:
                    assert reply[b"total_results"] == 1 and reply[b"warning"] == []
                else:
                    assert reply == [1, b"d:late"]
                client.delete("d:late")
