"""INFO's sections of Gears."""

import pytest

from gears import background, wait_done
from registrations import entries, ids, register, stats
from test_rg_requirements import PATIENCE, REGISTER, offline, start  # noqa: F401 (fixtures)

SECTIONS = ["gears", "regisrations", "plugins", "python_stats", "python_requirements", "python_sessions"]


def fields(client, section):
    """The lines of a section, by name without the prefix."""
    text = client.execute_command("INFO", "search_" + section)
    text = text if isinstance(text, str) else text.decode()
    header, *lines = text.split("\r\n") if text else [""]
    assert header == f"# search_{section}", text
    return {name.removeprefix("search_"): value for name, value in (line.split(":", 1) for line in lines if line)}


@pytest.fixture
def server(new_server):
    return new_server()


@pytest.fixture
def client(server):
    client = server.client()
    # As text: redis-py has an idea of its own of what INFO says.
    client.set_response_callback("INFO", lambda reply, **_: reply)
    return client


def parts(text):
    return dict(part.split("=", 1) for part in text.split(","))


def test_info_of_the_module_has_all_sections(client):
    text = client.execute_command("INFO", "search").decode()
    assert [line[9:] for line in text.splitlines() if line.startswith("# search_")] == ["interlock", *SECTIONS]


def test_counts_memory_and_plugins(client):
    assert fields(client, "gears") == {"nexecutions": "0", "nregistrations": "0"}
    register(client, "GB().register('a*')")
    wait_done(client, background(client, "GB('ShardsIDReader').run()"))
    assert fields(client, "gears") == {"nexecutions": "1", "nregistrations": "1"}
    assert fields(client, "plugins") == {"GearsPythonPlugin": "version=10000"}
    memory = {name: int(value) for name, value in fields(client, "python_stats").items()}
    assert list(memory) == ["TotalAllocated", "PeakAllocated", "CurrAllocated"] and 0 < memory["CurrAllocated"]


def test_a_registration_is_a_field_with_what_the_dump_says(server, client):
    register(client, "GB(desc='a, b=c').foreach(lambda x: 1 / 0 if 'bad' in x['key'] else 1)"
                     ".register('a*', mode='sync', eventTypes=['set', 'del'])", "ID", "mine", "DESCRIPTION", "of=mine,\nyes")
    client.set("a1", 1)
    client.set("a bad one", 1)
    register(client, "GB('StreamReader').register('jobs', batch=3)")
    register(client, "GB('CommandReader').register(trigger='hello', inorder=True)")
    found = fields(client, "regisrations")
    assert list(found) == ids(client)
    keys, stream, command = (parts(text) for text in found.values())
    assert (keys["desc"], keys["reader"], keys["mode"]) == ("a| b:c", "KeysReader", "sync")
    assert (keys["numTriggered"], keys["numSuccess"], keys["numFailures"]) == ("2", "1", "1")
    assert "ZeroDivisionError" in keys["lastError"]
    assert (keys["regex"], keys["eventTypes"], keys["keyTypes"]) == ("a*", "[set|del]", "null")
    assert keys["PD"].startswith("{'sessionName':'mine'| 'sessionDescription':'of:mine| yes'| 'refCount': 1|"), keys["PD"]
    assert (stream["batchSize"], stream["status"], stream["lastError"]) == ("3", "OK", "null")
    assert (command["trigger"], command["inorder"]) == ("hello", "1")
    # Everything that the dump has but the thread pool.
    for dumped, shown in zip(entries(client), (keys, stream, command)):
        data = dumped["RegistrationData"]
        assert set(shown) == {"desc", "reader", "PD"} | (set(data) - {"args"}) | set(data["args"])
    # redis-py makes sense of it too.
    parsed = server.client().info("search_regisrations")
    assert parsed["search_" + ids(client)[1]]["stream"] == "jobs"
    assert stats(client, ids(client)[0])["numTriggered"] == 2


def test_sessions(client):
    register(client, "GB('CommandReader').register(trigger='hello')", "ID", "mine")
    assert list(fields(client, "python_sessions")) == ["mine"]
    text = fields(client, "python_sessions")["mine"]
    assert text.startswith("{'sessionName':'mine'| ") and "'linkedTo': primary| 'dead': false" in text, text


def test_requirements(start, offline):  # noqa: F811
    client = start().client(socket_timeout=PATIENCE)
    client.set_response_callback("INFO", lambda reply, **_: reply)
    register(client, REGISTER, "ID", "mine", "REQUIREMENTS", "greeting==1.0")
    (name, text), = fields(client, "python_requirements").items()
    shown = parts(text)
    assert name == "greeting==1.0" and shown["Name"] == "greeting::1.0"
    assert (shown["IsInstalled"], shown["RefCount"], shown["Wheels"]) == ("yes", "1", "[greeting-1.0-py3-none-any.whl]")
    (entry,) = entries(client)
    assert "'depsList':[{'name':'greeting==1.0', 'basePath':'" in entry["PD"], entry["PD"]
    assert entry["PD"].endswith("'wheels':['greeting-1.0-py3-none-any.whl']}]}")
    (session,) = client.execute_command("RG.PYDUMPSESSIONS", "VERBOSE")
    (needed,) = session[13]
    assert needed[3] == b"greeting==1.0" and len(needed) == 18
    assert client.execute_command("RG.PYDUMPSESSIONS")[0][13] == [b"greeting==1.0"]


def test_retired_commands_answer_as_they_did(r):
    assert r.execute_command("RG.DUMPPLUGINS") == [[b"GearsPythonPlugin", 10000]]
    assert r.execute_command("RG.PYEXECUTEREMOTE", "x") == b"Execute remote is not longer supported"
    assert r.execute_command("RG.PYFREEINTERPRETER") == b"Free interpreter is not longer supported"
