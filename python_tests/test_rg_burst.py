"""A burst of events: bounded memory, nothing lost, in order, and the server answers all the while."""

import threading

import pytest

from gears import wait_freed
from helpers import PingWatch, config
from registrations import register, stats, wait_ended

EVENTS = 100_000
WRITERS = 4

#: Notes a number out of order, and counts all: each writer has keys of its own, whose values count up. Stands still for
#: a moment at first, so that the queue fills also where the script is faster than the writers.
SCRIPT = """
import time
last = {}
out_of_order = []
seen = 0
def note(record):
    global seen
    if not seen:
        time.sleep(2)
    seen += 1
    key, number = record['key'], int(record['value'].split(':')[0])
    if number != last.get(key, -1) + 1:
        out_of_order.append((key, number))
    last[key] = number
GB('KeysReader').foreach(note).register('burst:*', eventTypes=['set'], mode='async_local')
GB('CommandReader').map(lambda words: [seen, len(out_of_order)]).register(trigger='seen', convertToStr=False)
"""


pytestmark = pytest.mark.usefixtures("no_registrations")


def write(client, key, count):
    padding = ":" + "x" * 100
    for start in range(0, count, 500):
        with client.pipeline(transaction=False) as pipe:
            for number in range(start, start + 500):
                pipe.set(key, f"{number}{padding}")
            pipe.execute()


def test_a_hundred_thousand_events_from_pipelining_clients(server, r):
    bound = 4 << 20
    events = register(r, SCRIPT)[0]
    highest, done = [0], threading.Event()

    def watch():
        with server.client() as client:
            while not done.wait(0.02):
                highest[0] = max(highest[0], client.info("memory")["used_memory"])

    with config(r, event_queue_bytes=str(bound)):
        before = r.info("memory")["used_memory"]
        clients = [server.client() for _ in range(WRITERS)]
        threads = [threading.Thread(target=write, args=(client, f"burst:{n}", EVENTS // WRITERS))
                   for n, client in enumerate(clients)]
        watcher = threading.Thread(target=watch)
        with PingWatch(server) as pings:
            watcher.start()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            ended = wait_ended(r, EVENTS, events, seconds=240)
        done.set()
        watcher.join()
    assert (ended["numTriggered"], ended["numSuccess"], ended["numAborted"]) == (EVENTS, EVENTS, 0)
    assert r.execute_command("RG.TRIGGER", "seen") == [[EVENTS, 0]]
    # The queue, what clients have sent and wait with, and the executions that are kept; 100,000 events take twice that.
    assert highest[0] - before < 6 * bound, f"{(highest[0] - before) >> 20} MB"
    assert pings.percentile(99) < 1
    assert "clients that write pause" in server.log(), "the bound was not reached"


def test_one_transaction_fills_the_queue_to_its_bound_and_says_what_was_given_up(r):
    with config(r, event_queue_bytes="1mb"):
        events = register(r, SCRIPT)[0]
        r.eval("for n = 0, 49999 do redis.call('SET', 'burst:0', n .. ':' .. string.rep('x', 100)) end", 0)
        ended = wait_ended(r, 50_000, events, seconds=120)
        assert ended["numAborted"] > 0 and ended["numSuccess"] + ended["numAborted"] == 50_000
        assert stats(r, events)["numFailures"] == 0
