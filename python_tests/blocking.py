"""How does a test make clients wait? Connections that send a command and read its reply later."""

import contextlib
import select

import pytest
import redis

from helpers import wait_until

# The calls of the test that runs.
OPEN = []


@pytest.fixture(autouse=True)
def close_calls():
    """Nobody goes on waiting after a test: for a test file that imports it."""
    yield
    while OPEN:
        OPEN.pop().close()


class Call:
    """One command under way on a connection of its own."""

    def __init__(self, server, *command, protocol=2, connection=None):
        self.pool = server.client(protocol=protocol).connection_pool
        self.connection = connection or self.pool.get_connection()
        self.connection.connect()
        self.id = None
        if connection is None:
            self.connection.send_command("CLIENT", "ID")
            self.id = self.connection.read_response()
        self.command = command
        OPEN.append(self)
        self.connection.send_command(*command)

    def ready(self, seconds=0):
        poll = select.poll()
        poll.register(self.connection._sock, select.POLLIN)
        return bool(poll.poll(int(seconds * 1000)))

    def reply(self, seconds=20):
        """The reply, or its error as a value; fails if there is none in time."""
        assert self.ready(seconds), f"{self.command} has no answer after {seconds} s"
        try:
            return self.connection.read_response()
        except redis.ResponseError as error:
            return error

    def close(self):
        self.connection.disconnect()


def waiters(client, name):
    info = client.execute_command("IL.LOCKINFO", name)
    info = info if isinstance(info, dict) else dict(zip(info[::2], info[1::2]))
    return info[b"waiting"]


def waiting_for(client, name, count):
    """Waits until so many clients stand in a lock's line."""
    wait_until(lambda: waiters(client, name) == count, what=f"{count} wait for {name}, not {waiters(client, name)}")


@contextlib.contextmanager
def replica_of(new_server, master, **options):
    """A replica of a server, in step with it."""
    replica = new_server(**options)
    client = replica.client()
    client.replicaof("127.0.0.1", master.port)
    wait_until(lambda: client.info("replication")["master_link_status"] == "up", 20)
    yield replica
    if replica.alive():
        client.replicaof("NO", "ONE")


def in_step(master, replica):
    """Waits until a replica has everything."""
    with contextlib.closing(master.client()) as m, contextlib.closing(replica.client()) as f:
        there = m.info("replication")["master_repl_offset"]
        wait_until(lambda: f.info("replication")["slave_repl_offset"] >= there, what="the replica is in step")
