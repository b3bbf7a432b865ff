"""Clients by the thousand: each blocks on a connection of its own, and nobody needs a thread for it."""

import json
import resource
import selectors
import socket
import subprocess
import sys
import time

import pytest

from helpers import PingWatch, wait_until
from servers import ROOT


def threads_of(server):
    """How many threads the server has."""
    with open(f"/proc/{server.pid()}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))


@pytest.mark.parametrize("kind", ["gevent", "asyncio"])
def test_five_hundred_block_in_one_thread(new_server, kind):
    if kind == "gevent":
        pytest.importorskip("gevent")
    workers = 64
    server = new_server("PYTHON-WORKERS", workers, "WARM-INTERPRETERS", 0)
    client = server.client()
    # All threads that will ever be there.
    client.execute_command("RG.PYEXECUTE", "1", "ISOLATION", "shared")
    before = threads_of(server)
    done = subprocess.run(
        [sys.executable, str(ROOT / "python_tests/crowd.py"), kind, str(server.port), "500"],
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["right"] == 500, figures
    # The two seconds and 0.3 s are for a machine that does nothing else.
    assert figures["seconds"] < 20 and figures["gap"] < 5, figures
    # gevent resolves names in a pool of a few threads; none is there for a client.
    assert figures["threads"] < 16, figures
    # A worker and one that watches it, for each script that runs: not for each client.
    assert threads_of(server) <= before + workers + 4
    print(f"\n{kind}: {figures}")


COUNT = 10_000


def roomy(new_server, *module_args):
    """A server that takes so many clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < COUNT + 1000:
        pytest.skip(f"this system allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, COUNT + 1000), hard))
    server = new_server(*module_args, config=["--maxclients", COUNT + 100])
    if int(server.client().config_get("maxclients")["maxclients"]) < COUNT:
        pytest.skip("this system allows the server too few open files")
    return server


def connections(server, client):
    links = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(COUNT)]
    wait_until(lambda: client.info("clients")["connected_clients"] >= COUNT, 30)
    return links


@pytest.mark.slow
def test_ten_thousand_wait(new_server):
    """Memory for each, the time to wake all of them, and PING meanwhile."""
    server = roomy(new_server)
    client = server.client()
    token = client.execute_command("IL.ONCE", "v")[1]
    links = connections(server, client)
    try:
        before, threads = client.info("memory")["used_memory"], threads_of(server)
        for link in links:
            link.sendall(b"IL.ONCE v WAIT 60000\r\n")
        wait_until(lambda: client.info("clients")["blocked_clients"] == COUNT, 60)
        bytes_each = (client.info("memory")["used_memory"] - before) / COUNT
        assert threads_of(server) == threads
        selector = selectors.DefaultSelector()
        for link in links:
            selector.register(link, selectors.EVENT_READ)
        with PingWatch(server) as watch:
            started, answered = time.monotonic(), 0
            client.execute_command("IL.PUBLISH", "v", token, "x")
            while answered < COUNT:
                ready = selector.select(30)
                assert ready, f"only {answered} were answered"
                for key, _ in ready:
                    assert key.fileobj.recv(100) == b"*2\r\n$5\r\nready\r\n$1\r\nx\r\n"
                    selector.unregister(key.fileobj)
                    answered += 1
            seconds = time.monotonic() - started
        print(f"\n{COUNT} waiters: {bytes_each:.0f} bytes each; all awake after {seconds:.2f} s; "
              f"PING p99 {watch.percentile(99) * 1000:.1f} ms, max {watch.worst() * 1000:.1f} ms")
        # Most of it is what the server itself allots: the query buffer, and two reply clients for a blocked module client.
        assert bytes_each < 100_000 and seconds < 20 and watch.percentile(99) < 1
    finally:
        for link in links:
            link.close()


@pytest.mark.slow
def test_ten_thousand_searches_queue(new_server):
    """Bounded memory for each, none lost, and past the queue's limit a clear error at once."""
    room = COUNT - 500
    server = roomy(new_server, "WORKERS", 1, "INLINE-COST", 0, "LONG-COST", 10**12, "QUEUE-LIMIT", room)
    client = server.client()
    client.execute_command("FT.CREATE", "idx", "SCHEMA", "t", "TEXT")
    pipe = client.pipeline(transaction=False)
    for number in range(20_000):
        pipe.hset(f"d:{number}", "t", " ".join(f"w{(number * k) % 997}" for k in range(1, 16)))
    pipe.execute()
    common = client.execute_command("FT.SEARCH", "idx", "w1", "LIMIT", 0, 0)[0]
    # The first ones keep the only worker busy until all are there.
    near = " ".join(f"({'|'.join(f'w{k}' for k in range(part, 997, 3))})" for part in range(3))
    heavy = f"({near}) => {{$slop: 9; $inorder: true;}}"
    links = connections(server, client)
    try:
        before, threads = client.info("memory")["used_memory"], threads_of(server)
        selector = selectors.DefaultSelector()
        for number, link in enumerate(links):
            # Identical ones would share a place.
            query = heavy if number < 60 else "w1"
            link.sendall(f"FT.SEARCH idx '{query}' NOCONTENT LIMIT {COUNT} {number} TIMEOUT 0 DIALECT 2\r\n".encode())
            selector.register(link, selectors.EVENT_READ, number)
        most, found, refused = before, 0, 0
        while found + refused < COUNT:
            most = max(most, client.info("memory")["used_memory"])
            ready = selector.select(60)
            assert ready, f"only {found} + {refused} were answered"
            for key, _ in ready:
                reply = key.fileobj.recv(1000)
                if reply.startswith(b"-"):
                    assert b"queue is full" in reply, reply
                    refused += 1
                else:
                    assert reply == b"*1\r\n:%d\r\n" % common or key.data < 60, reply
                    found += 1
                selector.unregister(key.fileobj)
        print(f"\n{found} found, {refused} refused; {(most - before) / COUNT:.0f} bytes each at most")
        assert refused > 0 and found >= room
        assert most - before < COUNT * 100_000
        assert threads_of(server) <= threads + 4
        wait_until(lambda: client.info("clients")["blocked_clients"] == 0)
        assert client.execute_command("FT.SEARCH", "idx", "w1", "LIMIT", 0, 0)[0] == common
    finally:
        for link in links:
            link.close()
