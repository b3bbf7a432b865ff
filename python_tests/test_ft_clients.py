"""Do the clients that people use work unchanged? redis-py (sync and asyncio), redisearch (1.x), redis-om."""

import asyncio

import pytest
import redis
import redis.asyncio
from redis.commands.search.field import GeoField, NumericField, TagField, TextField
from redis.commands.search.query import GeoFilter, NumericFilter, Query

try:
    from redis.commands.search.index_definition import IndexDefinition, IndexType
except ImportError:  # before redis-py 6
    from redis.commands.search.indexDefinition import IndexDefinition, IndexType

SCHEMA = (
    TextField("title", weight=5.0, sortable=True),
    TextField("body"),
    TagField("tags", separator=";"),
    NumericField("price", sortable=True),
    GeoField("place"),
)
DOCUMENTS = {
    "doc:1": {"title": "Red shoes", "body": "Shoes to run in", "tags": "sport;red", "price": 50, "place": "2.35,48.85"},
    "doc:2": {"title": "Blue shoes", "body": "Shoes to dance in", "tags": "blue", "price": 70, "place": "13.4,52.5"},
    "doc:3": {"title": "Red hat", "body": "Nothing for the feet", "tags": "red", "price": 20},
}


def definition():
    return IndexDefinition(prefix=["doc:"], index_type=IndexType.HASH)


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py(server, r, protocol):
    client = server.client(protocol=protocol, decode_responses=True)
    ft = client.ft("shop")
    ft.create_index(SCHEMA, definition=definition())
    for key, fields in DOCUMENTS.items():
        client.hset(key, mapping=fields)

    def found(query, **params):
        reply = ft.search(query, query_params=params or None)
        if isinstance(reply, dict):
            return reply["total_results"], [row["id"] for row in reply["results"]]
        return reply.total, [doc.id for doc in reply.docs]

    assert found("shoes") == (2, ["doc:1", "doc:2"])
    assert found(Query("@tags:{red}").sort_by("price")) == (2, ["doc:3", "doc:1"])
    assert found(Query("*").add_filter(NumericFilter("price", 20, 50)).sort_by("price", asc=False)) == (
        2, ["doc:1", "doc:3"])
    assert found(Query("*").add_filter(GeoFilter("place", 2.3, 48.8, 20, "km"))) == (1, ["doc:1"])
    assert found(Query("@price:[$low $high]").dialect(2), low=60, high=80) == (1, ["doc:2"])
    assert found(Query("shoes").limit_ids("doc:2", "doc:3")) == (1, ["doc:2"])
    assert found(Query("red").limit_fields("body"))[0] == 0
    assert found(Query("runs").verbatim())[0] == 0
    assert found(Query("run dance").slop(1).in_order())[0] == 0
    assert found(Query("shoes").paging(1, 1).scorer("BM25").language("english").timeout(1000))[0] == 2
    assert found(Query("shoes").return_field("title", as_field="t").highlight(fields=["title"]).summarize())[0] == 2
    assert "INTERSECT" in ft.explain("red shoes")
    assert set(ft.tagvals("tags")) == {"sport", "red", "blue"}
    assert "shos" in str(ft.spellcheck("shos", distance=1))
    profiled = ft.profile(Query("red shoes").no_content())
    assert "TEXT" in str((profiled[1] if protocol == 2 else profiled).info)
    info = ft.info()
    assert int(info["num_docs"]) == 3
    ft.alter_schema_add(NumericField("stock"))
    client.hset("doc:3", "stock", 4)
    assert found("@stock:[4 4]") == (1, ["doc:3"])
    ft.aliasadd("s")
    ft.dropindex(delete_documents=True)
    assert client.keys("doc:*") == []
    with pytest.raises(redis.ResponseError, match="no such index"):
        ft.search("shoes")


def test_redis_py_documents(server, r):
    """What RESP2 clients get as objects."""
    client = server.client(decode_responses=True)
    ft = client.ft("shop")
    ft.create_index(SCHEMA, definition=definition())
    client.hset("doc:1", mapping=DOCUMENTS["doc:1"])
    (doc,) = ft.search(Query("shoes").with_scores().with_payloads()).docs
    assert (doc.id, doc.title, doc.price, doc.payload) == ("doc:1", "Red shoes", "50", None)
    assert isinstance(doc.score, float) and doc.score > 0
    (doc,) = ft.search(Query("shoes").return_field("title", as_field="name").no_stopwords()).docs
    assert doc.name == "Red shoes"


def test_redis_py_asyncio(server, r):
    async def many():
        client = redis.asyncio.Redis(port=server.port, decode_responses=True, protocol=2)
        ft = client.ft("shop")
        await ft.create_index(SCHEMA, definition=definition())
        await asyncio.gather(*(client.hset(key, mapping=fields) for key, fields in DOCUMENTS.items()))
        replies = await asyncio.gather(*(ft.search(Query("shoes").paging(0, 1)) for _ in range(50)))
        async with client.pipeline(transaction=True) as pipe:
            for word in ("red", "hat"):
                pipe.execute_command("FT.SEARCH", "shop", word, "NOCONTENT")
            piped = await pipe.execute()
        await client.aclose()
        return replies, piped

    replies, piped = asyncio.run(many())
    assert {reply.total for reply in replies} == {2}
    assert [reply[0] for reply in piped] == [2, 1]


def test_redisearch_package(server, r):
    """The client of RediSearch 1.x, on today's redis-py."""
    redisearch = pytest.importorskip("redisearch")
    client = redisearch.Client("shop", conn=server.client(decode_responses=True))
    client.create_index([
        redisearch.TextField("title", weight=5.0, sortable=True), redisearch.TextField("body"),
        redisearch.TagField("tags"), redisearch.NumericField("price", sortable=True)])
    for key, fields in DOCUMENTS.items():
        client.redis.hset(key, mapping={name: fields[name] for name in ("title", "body", "tags", "price")})
    result = client.search(redisearch.Query("shoes").sort_by("price", asc=False).with_scores())
    assert [(doc.id, doc.title) for doc in result.docs] == [("doc:2", "Blue shoes"), ("doc:1", "Red shoes")]
    query = redisearch.Query("*").add_filter(redisearch.NumericFilter("price", 0, 30)).return_fields("title")
    assert [doc.title for doc in client.search(query).docs] == ["Red hat"]
    assert client.search(redisearch.Query("@tags:{red}").no_content()).total == 1
    assert "shoes" in client.explain("shoes")
    assert client.tagvals("tags")
    assert int(client.info()["num_docs"]) == 3
    client.drop_index(delete_documents=False)
    assert client.redis.exists("doc:1")


def test_redis_om(server, r, monkeypatch):
    """An object mapper that makes its index and its queries itself."""
    redis_om = pytest.importorskip("redis_om")
    database = redis_om.get_redis_connection(url=f"redis://127.0.0.1:{server.port}?decode_responses=True&protocol=2")

    class Customer(redis_om.HashModel, index=True):
        name: str = redis_om.Field(index=True)
        age: int = redis_om.Field(index=True, sortable=True)
        bio: str = redis_om.Field(index=True, full_text_search=True)

        class Meta:
            global_key_prefix = "om"

    Customer.Meta.database = database
    # It asks COMMAND INFO for a module that is not there, and the newest redis-py can't read the answer.
    monkeypatch.setattr("redis_om.model.model.has_redisearch", lambda _: True)
    redis_om.Migrator().run()
    for name, age, bio in [("Ann", 30, "likes running"), ("Bob", 50, "likes cooking"), ("Cid", 41, "runs far")]:
        Customer(name=name, age=age, bio=bio).save()
    assert [one.name for one in Customer.find(Customer.age > 40).sort_by("age").all()] == ["Cid", "Bob"]
    assert Customer.find(Customer.name == "Ann").first().age == 30
    assert {one.name for one in Customer.find(Customer.bio % "running").all()} == {"Ann", "Cid"}
    assert Customer.find((Customer.age < 45) & (Customer.bio % "likes")).count() == 1
