"""Fixtures: servers, clients, and what is checked after every test.

`server` is one default server for the whole session, `safemode_server` one with the load argument
SAFEMODE; `r` and `r3` are clients of the first, on an empty data set. `new_server(*module_args)` starts
a private one. After every test the logs of all of them are searched for panics and crash reports.
"""

import sys

import pytest

from gears import wait_freed
from registrations import unregister_all
from servers import BAD_SIGNS, Server, ServerDied


class Shared:
    """The session's servers, one for each configuration, started when first asked for."""

    def __init__(self):
        self.servers = {}

    def get(self, *module_args):
        server = self.servers.get(module_args)
        if server is None or not server.alive():
            if server is not None:
                server.close()
            server = self.servers[module_args] = Server(*module_args).start()
        return server

    def all(self):
        return list(self.servers.values())


@pytest.fixture(scope="session")
def shared():
    shared = Shared()
    yield shared
    for server in shared.all():
        server.close()


@pytest.fixture(autouse=True)
def healthy(request):
    """Every server that a test touched must be in good health after it."""
    used = []
    request.node.used_servers = used
    yield
    complaints = []
    for server, private in used:
        new = server.new_log()
        for sign in BAD_SIGNS:
            if sign in new:
                complaints.append(f"the log shows {sign!r}:\n{new[-6000:]}")
        if not private and not server.alive():
            complaints.append(f"the server died ({server.process.returncode}):\n{new[-6000:]}")
    for server, private in used:
        if private:
            server.close()
    if complaints:
        pytest.fail("\n".join(complaints), pytrace=False)


@pytest.fixture
def server(request, shared, healthy):
    """The default server."""
    server = shared.get()
    server.new_log()
    request.node.used_servers.append((server, False))
    return server


@pytest.fixture
def safemode_server(request, shared, healthy):
    """A server whose module was loaded with SAFEMODE."""
    server = shared.get("SAFEMODE")
    server.new_log()
    request.node.used_servers.append((server, False))
    return server


@pytest.fixture
def new_server(request, healthy):
    """Starts a private server: `new_server("WORKERS", 8, config=["--appendonly", "yes"])`."""

    def start(*module_args, **options):
        server = Server(*module_args, **options)
        # Registered before it starts, so that a failed start is cleaned up too.
        request.node.used_servers.append((server, True))
        return server.start()

    return start


@pytest.fixture
def refused(request, healthy):
    """Starts a server that must refuse the module, and returns its log."""

    def start(*module_args, **options):
        server = Server(*module_args, **options)
        request.node.used_servers.append((server, True))
        with pytest.raises(ServerDied):
            server.start()
        return server.log()

    return start


@pytest.fixture
def r(server):
    """A RESP2 client of the default server, on an empty data set; replies are bytes."""
    client = server.client()
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def no_registrations(r):
    """A test that begins and ends without registrations, and without interpreters of theirs."""

    def clear():
        unregister_all(r)
        wait_freed(r)

    clear()
    yield
    clear()


@pytest.fixture
def r3(server, r):
    """As `r`, speaking RESP3."""
    client = server.client(protocol=3)
    yield client
    client.close()


@pytest.fixture(scope="session")
def own_gil():
    """Whether the module's interpreters have a GIL each. The tests run in an environment of the
    Python that the module embeds, so its version is the module's."""
    return sys.version_info >= (3, 13)


def pytest_runtest_setup(item):
    own = sys.version_info >= (3, 13)
    if item.get_closest_marker("own_gil") and not own:
        pytest.skip("needs an own-GIL Python (>= 3.13)")
    if item.get_closest_marker("shared_gil") and own:
        pytest.skip("is about a Python with one GIL for all (< 3.13)")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of its servers' logs."""
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for server, _ in getattr(item, "used_servers", []):
            report.sections.append((f"server log, port {server.port}", server.log()[-4000:]))
