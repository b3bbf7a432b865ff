"""Every example in the documentation runs, and answers what the page says.

Blocks of these kinds are examples:

    ```redis      a transcript: lines that start with `> ` are commands, typed into one redis-cli; the
                  other lines are what it prints. `...` stands for any text, or any lines.
    ```python     with a first line such as `# hello.py`: a file of that name, for the blocks after it.
                  Without one: a script that runs as it stands, on an empty data set. A block ```text
                  right after it holds its results, one a line.
    ```sh         lines that start with `$ redis-cli` or `$ sleep` run in a folder with those files; the other lines
                  are what they print. Other commands (make, git) are for the reader.

Each page runs from top to bottom, on a server of its own.
"""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from servers import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CLI = shutil.which("redis-cli") or shutil.which("valkey-cli")


def blocks(page):
    """(line number, language, text) of the fenced blocks of a page."""
    text = page.read_text()
    return [(text.count("\n", 0, match.start()) + 1, match[1], match[2]) for match in FENCE.finditer(text)]


def transcript(text, mark):
    """The commands of a block and, in one list, the lines expected of all of them."""
    commands, expected = [], []
    for line in text.splitlines():
        if line.startswith(mark):
            commands.append(line[len(mark):])
        elif line.strip():
            expected.append(line.rstrip())
    return commands, expected


def matches(expected, actual):
    """Whether the lines are as expected, with `...` for anything."""
    pattern = ".*?".join(re.escape(part) for part in "\n".join(expected).split("..."))
    return re.fullmatch(pattern, "\n".join(actual), re.DOTALL) is not None


def printed(output):
    """What redis-cli printed, without blank lines and without the time of slow commands."""
    lines = [line.rstrip() for line in output.splitlines()]
    return [line for line in lines if line and not re.fullmatch(r"\(\d+\.\d+s\)", line)]


class Reader:
    """Somebody who reads a page from top to bottom and tries everything."""

    def __init__(self, server, folder):
        self.client, self.folder = server.client(), folder
        wrapper = folder / "bin" / "redis-cli"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec {CLI} -p {server.port} --no-raw "$@"\n')
        wrapper.chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{wrapper.parent}:{os.environ['PATH']}"}

    def run(self, command, text=None):
        done = subprocess.run(
            command, input=text, text=True, cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
        )
        return printed(done.stdout)

    def redis(self, text):
        commands, expected = transcript(text, "> ")
        return commands, expected, self.run(["redis-cli"], "".join(line + "\n" for line in commands))

    def sh(self, text):
        commands, expected = transcript(text, "$ ")
        ours = [line for line in commands if line.startswith(("redis-cli", "sleep "))]
        if not ours:
            return None
        assert len(ours) == len(commands), "a block holds either redis-cli or other commands"
        actual = [line for command in ours for line in self.run(["bash", "-c", command])]
        return commands, expected, actual

    def python(self, text, results):
        name = re.match(r"# (\w+\.py)\n", text)
        if name:
            (self.folder / name[1]).write_text(text)
            return None
        self.client.flushall()
        reply = self.client.execute_command("RG.PYEXECUTE", text)
        found, errors = reply if isinstance(reply, list) else ([], [])
        assert not errors, errors
        found = [line.decode() for line in found] if results is not None else []
        return ["RG.PYEXECUTE, the script above"], (results or "").splitlines(), found


@pytest.mark.skipif(CLI is None, reason="there is no redis-cli here")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(new_server, page, tmp_path):
    reader = Reader(new_server(), tmp_path)
    of_page = blocks(page)
    for (number, language, text), (_, following, results) in zip(of_page, [*of_page[1:], (0, "", "")]):
        if language == "python":
            tried = reader.python(text, results if following == "text" else None)
        else:
            tried = {"redis": reader.redis, "sh": reader.sh}.get(language, lambda _: None)(text)
        if tried is None:
            continue
        commands, expected, actual = tried
        assert matches(expected, actual), (
            f"{page.relative_to(ROOT)}:{number}: after\n  " + "\n  ".join(commands)
            + "\nexpected\n  " + "\n  ".join(expected) + "\ngot\n  " + "\n  ".join(actual)
        )


def test_links_lead_somewhere():
    """Relative links of the pages, and of the pages at the root."""
    broken = []
    examples = (ROOT / "examples").rglob("*.md")
    for page in [*PAGES, *examples, ROOT / "python/README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if not re.match(r"\w+:", target) and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} -> {target}")
    assert not broken, broken


def test_every_command_has_a_page(r):
    """And every page of docs/commands is about a command that exists. Names such as `il._lock` are for
    replicas and the AOF, not for users."""
    reply = r.execute_command("COMMAND LIST", "FILTERBY", "MODULE", "search")
    commands = {(name.decode() if isinstance(name, bytes) else name).lower() for name in reply}
    # Subcommands are on the page of their command.
    commands = {name for name in commands if "._" not in name and "|" not in name}
    pages = {page.stem for page in (ROOT / "docs/commands").glob("*.md")}
    assert commands - pages == set(), "commands without a page"
    assert pages - commands == set(), "pages without a command"


def test_every_option_is_documented(r):
    text = (ROOT / "docs/configuration.md").read_text()
    options = r.config_get("search.*")
    names = {(name.decode() if isinstance(name, bytes) else name) for name in options}
    assert names and [name for name in sorted(names) if f"`{name.removeprefix('search.')}`" not in text] == []


def test_every_figure_is_documented(server):
    text = (ROOT / "docs/commands/il.stats.md").read_text()
    names = {re.sub(r"_(p50|p99|p999|max)$", "_p50", name) for name in server.info_interlock()}
    assert names and [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_the_checker_can_fail():
    assert matches(["1) ...b", "..."], ["1) aab", "x"])
    assert matches(["...", "OK"], ["a", "b", "OK"])
    assert not matches(["OK"], ["OK", "more"])
    assert not matches(["a.c"], ["abc"])
