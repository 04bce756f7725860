"""The API of `stones serve` for programs: its answers, and the document that describes them."""

import asyncio
import json
from datetime import date
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from attrs import define

from stones import Collection, LmdbStore, MemoryStore, index, key
from stones.browser.app import make_app
from stones.browser.openapi import OPERATIONS
from stones.engine import Space
from stones.formats.serializers import serializer


@define
class City:
    name: str = key()
    country: str = index()
    people: int = index()
    founded: date | None = None
    position: tuple[float, float] = (0.0, 0.0)


@define
class Run:
    tool: str = key()
    number: int = key()
    note: str = ""


@define
class Note:
    text: str


CITIES = [
    City("Bonn", "DE", 330_000, date(1244, 3, 16), (50.7, 7.1)),
    City("Graz", "AT", 290_000),
    City("Köln", "DE", 1_080_000),
    City("Oslo", "NO", 700_000, date(1048, 1, 1)),
]


class Api:
    """The API of a store, asked in this process."""

    def __init__(self, store: Any) -> None:
        self.app = make_app(store)

    def get(self, url: str, status: int = 200) -> Any:
        """The answer to a request, as JSON, which must have this status."""
        got, text = asyncio.run(self._ask(url))
        assert got == status, text
        return json.loads(text)

    async def _ask(self, url: str) -> tuple[int, bytes]:
        parts = urlsplit(url)
        sent: list[dict[str, Any]] = []
        received = iter([{"type": "http.request", "body": b"", "more_body": False}])
        scope = {
            "type": "http",
            "method": "GET",
            "http_version": "1.1",
            "scheme": "http",
            "path": unquote(parts.path),
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "headers": [(b"host", b"127.0.0.1:8000")],
            "server": ("127.0.0.1", 8000),
            "client": ("127.0.0.1", 50_000),
        }

        async def receive() -> dict[str, Any]:
            for message in received:
                return message
            await asyncio.Event().wait()  # the client waits for the answer
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])


def fill(store):
    Collection(store, City).add_many(CITIES)
    store["greeting"] = ("any", b"value")
    store[b"raw\xff"] = 1


@pytest.fixture
def local_store():
    """A store with cities, on the fastest engine."""
    with MemoryStore(serialize="pickle") as store:
        fill(store)
        yield store


@pytest.fixture
def api(local_store):
    return Api(local_store)


def test_the_api_gives_the_same_on_each_engine(store, api):
    fill(store)
    on_engine = Api(store)
    for url in (
        "/api/collections",
        "/api/collections/City?filter=@.country=='DE'&order_by=-people&explain=true",
        "/api/collections/City?limit=2",
        "/api/collections/City/record?key=Oslo",
        "/api/keys?limit=3",
        "/api/keys/value?key=greeting",
    ):
        assert on_engine.get(url) == api.get(url), url


def names(answer):
    return [each["name"] for each in answer["records"]]


# -- collections -----------------------------------------------------------------------------------


def test_the_collections_are_listed_with_their_fields_keys_and_indexes(local_store, api):
    Collection(local_store, Note).add(Note("hello"))
    city, note = api.get("/api/collections")["collections"]
    assert city == {
        "name": "City",
        "records": 4,
        "key": "str",
        "key_fields": ["name"],
        "fields": ["name", "country", "people", "founded", "position"],
        "indexes": [
            {"name": "country", "state": "ready", "unique": False},
            {"name": "people", "state": "ready", "unique": False},
        ],
        "url": "/api/collections/City",
    }
    assert (note["name"], note["records"], note["key_fields"]) == ("Note", 1, [])


def test_a_record_has_its_fields_and_a_type_that_json_lacks_is_tagged(api):
    assert api.get("/api/collections/City?limit=1")["records"] == [
        {
            "name": "Bonn",
            "country": "DE",
            "people": 330_000,
            "founded": {"$date": "1244-03-16"},
            "position": {"$tuple": [50.7, 7.1]},
        }
    ]


def test_a_record_whose_key_was_generated_has_it_as_key(local_store, api):
    made = Collection(local_store, Note).add(Note("hello"))
    answer = api.get("/api/collections/Note")
    assert answer["records"] == [{"_key": {"$UUID": str(made)}, "text": "hello"}]


def test_the_pages_lead_to_all_records_once(api):
    url, found = "/api/collections/City?limit=3&order_by=-people", []
    while url:
        answer = api.get(url)
        found += names(answer)
        url = answer["next_url"]
    assert found == ["Köln", "Oslo", "Bonn", "Graz"]


def test_a_page_goes_on_from_the_next_of_the_page_before(api):
    first = api.get("/api/collections/City?limit=3")
    last = api.get(f"/api/collections/City?limit=3&after={first['next']}")
    assert (names(first), names(last)) == (["Bonn", "Graz", "Köln"], ["Oslo"])
    assert (last["next"], last["next_url"]) == (None, None)


def test_a_filter_takes_values_that_cannot_change_it(api):
    answer = api.get(
        "/api/collections/City?filter=@.country%20==%20{c}&values=%7B%22c%22:%22DE%22%7D"
    )
    assert names(answer) == ["Bonn", "Köln"]


def test_a_value_for_the_filter_may_be_tagged(api):
    answer = api.get(
        '/api/collections/City?filter=@.founded=={day}&values={"day":{"$date":"1048-01-01"}}'
    )
    assert names(answer) == ["Oslo"]


def test_only_the_fields_that_are_asked_for_are_given(api):
    answer = api.get("/api/collections/City?fields=name,founded&limit=1")
    assert answer["records"] == [{"name": "Bonn", "founded": {"$date": "1244-03-16"}}]


def test_the_plan_tells_which_index_finds_the_records(api):
    assert "plan" not in api.get("/api/collections/City")
    plan = api.get("/api/collections/City?filter=@.country=='NO'&explain=true")["plan"]
    assert (plan["index"], plan["estimate"]) == ("country", 1)
    assert plan["text"].startswith("index        country")


def test_a_record_is_found_by_its_key_of_one_part_or_several(local_store, api):
    Collection(local_store, Run).add(Run("lint", 7, "ok"))
    bonn = api.get("/api/collections/City/record?key=Bonn")
    assert (bonn["collection"], bonn["key"]) == ("City", "Bonn")
    assert bonn["record"]["people"] == 330_000
    assert api.get("/api/collections/Run/record?key=lint&key=7") == {
        "collection": "Run",
        "key": {"$tuple": ["lint", 7]},
        "record": {"tool": "lint", "number": 7, "note": "ok"},
    }


# -- keys ------------------------------------------------------------------------------------------


def test_the_keys_of_the_store_are_listed_with_the_sizes_of_their_values(local_store, api):
    found = api.get("/api/keys?limit=2&prefix=City/")
    assert [each["key"] for each in found["keys"]] == ["City/Bonn", "City/Graz"]
    rest = api.get(found["next_url"])
    assert [each["key"] for each in rest["keys"]] == ["City/Köln", "City/Oslo"]
    last = api.get(rest["next_url"])
    assert last == {"keys": [], "next": None, "next_url": None}


def test_a_packed_value_tells_how_it_is_packed(tmp_path):
    with LmdbStore(
        tmp_path / "db", serialize="json", compress="zstd", encrypt=bytes(32), checksums=True
    ) as store:
        store["a"] = "x" * 1000
        answer = Api(store).get("/api/keys/value?key=a")
    assert (answer["serializer"], answer["compression"]) == ("json", "zstd")
    assert (answer["encrypted"], answer["checksum"]) == (True, True)


def test_a_key_that_is_no_text_is_escaped_and_found_again(api):
    (raw,) = api.get("/api/keys?prefix=raw")["keys"]
    assert raw["key"] == r"raw\xff"
    assert api.get(raw["url"])["value"] == 1


def test_a_value_is_given_with_its_size_and_format(api):
    answer = api.get("/api/keys/value?key=greeting")
    assert answer["value"] == {"$tuple": ["any", {"$bytes": "dmFsdWU="}]}
    assert answer["size"] > 5
    assert (answer["serializer"], answer["compression"]) == ("pickle", None)
    assert (answer["encrypted"], answer["checksum"]) == (False, False)


# -- refusals --------------------------------------------------------------------------------------

NOT_THERE = [
    "/api/collections/Town",
    "/api/collections/Town/record?key=1",
    "/api/collections/City/record?key=Rom",
    "/api/keys/value?key=nothing",
    f"/api/keys/value?key={'x' * 600}",
]
WRONG = {
    "/api/collections/City?filter=@.name==": "@.name==",
    "/api/collections/City?filter=@.town=='x'": "town",
    "/api/collections/City?filter=@.name=={n}": "n",
    "/api/collections/City?values=[1]": "values is an object",
    "/api/collections/City?values={": "values is no JSON",
    "/api/collections/City?order_by=town": "town",
    "/api/collections/City?fields=town": "City has no field 'town'",
    "/api/collections/City?limit=0": "limit is a number from 1 to 1000, not '0'",
    "/api/collections/City?limit=1e3": "limit is a number",
    "/api/collections/City?limit=99999999999999999999": "limit is a number",
    "/api/collections/City?after=x": "no cursor",
    "/api/collections/City?explain=yes": "explain is true or false, not 'yes'",
    "/api/collections/City?sort=name": "there is no argument 'sort' here",
    "/api/collections?limit=1": "it takes no arguments",
    r"/api/keys?prefix=a\q": "is no escape",
    "/api/keys/value?key=": "key",
}


@pytest.mark.parametrize("url", NOT_THERE)
def test_what_is_not_there_is_an_error_in_json(api, url):
    assert list(api.get(url, 404)) == ["error"]


@pytest.mark.parametrize("url", WRONG)
def test_an_argument_that_makes_no_sense_is_refused_with_its_name(api, url):
    assert WRONG[url] in api.get(url, 400)["error"]


# -- the document ----------------------------------------------------------------------------------


def fits(schema, value, schemas, where="$"):
    """Assert that a value is what a schema says, as far as the document uses schemas."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        return fits(schemas[name], value, schemas, where)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds:
        assert any(type(value) is TYPES[kind] for kind in kinds), where
    if "enum" in schema:
        assert value in schema["enum"], where
    if isinstance(value, list):
        for place, each in enumerate(value):
            fits(schema.get("items", {}), each, schemas, f"{where}[{place}]")
    if isinstance(value, dict):
        assert set(schema.get("required", ())) <= set(value), where
        for name, each in value.items():
            fits(schema.get("properties", {}).get(name, {}), each, schemas, f"{where}.{name}")
    return None


TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}
EXAMPLES = {
    "/api/collections": ["/api/collections"],
    "/api/collections/{name}": [
        "/api/collections/City",
        "/api/collections/City?limit=2&explain=true&filter=@.people>1&order_by=people",
    ],
    "/api/collections/{name}/record": ["/api/collections/City/record?key=Oslo"],
    "/api/keys": ["/api/keys", "/api/keys?limit=1"],
    "/api/keys/value": ["/api/keys/value?key=greeting"],
    "/api/openapi.json": ["/api/openapi.json"],
}


def test_the_document_describes_each_route_and_no_other(api):
    document = api.get("/api/openapi.json")
    routes = {route.path for route in api.app.routes if route.path.startswith("/api")}
    assert set(document["paths"]) == routes == set(EXAMPLES) == {each.path for each in OPERATIONS}


@pytest.mark.parametrize("path", EXAMPLES)
def test_an_answer_is_as_the_document_says(api, path):
    document = api.get("/api/openapi.json")
    responses = document["paths"][path]["get"]["responses"]
    schema = responses["200"]["content"]["application/json"]["schema"]
    for url in EXAMPLES[path]:
        fits(schema, api.get(url), document["components"]["schemas"])


def test_the_parameters_in_a_path_are_those_of_the_document(api):
    for path, methods in api.get("/api/openapi.json")["paths"].items():
        described = {each["name"]: each for each in methods["get"]["parameters"]}
        in_path = {name for name, each in described.items() if each["in"] == "path"}
        assert in_path == ({"name"} if "{name}" in path else set())
        assert all(described[name]["required"] for name in in_path)


def test_each_reference_of_the_document_leads_to_a_schema(api):
    document = api.get("/api/openapi.json")
    text = json.dumps(document)
    used = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used == set(document["components"]["schemas"])


def test_the_document_names_the_collections_of_the_store(api):
    document = api.get("/api/openapi.json")
    name, *_ = document["paths"]["/api/collections/{name}"]["get"]["parameters"]
    assert name["schema"]["enum"] == ["City"]


def test_an_empty_store_has_a_document_too():
    document = Api(MemoryStore()).get("/api/openapi.json")
    name, *_ = document["paths"]["/api/collections/{name}"]["get"]["parameters"]
    assert name["schema"] == {"type": "string"}


def test_a_value_is_as_the_command_line_prints_it(local_store, api):
    answer = api.get("/api/keys/value?key=City/Bonn")
    assert (
        serializer("json").decode(json.dumps(answer["value"]).encode()) == local_store["City/Bonn"]
    )


def test_damage_of_a_collection_leaves_the_others():
    store = MemoryStore()
    for name in ("Bad", "Good"):
        Collection(store, Note, name).add(Note("x"))
    store.database.write(lambda txn: txn.put(Space.META, b"collection/Bad", b'{"record": 7}'))
    bad, good = Api(store).get("/api/collections")["collections"]
    assert (bad["name"], "Bad" in bad["problem"]) == ("Bad", True)
    assert (good["name"], good["records"]) == ("Good", 1)


def test_a_key_that_is_damaged_hides_no_other_record():
    store = MemoryStore()
    Collection(store, Run).add(Run("lint", 1))
    (stored,) = store
    raw = store.database.get(stored)
    store.database.write(lambda txn: txn.put(Space.DATA, b"Run/\xff", raw))
    record = {"tool": "lint", "number": 1, "note": ""}
    api = Api(store)
    assert api.get("/api/collections/Run/record?key=lint&key=1")["record"] == record
    assert api.get("/api/collections/Run?limit=1")["records"] == [record]
