"""The tour's part about searching: WordNet's definitions, found while scripts and writes run.

Where WordNet cannot be fetched, the help texts of Python's standard library take its place.
"""

import itertools
import pathlib
import pydoc
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = {"n": "noun", "v": "verb", "a": "adjective", "s": "adjective", "r": "adverb"}


def wordnet(folder):
    """(key, fields) of each definition: its words, kind, text, and how many other words it is linked to."""
    for path in sorted(pathlib.Path(folder).glob("data.*")):
        for line in path.open(encoding="latin-1"):
            if line.startswith("  "):
                continue
            facts, text = line.split(" | ", 1)
            facts = facts.split()
            count = int(facts[3], 16)
            words = [word.split("(")[0].replace("_", " ") for word in facts[4:4 + 2 * count:2]]
            links = int(facts[4 + 2 * count])
            yield f"gloss:{path.suffix[1:]}:{facts[0]}", {
                "word": ", ".join(words), "kind": KINDS[facts[2]], "text": text.strip(), "links": links,
            }


def help_texts():
    """The same of Python's own modules: their documentation, line by line."""
    for name in sorted(sys.stdlib_module_names):
        try:
            text = pydoc.plain(pydoc.render_doc(name))
        except Exception:
            continue
        for number, line in enumerate(line for line in text.splitlines() if len(line.split()) > 3):
            yield f"gloss:{name}:{number}", {"word": name, "kind": "python", "text": line.strip(), "links": number}


def glosses():
    folder = subprocess.run([ROOT / "scripts/glosses"], capture_output=True, text=True).stdout.strip()
    return ("WordNet's definitions", wordnet(folder)) if folder else ("Python's help texts", help_texts())


def load(client, documents):
    """Writes hashes; how many."""
    count = 0
    while batch := list(itertools.islice(documents, 100)):
        pipe = client.pipeline(transaction=False)
        for key, fields in batch:
            pipe.hset(key, mapping=fields)
        pipe.execute()
        count += len(batch)
    return count


def search(client, *words, limit=3):
    """FT.SEARCH with its first rows shown."""
    at = time.perf_counter()
    total, *rows = client.execute_command("FT.SEARCH", "glosses", *words, "LIMIT", "0", str(limit))
    took = (time.perf_counter() - at) * 1000
    print(f"  > FT.SEARCH glosses {' '.join(repr(word) if ' ' in word else word for word in words)}")
    print(f"    {total} found   [{took:.1f} ms]")
    for _, fields in zip(rows[::2], rows[1::2]):
        fields = {name.decode(): value.decode(errors="replace") for name, value in zip(fields[::2], fields[1::2])}
        print("    " + " | ".join(value[:110] for value in fields.values()), flush=True)
    return total


def tour(server, title, Probe):
    r = server.client(protocol=2)
    name, documents = glosses()
    title(f"Searching a real corpus: {name}")
    r.execute_command(
        "FT.CREATE", "glosses", "ON", "HASH", "PREFIX", "1", "gloss:", "SCHEMA", "word", "TEXT", "WEIGHT", "5",
        "kind", "TAG", "text", "TEXT", "links", "NUMERIC", "SORTABLE",
    )  # fmt: skip
    at = time.perf_counter()
    with Probe(server) as probe:
        count = load(r, documents)
        # It sees every write before it, and waits until the last of them is in the index.
        found = r.execute_command("FT.SEARCH", "glosses", "*", "LIMIT", "0", "0")[0]
    seconds = time.perf_counter() - at
    print(f"  {count} hashes written and indexed in {seconds:.1f} s ({count / seconds:,.0f} a second); found: {found}")
    print(f"    meanwhile {probe}")
    assert found == count
    if name.startswith("WordNet"):
        shown = ("RETURN", "2", "word", "text")
        assert search(r, "large animals", *shown, "HIGHLIGHT", "FIELDS", "1", "text", "TAGS", "[", "]")
        assert search(r, '@kind:{verb} "move fast"|run', *shown)
        assert search(r, "%astronmy%", *shown)
        assert search(r, "@links:[100 +inf]", *shown, "SORTBY", "links", "DESC")
        assert search(r, "stell* -star", *shown, "DIALECT", "2")

    title("Searches, writes and a script at once")
    stop = threading.Event()
    counts = {"searches": 0, "writes": 0}
    missing = []

    def searches():
        client = server.client(protocol=2)
        while not stop.is_set():
            client.execute_command("FT.SEARCH", "glosses", "a|the|of|person|having", "NOSTOPWORDS", "NOCONTENT")
            counts["searches"] += 1

    def writes():
        client = server.client(protocol=2)
        while not stop.is_set():
            number = counts["writes"]
            client.hset(f"gloss:new:{number}", mapping={"word": f"neologism{number}", "text": "written just now"})
            if client.execute_command("FT.SEARCH", "glosses", f"neologism{number}", "NOCONTENT")[0] != 1:
                missing.append(number)
            counts["writes"] += 1

    def script():
        client = server.client(protocol=2)
        client.execute_command("RG.PYEXECUTE", "GB('KeysReader').count().run('gloss:noun:*')")

    r.execute_command("IL.STATS", "RESET")
    threads = [threading.Thread(target=body) for body in (searches, searches, writes, script)]
    with Probe(server) as probe:
        for thread in threads:
            thread.start()
        time.sleep(4)
        stop.set()
        for thread in threads:
            thread.join(60)
    print(f"  {counts['searches']} heavy searches; {counts['writes']} documents written, each found by its writer at once; "
          "one script over all nouns")
    holds = server.info_interlock()
    print(f"    meanwhile {probe}")
    print(f"  longest hold of the server's lock: {holds['slice_hold_us_max']:.0f} us in {holds['slices']} slices")
    assert not missing, missing
