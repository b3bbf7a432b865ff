"""Does FT.INFO show what is so, in both protocols? And what is shown elsewhere: aliases, synonyms, dictionaries."""

import pytest

from ft import documents, error_of, info, names, plain, text
from helpers import in_lua, in_multi, wait_until

KEYS = """index_name index_options index_definition attributes fields num_docs max_doc_id num_terms num_records
    inverted_sz_mb vector_index_sz_mb total_inverted_index_blocks offset_vectors_sz_mb doc_table_size_mb
    sortable_values_size_mb key_table_size_mb tag_overhead_sz_mb text_overhead_sz_mb total_index_memory_sz_mb
    geoshapes_sz_mb records_per_doc_avg bytes_per_record_avg offsets_per_term_avg offset_bits_per_record_avg
    hash_indexing_failures total_indexing_time indexing percent_indexed number_of_uses cleaning gc_stats cursor_stats
    dialect_stats|Index Errors|field statistics"""
KEYS = [word for part in KEYS.split("|")[:1] for word in part.split()] + KEYS.split("|")[1:]
CREATE = """FT.CREATE i ON HASH PREFIX 2 a: b: LANGUAGE french SCORE 0.5 SCORE_FIELD s NOOFFSETS STOPWORDS 1 x SCHEMA
    title AS t TEXT WEIGHT 2 NOSTEM SORTABLE tag TAG SEPARATOR ; CASESENSITIVE WITHSUFFIXTRIE n NUMERIC SORTABLE
    g GEO NOINDEX SORTABLE m TEXT INDEXMISSING INDEXEMPTY""".split()


def test_every_key_in_order(r, r3):
    r.execute_command(*CREATE)
    expected = KEYS[:-3] + ["stopwords_list"] + KEYS[-3:]
    assert list(info(r, "i")) == expected
    assert list(info(r3, "i")) == expected


def test_definition_and_fields(r, r3):
    r.execute_command(*CREATE)
    two, three = info(r, "i"), info(r3, "i")
    assert two["index_options"] == three["index_options"] == ["NOOFFSETS", "NOHL"]
    rule = {"key_type": "HASH", "prefixes": ["a:", "b:"], "default_language": "french", "default_score": 0.5, "score_field": "s"}
    assert three["index_definition"] == rule
    assert plain(two["index_definition"]) == {**rule, "default_score": "0.5"}
    assert two["stopwords_list"] == ["x"]
    assert two["attributes"][0] == "identifier title attribute t type TEXT WEIGHT 2 SORTABLE NOSTEM".split()
    assert two["attributes"][1] == "identifier tag attribute tag type TAG SEPARATOR ; CASESENSITIVE WITHSUFFIXTRIE".split()
    assert two["attributes"][2] == "identifier n attribute n type NUMERIC SORTABLE UNF".split()
    assert two["attributes"][3] == "identifier g attribute g type GEO SORTABLE NOINDEX".split()
    assert two["attributes"][4] == "identifier m attribute m type TEXT WEIGHT 1 INDEXEMPTY INDEXMISSING".split()
    assert three["attributes"][0] == {
        "identifier": "title", "attribute": "t", "type": "TEXT", "WEIGHT": 2.0, "flags": ["SORTABLE", "NOSTEM"],
    }
    assert two["fields"][0] == "t type TEXT WEIGHT 2 SORTABLE NOSTEM".split()


def test_errors_of_documents_are_counted_by_field(r, r3):
    r.execute_command("FT.CREATE", "i", "SCHEMA", "t", "TEXT", "n", "NUMERIC")
    assert info(r3, "i")["Index Errors"] == {
        "indexing failures": 0, "last indexing error": "N/A", "last indexing error key": "N/A",
    }
    r.hset("good", mapping={"t": "x", "n": 1})
    assert r.hset("bad", mapping={"t": "x", "n": "one"}) == 2, "the write itself succeeds"
    assert documents(r, "i") == 1
    shown = info(r3, "i")
    expected = {"indexing failures": 1, "last indexing error": "Invalid numeric value: 'one'", "last indexing error key": "bad"}
    assert shown["Index Errors"] == expected
    assert shown["hash_indexing_failures"] == 1
    fields = {field["attribute"]: field["Index Errors"] for field in shown["field statistics"]}
    assert fields["n"] == expected and fields["t"]["indexing failures"] == 0
    # A good document that turns bad leaves the index, and comes back.
    r.hset("good", "n", "two")
    assert documents(r, "i") == 0
    r.hset("good", "n", "2")
    assert documents(r, "i") == 1


def test_figures_of_postings_are_exact(r, r3):
    r.execute_command("FT.CREATE", "i", "SCHEMA", "t", "TEXT", "NOSTEM", "tag", "TAG")
    for n in range(300):
        r.hset(f"d{n}", mapping={"t": f"common common w{n}", "tag": "red,blue"})
    assert documents(r, "i") == 300
    shown = info(r3, "i")
    # Two words and two tags each; 300 words, one that all have, and two tags.
    assert shown["num_records"] == 1200
    assert shown["num_terms"] == 301
    # Three lists of 300 postings, and those of one.
    assert shown["total_inverted_index_blocks"] == 3 * 3 + 300
    assert shown["records_per_doc_avg"] == 4.0
    assert shown["offsets_per_term_avg"] == 900 / 1200


def test_terms_count_once_however_many_segments_have_them(r):
    r.execute_command("FT.CREATE", "i", "SCHEMA", "t", "TEXT", "NOSTEM", "tag", "TAG")
    for start in range(0, 50_000, 5_000):
        with r.pipeline(transaction=False) as pipe:
            for n in range(start, start + 5_000):
                pipe.hset(f"d{n}", mapping={"t": f"common w{n % 500}", "tag": f"tag{n}"})
            pipe.execute()
        assert info(r, "i")["num_terms"] == 501
    assert info(r, "i")["num_records"] == 150_000


@pytest.mark.parametrize("lane", [in_multi, in_lua])
def test_info_in_every_lane_sees_the_writes_before(r, lane):
    r.execute_command("FT.CREATE", "i", "SCHEMA", "t", "TEXT")
    with r.pipeline(transaction=True) as pipe:
        for n in range(100):
            pipe.hset(f"d{n}", "t", "hello world")
        pipe.execute_command("FT.INFO", "i")
        assert int(plain(pipe.execute()[-1])["num_docs"]) == 100
    assert int(plain(lane(r, "FT.INFO", "i"))["num_docs"]) == 100


def test_unknown_index(r):
    assert error_of(r, "FT.INFO", "no") == "Unknown index name"
    assert error_of(r, "FT.ALTER", "no", "SCHEMA", "ADD", "t", "TEXT") == "Unknown index name"
    assert error_of(r, "FT.SYNUPDATE", "no", "g", "w") == "Unknown index name"


def test_alter_adds_fields_and_reads_again(r):
    r.execute_command("FT.CREATE", "i", "SCHEMA", "t", "TEXT")
    r.hset("d", mapping={"t": "x", "n": "not a number"})
    assert documents(r, "i") == 1
    assert r.execute_command("FT.ALTER", "i", "SCHEMA", "ADD", "n", "NUMERIC") == b"OK"
    wait_until(lambda: info(r, "i")["indexing"] == 0)
    assert documents(r, "i") == 0, "it was read again, with the new field"
    r.hset("d", "n", 1)
    assert documents(r, "i") == 1
    assert [field[3] for field in info(r, "i")["attributes"]] == ["t", "n"]
    assert r.execute_command("FT.ALTER", "i", "SKIPINITIALSCAN", "SCHEMA", "ADD", "g", "GEO") == b"OK"
    assert documents(r, "i") == 1


@pytest.mark.parametrize(
    "words, text",
    [
        ("SCHEMA DROP t", "Unknown action passed to ALTER SCHEMA"),
        ("ADD t TEXT", "ALTER must be followed by SCHEMA"),
        ("SCHEMA ADD", "No fields provided"),
        ("SCHEMA ADD t TEXT", "Duplicate field in schema - t"),
        ("SCHEMA ADD u", "Field `u` does not have a type"),
    ],
)
def test_alter_refused(r, words, text):
    r.execute_command("FT.CREATE", "i", "SCHEMA", "t", "TEXT")
    assert error_of(r, "FT.ALTER", "i", *words.split()) == text


def test_aliases(r):
    unknown = "Unknown index name (or name is an alias itself)"
    for name in ("i", "j"):
        r.execute_command("FT.CREATE", name, "SCHEMA", "t", "TEXT")
    assert r.execute_command("FT.ALIASADD", "a", "i") == b"OK"
    assert info(r, "a")["index_name"] == "i"
    assert error_of(r, "FT.ALIASADD", "a", "j") == "Alias already exists"
    assert error_of(r, "FT.ALIASADD", "b", "a") == unknown
    assert error_of(r, "FT.ALIASADD", "b", "no") == unknown
    assert error_of(r, "FT.ALIASUPDATE", "a", "no") == unknown
    assert info(r, "a")["index_name"] == "i", "a refused update changes nothing"
    assert r.execute_command("FT.ALIASUPDATE", "a", "j") == b"OK"
    assert info(r, "a")["index_name"] == "j"
    assert r.execute_command("FT.ALIASUPDATE", "c", "j") == b"OK"
    assert r.execute_command("FT.ALIASDEL", "a") == b"OK"
    assert error_of(r, "FT.ALIASDEL", "a") == "Alias does not exist"
    r.execute_command("FT.DROPINDEX", "j")
    assert error_of(r, "FT.INFO", "c") == "Unknown index name"
    assert names(r) == {"i"}


def test_synonyms(r, r3):
    r.execute_command("FT.CREATE", "i", "SCHEMA", "t", "TEXT")
    assert r.execute_command("FT.SYNUPDATE", "i", "g1", "Boy", "child") == b"OK"
    assert r.execute_command("FT.SYNUPDATE", "i", "g2", "SKIPINITIALSCAN", "boy") == b"OK"
    assert plain(r.execute_command("FT.SYNDUMP", "i")) == {"boy": ["g1", "g2"], "child": ["g1"]}
    assert plain(r3.execute_command("FT.SYNDUMP", "i")) == {"boy": ["g1", "g2"], "child": ["g1"]}
    assert error_of(r, "FT.SYNADD", "i", "w") == "No longer suppoted, use FT.SYNUPDATE"
    assert error_of(r, "FT.SYNDUMP", "no") == "Unknown index name"


def test_dictionaries(r):
    assert r.execute_command("FT.DICTADD", "d", "one", "two", "one") == 2
    assert r.execute_command("FT.DICTADD", "d", "two", "three") == 1
    assert set(text(r.execute_command("FT.DICTDUMP", "d"))) == {"one", "two", "three"}
    assert r.execute_command("FT.DICTDEL", "d", "one", "four") == 1
    assert r.execute_command("FT.DICTDEL", "d", "two", "three") == 2
    assert error_of(r, "FT.DICTDUMP", "d") == "could not open dict key"
    r.execute_command("FT.DICTADD", "d", "one")
    r.flushall()
    assert error_of(r, "FT.DICTDUMP", "d") == "could not open dict key"


def test_config(r, r3):
    r.config_set("search.timeout", 500)
    assert r.execute_command("FT.CONFIG", "GET", "timeout") == [[b"TIMEOUT", b"500"]]
    assert r3.execute_command("FT.CONFIG", "GET", "TIMEOUT") == {b"TIMEOUT": b"500"}
    assert r.execute_command("FT.CONFIG", "GET", "NONSENSE") == []
    shown = {name.decode(): value for name, value in r.execute_command("FT.CONFIG", "GET", "*")}
    assert shown["MINPREFIX"] == b"2" and shown["GC_POLICY"] is None and shown["ON_TIMEOUT"] == b"return"
    before = r.execute_command("FT.CONFIG", "GET", "MAXEXPANSIONS")
    try:
        assert r.execute_command("FT.CONFIG", "SET", "MAXEXPANSIONS", 77) == b"OK"
        assert r.config_get("search.max-prefix-expansions") in ({"search.max-prefix-expansions": "77"}, {b"search.max-prefix-expansions": b"77"})
    finally:
        r.execute_command("FT.CONFIG", "SET", "MAXEXPANSIONS", before[0][1])
    for words, error in [
        (("NONSENSE", 1), "Invalid option"),
        (("MAXDOCTABLESIZE", 1), "Not modifiable at runtime"),
        (("TIMEOUT", "soon"), "Could not convert argument to expected type"),
        (("TIMEOUT", -1), "Value is outside acceptable bounds"),
        (("DEFAULT_DIALECT", 0), "Value is outside acceptable bounds"),
        (("DEFAULT_DIALECT", 7), "Default dialect version cannot be higher than 4"),
        (("ON_TIMEOUT", "perhaps"), "Invalid ON_TIMEOUT value"),
    ]:
        assert error_of(r, "FT.CONFIG", "SET", *words) == error
    (line,) = r.execute_command("FT.CONFIG", "HELP", "TIMEOUT")
    assert [line[0], line[1], line[3], line[4]] == [b"TIMEOUT", b"Description", b"Value", b"500"]


def test_conditional_forms(r):
    for _ in range(2):
        assert r.execute_command("FT._CREATEIFNX", "i", "SCHEMA", "t", "TEXT") == b"OK"
        assert r.execute_command("FT._ALTERIFNX", "i", "SCHEMA", "ADD", "n", "NUMERIC") == b"OK"
        assert r.execute_command("FT._ALIASADDIFNX", "a", "i") == b"OK"
    assert len(info(r, "a")["attributes"]) == 2
    for _ in range(2):
        assert r.execute_command("FT._ALIASDELIFX", "a") == b"OK"
        assert r.execute_command("FT._DROPINDEXIFX", "i") == b"OK"
    assert names(r) == set()
