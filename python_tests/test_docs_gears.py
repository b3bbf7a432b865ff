"""Does the documentation of Gears say what happens?

Blocks marked `redis` are commands after `> `, each with its reply as redis-cli shows it; `...` stands for
anything, also for lines. Blocks marked `python` are scripts; a block marked `text` after one has the
results, one a line.
"""

import pathlib
import re
import shlex
import socket

import pytest

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(path):
    return [(kind, text) for kind, text in BLOCK.findall(path.read_text())]


class Connection:
    """Just enough of RESP2 to tell a simple string from a bulk string."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.file = self.socket.makefile("rb")

    def ask(self, words):
        data = [word.encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(data) + b"".join(b"$%d\r\n%s\r\n" % (len(d), d) for d in data))
        return self.reply()

    def reply(self, indent=""):
        """The lines of the next reply, as redis-cli shows them."""
        line = self.file.readline()[:-2]
        kind, rest = line[:1], line[1:].decode()
        if kind == b"+":
            return [rest]
        if kind == b"-":
            return [f"(error) {rest}"]
        if kind == b":":
            return [f"(integer) {rest}"]
        if rest == "-1":
            return ["(nil)"]
        if kind == b"$":
            text = self.file.read(int(rest) + 2)[:-2].decode()
            return ['"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"']
        lines = []
        for n in range(1, int(rest) + 1):
            item = self.reply()
            head = f"{n}) "
            lines += [head + item[0]] + [" " * len(head) + line for line in item[1:]]
        return lines or ["(empty array)"]

    def close(self):
        self.file.close()
        self.socket.close()


def matches(expected, found):
    pattern = ".*".join(re.escape(part) for part in "\n".join(expected).split("..."))
    return re.fullmatch(pattern, "\n".join(found), re.DOTALL)


@pytest.mark.parametrize("name", sorted(path.name for path in (DOCS / "commands").glob("rg.*.md")))
def test_command_pages(new_server, name):
    connection = Connection(new_server().port)
    examples = 0
    for kind, text in blocks(DOCS / "commands" / name):
        if kind != "redis":
            continue
        for example in re.split(r"^> ", text, flags=re.MULTILINE)[1:]:
            command, *expected = example.rstrip("\n").split("\n")
            found = connection.ask(shlex.split(command))
            assert matches(expected, found), f"{command}\n" + "\n".join(found)
            examples += 1
    connection.close()
    assert examples


def test_the_python_api(new_server):
    client = new_server().client()
    pages = blocks(DOCS / "python-api.md")
    scripts = 0
    for (kind, text), (next_kind, next_text) in zip(pages, [*pages[1:], ("", "")]):
        if kind != "python":
            continue
        client.flushall()
        reply = client.execute_command("RG.PYEXECUTE", text)
        scripts += 1
        if next_kind == "text":
            results, errors = reply
            assert errors == [], text
            assert [result.decode() for result in results] == next_text.splitlines(), text
        else:
            assert reply == b"OK" or reply[1] == [], text
    assert scripts >= 10


def test_every_command_has_its_page(new_server):
    client = new_server().client()
    names = [name.decode() for name in client.execute_command("COMMAND", "LIST", "FILTERBY", "PATTERN", "rg.*")]
    pages = {path.stem for path in (DOCS / "commands").glob("rg.*.md")}
    assert {name.lower() for name in names} == pages
