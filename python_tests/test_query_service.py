"""The example examples/query_service: one result for each query, whatever happens to the backends."""

import json
import random
import subprocess
import sys
import threading
import time

import pytest

from helpers import wait_until
from servers import ROOT

pytest.importorskip("zmq", reason="pyzmq is not installed: make setup")
sys.path[:0] = [str(ROOT / "examples/query_service")]

import client as query_client  # noqa: E402
import keys  # noqa: E402
from client import QueryError  # noqa: E402
from service import Service  # noqa: E402

BACKENDS = ["one", "two", "three"]
LEASE = 1.0
pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="the example is for Python 3.11 and newer")


def end(service):
    service.close()
    log = service.log.read_text()
    assert "Traceback" not in log, log


def run_service(server, folder, backends=BACKENDS, lease=LEASE, threads=4):
    url = f"redis://127.0.0.1:{server.port}"
    return Service(url, folder, clients=["alice"], backends=backends, lease=lease, threads=threads).__enter__()


@pytest.fixture
def start(server, r, tmp_path):
    """Starts a service with other options than `service` has."""
    running = []

    def start(of=server, **options):
        running.append(run_service(of, tmp_path, **options))
        return running[-1]

    yield start
    for service in running:
        end(service)


@pytest.fixture(scope="module")
def common_service(shared, tmp_path_factory):
    service = run_service(shared.get(), tmp_path_factory.mktemp("service"))
    yield service
    end(service)


@pytest.fixture
def service(common_service, server, r):
    """An API and all backends, as new: what an earlier test has ended is started again."""
    if f":{server.port}" not in common_service.redis_url:
        pytest.fail("an earlier test has ended the server")
    if "api" not in common_service.processes:
        common_service.start_api()
    common_service.start_backends(*(name for name in BACKENDS if name not in common_service.processes))
    r.config_resetstat()
    return common_service


@pytest.fixture
def alice(service):
    with service.client("alice") as client:
        yield client


def ask(service, query, **args):
    """A client of its own that runs a query in a thread; its value or error is added to the list."""
    outcome = []

    def body():
        with service.client("alice") as client:
            try:
                outcome.append(client.run(query, **args))
            except Exception as error:
                outcome.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread, outcome


def answers(asked):
    for thread, _ in asked:
        thread.join(60)
    return [outcome[0] if outcome else "no answer" for _, outcome in asked]


def computing(alice, query, **args):
    """The state of a query as soon as a backend computes it."""
    def state():
        found = alice.state(query, **args)
        return found if found and found["state"] == "executing" and "backend" in found else None

    return wait_until(state, 20)


def published(r):
    """How many results the server took."""
    used = r.info("commandstats").get("cmdstat_il.publish", {"calls": 0, "failed_calls": 0})
    return used["calls"] - used["failed_calls"]


# -- once ------------------------------------------------------------------------------------------


def test_identical_queries_run_once_and_tell_how_far_they_are(service, alice, r):
    args = {"text": "hello", "seconds": 1.5}
    assert alice.state("echo", **args) is None
    asked = [ask(service, "echo", **args) for _ in range(12)]
    seen = []
    while not seen or seen[-1]["state"] != "completed":
        state = alice.state("echo", **args)
        if state and "progress" in state:
            seen.append(state)
        assert all(thread.is_alive() for thread, _ in asked) or answers(asked) == ["hello"] * 12
    assert answers(asked) == ["hello"] * 12
    progress = [state["progress"] for state in seen]
    assert progress == sorted(progress) and progress[-1] == 1 and len(set(progress)) > 4
    assert seen[-1]["runs"] == 1 and published(r) == 1 and max(state["waiting"] for state in seen) == 11
    assert {state["backend"] for state in seen} < set(BACKENDS)
    # 1 and 1.0, or an argument left out: the same question.
    assert [alice.run("echo", text="x"), alice.run("echo", text="x", seconds=1)] == ["x", "x"] and published(r) == 2


def test_exactly_once_with_60_clients_while_backends_are_killed(service, alice, r):
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    texts = [f"text {number}" for number in range(60)]
    plans = [dice.sample(texts, 4) for _ in range(60)]
    # Each is asked, most are by several clients, and the backends have threads for a fifth of them at a time.
    for text, plan in zip(texts, plans):
        plan[0] = text
    wrong = []

    def body(plan):
        with service.client("alice") as client:
            for text in plan:
                try:
                    value = client.run("echo", text=text, seconds=0.8)
                except Exception as error:
                    value = error
                if value != text:
                    wrong.append((text, value))

    threads = [threading.Thread(target=body, args=(plan,), daemon=True) for plan in plans]
    for thread in threads:
        thread.start()
    kills = 0
    while kills < 8 and any(thread.is_alive() for thread in threads):
        # At any moment of their work, not at one that the test chooses.
        time.sleep(dice.uniform(0.2, 1.0))
        victim = dice.choice(BACKENDS)
        service.kill(victim)
        service.start_backends(victim)
        kills += 1
    until = time.monotonic() + 40
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0))
    states = [alice.state("echo", text=text, seconds=0.8) for text in texts]
    told = f"seed {seed}, {kills} kills"
    assert not wrong and not any(thread.is_alive() for thread in threads), (told, wrong)
    # Each has at least one published result (it is completed), and there are as many as queries: one each.
    assert [state["state"] for state in states] == ["completed"] * 60, (told, states)
    assert published(r) == 60, told
    # The kills did interrupt computations, or this would prove nothing.
    assert kills >= 3 and sum(state["runs"] for state in states) > 60, told


def test_the_work_of_a_killed_backend_moves_on(service, alice, r):
    args = {"text": "a", "seconds": 2}
    asked = [ask(service, "echo", **args) for _ in range(3)]
    first = computing(alice, "echo", **args)
    service.kill(first["backend"])
    # The reports of the dead one are not shown as the progress of the new computation.
    second = wait_until(lambda: (state := alice.state("echo", **args))["runs"] == 2 and state.get("backend") and state, 20)
    assert second["backend"] != first["backend"]
    assert answers(asked) == ["a"] * 3 and published(r) == 1


def test_a_query_survives_although_only_the_killed_backend_knew_it(start):
    service = start(backends=["one"])
    asked = [ask(service, "echo", text="a", seconds=1)]
    with service.client("alice") as alice:
        computing(alice, "echo", text="a", seconds=1)
        service.kill("one")
        service.start_backends("one")
        assert answers(asked) == ["a"] and alice.state("echo", text="a", seconds=1)["runs"] == 2


# -- orderly ends ----------------------------------------------------------------------------------


def test_a_backend_that_is_asked_to_end_hands_its_work_on_at_once(start):
    service = start(lease=300)
    args = {"text": "a", "seconds": 1}
    asked = [ask(service, "echo", **args) for _ in range(3)]
    with service.client("alice") as alice:
        assert service.end(computing(alice, "echo", **args)["backend"]) == 0
        # Long before the lease is over.
        assert answers(asked) == ["a"] * 3 and alice.state("echo", **args)["runs"] == 2


def test_an_api_that_ends_says_so_and_loses_nothing(service, alice):
    args = {"text": "a", "seconds": 2}
    asked = [ask(service, "echo", **args)]
    first = computing(alice, "echo", **args)
    assert service.end("api") == 0
    error = answers(asked)[0]
    assert isinstance(error, QueryError) and error.code == "unavailable" and "the API ends" in str(error)
    # The backends have not noticed, and meet the next one at the same address.
    service.start_api()
    assert alice.run("echo", **args) == "a"
    state = alice.state("echo", **args)
    assert state["runs"] == 1 and state["backend"] == first["backend"]
    assert [service.end(name) for name in list(service.processes)] == [0] * 4


# -- cancelling ------------------------------------------------------------------------------------


def test_cancelling_tells_all_who_wait_and_ask_later(service, alice):
    args = {"text": "a", "seconds": 600}
    assert alice.cancel("echo", **args) is False
    asked = [ask(service, "echo", **args) for _ in range(6)]
    computing(alice, "echo", **args)
    assert alice.cancel("echo", **args) is True
    for error in answers(asked):
        assert isinstance(error, QueryError) and (error.code, str(error)) == ("cancelled", "echo: cancelled"), error
    with pytest.raises(QueryError, match="cancelled"):
        alice.run("echo", **args)
    assert alice.cancel("echo", **args) is False and alice.state("echo", **args)["state"] == "cancelled"


def test_cancelling_stops_the_work(start):
    service = start(backends=["one"], threads=1)
    with service.client("alice") as alice:
        asked = [ask(service, "echo", text="a", seconds=600)]
        computing(alice, "echo", text="a", seconds=600)
        assert alice.cancel("echo", text="a", seconds=600) is True
        assert answers(asked)[0].code == "cancelled"
        # There is one thread: if it went on, this would wait for it.
        assert alice.run("echo", text="b", seconds=0.1) == "b"


def test_what_is_reset_is_computed_anew(service, alice):
    args = {"text": "a", "seconds": 0.1}
    assert alice.reset("echo", **args) is False
    assert alice.run("echo", **args) == "a" and alice.reset("echo", **args) is True
    assert alice.run("echo", **args) == "a" and alice.state("echo", **args)["runs"] == 2


# -- errors ----------------------------------------------------------------------------------------


def test_errors_are_clear(service, alice, r):
    for query, args, text in (
        ("weather", {}, "there is no query 'weather', only primes, echo, divide"),
        ("primes", {}, "primes: argument 'below' is missing"),
        ("primes", {"below": 5, "above": 1}, "primes: there is no argument 'above', only below"),
        ("primes", {"below": "x"}, "primes: below must be of type int, not 'x'"),
        ("primes", {"below": True}, "primes: below must be of type int, not True"),
        ("divide", {"dividend": 10**400, "divisor": 1}, "divide: dividend is too large"),
        ("echo", {"work": 1, "text": ""}, "echo: there is no argument 'work', only text, seconds"),
    ):
        with pytest.raises(QueryError) as refused:
            alice.run(query, **args)
        assert (refused.value.code, str(refused.value)) == ("bad-query", text)
    assert r.dbsize() == 0
    asked = [ask(service, "divide", dividend=1, divisor=0) for _ in range(5)]
    # The one who computes and those who wait are told the same.
    assert {(error.code, str(error)) for error in answers(asked)} == {
        ("failed", "divide: ZeroDivisionError: float division by zero")
    }
    assert alice.state("divide", dividend=1, divisor=0)["state"] == "errored"


def test_nonsense_of_a_client_is_answered(service, alice):
    for nonsense in (b"", b"\xff", b"[]", b"{}", b"[" * 100_000, b'{"id": 1, "op": "run", "query": [], "args": {}}',
                     b'{"id": 1, "op": ["run"], "query": "echo", "args": {}}', b'{"id": 1, "op": "flush", "query": "", "args": {}}'):
        for frames in ([nonsense], [nonsense, b""]):
            alice._socket.send_multipart(frames)
            assert alice._socket.poll(20_000), nonsense
            assert json.loads(alice._socket.recv())["error"]["code"] == "malformed", nonsense
    assert alice.run("divide", dividend=1, divisor=2) == 0.5


def test_without_backends_clients_are_told(start):
    service = start(backends=[])
    with service.client("alice") as alice, pytest.raises(QueryError, match="there is no backend") as refused:
        alice.run("echo", text="a")
    assert refused.value.code == "unavailable"


def test_without_the_server_clients_are_told(start, new_server):
    server = new_server()
    service = start(server, backends=["one"])
    with service.client("alice") as alice:
        server.kill()
        for ask in (alice.run, alice.state, alice.cancel):
            with pytest.raises(QueryError, match="the server: ") as refused:
                ask("echo", text="a")
            assert refused.value.code == "unavailable"


# -- keys ------------------------------------------------------------------------------------------


def test_who_has_no_key_that_the_api_knows_gets_nothing(service, alice, r):
    with service.client(None) as nobody, pytest.raises(PermissionError, match="only to peers with a key"):
        nobody.run("divide", dividend=1, divisor=2)
    with service.stranger() as eve, pytest.raises(PermissionError, match="does not know this key"):
        eve.run("divide", dividend=1, divisor=2)
    # A key is good for its own side only.
    backend = service.keys / "backends/one.key_secret"
    with query_client.Client(service.addresses["clients"], key=backend) as wrong, pytest.raises(PermissionError):
        wrong.run("divide", dividend=1, divisor=2)
    # Who is taken in by another API's key tells that one nothing.
    keys.make(service.keys / "other", [], [])
    with service.client("alice", api_key=service.keys / "other/api.key", timeout=0.5) as misled, pytest.raises(TimeoutError):
        misled.run("divide", dividend=1, divisor=2)
    assert r.dbsize() == 0
    assert alice.run("divide", dividend=1, divisor=2) == 0.5


def test_backends_need_keys_too(service):
    keys.make(service.keys / "strangers", [], ["eve"])
    for key in (service.keys / "clients/alice.key_secret", service.keys / "strangers/backends/eve.key_secret"):
        with pytest.raises(RuntimeError, match="backend: the API does not know this key"):
            service.start("four", "backend.py", "four", f"--key={key}", f"--api={service.addresses['backends']}")
            service.ready("four")
        assert service.end("four") == 1


def test_secret_keys_are_for_their_owner(service):
    secrets = list(service.keys.rglob("*.key_secret"))
    assert len(secrets) >= 5 and all(path.stat().st_mode & 0o077 == 0 for path in secrets)


# -- the command -----------------------------------------------------------------------------------


def test_the_command_line(service):
    def run(*words, key="alice"):
        done = subprocess.run(
            [sys.executable, str(ROOT / "examples/query_service/client.py"), f"--api={service.addresses['clients']}",
             *([f"--key={service.keys / 'clients' / key}.key_secret"] if key else []), *words],
            capture_output=True, text=True, timeout=60,
        )
        return done.returncode, (done.stdout + done.stderr).strip()

    assert run("run", "primes", "below=100") == (0, "25")
    assert run("run", "echo", "text=hello", "seconds=0.1") == (0, '"hello"')
    assert run("run", "divide", "dividend=1", "divisor=0") == (1, "failed: divide: ZeroDivisionError: float division by zero")
    assert run("run", "primes", "below=100", key=None) == (1, "the API speaks only to peers with a key")
