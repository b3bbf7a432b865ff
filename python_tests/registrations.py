"""How does a test register something and look at what came of it?"""

from gears import interpreters
from helpers import plain, wait_until


def register(client, source, *options):
    """Runs a script that registers; the ids of the registrations that are there then."""
    assert client.execute_command("RG.PYEXECUTE", source, *options) in (b"OK", "OK")
    return ids(client)


def entries(client):
    """What RG.DUMPREGISTRATIONS shows, a dictionary each, with dictionaries inside."""
    found = []
    for flat in plain(client.execute_command("RG.DUMPREGISTRATIONS")):
        entry = dict(zip(flat[::2], flat[1::2]))
        data = dict(zip(entry["RegistrationData"][::2], entry["RegistrationData"][1::2]))
        data["args"] = dict(zip(data["args"][::2], data["args"][1::2]))
        found.append({**entry, "RegistrationData": data})
    return found


def ids(client):
    return [entry["id"] for entry in entries(client)]


def sessions(client):
    """The sessions by id: (description, ids of registrations)."""
    found = [dict(zip(flat[::2], flat[1::2])) for flat in plain(client.execute_command("RG.PYDUMPSESSIONS"))]
    return {one["ID"]: (one["sessionDescription"], sorted(one["registrations"])) for one in found}


def stats(client, registration=None):
    """The statistics of a registration, by default the only one's."""
    found = [entry for entry in entries(client) if registration in (None, entry["id"])]
    assert len(found) == 1, found
    return found[0]["RegistrationData"]


def wait_ended(client, count, registration=None, seconds=20):
    """Waits until so many executions have ended; the statistics then."""

    def ended():
        now = stats(client, registration)
        return now if now["numSuccess"] + now["numFailures"] + now["numAborted"] >= count else None

    return wait_until(ended, seconds, what=f"{count} executions")


def unregister_all(client):
    for registration in ids(client):
        client.execute_command("RG.UNREGISTER", registration, "ABORTPENDING")


def owned(client):
    """How many interpreters somebody owns, the shared one not counted."""
    return sum(entry["isolation"] != "shared" and entry["state"] == "in use" for entry in interpreters(client))
