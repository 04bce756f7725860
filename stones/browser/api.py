"""The same as the pages, as JSON for programs: `/api/collections`, `/api/keys`.

All of it only reads. A value is written as `stones get --json` prints it. `openapi` describes the
routes, and says which arguments each of them takes.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from stones.collections.collection import Collection
from stones.collections.completed_records import completed_record
from stones.collections.queries.query import Query
from stones.collections.without_class.field_values import FieldValues
from stones.engine import Space
from stones.errors import QueryError, StoneError
from stones.formats.checksums import CHECKSUM_BIT
from stones.formats.messages import show
from stones.formats.metadata import Metadata
from stones.formats.serializers import serializer
from stones.migrations.exporting.sources import Picked
from stones.stores.claims import collection_names, read_collection
from stones.stores.dict_keys import encode_key
from stones.stores.key_text import parse_key, show_key
from stones.stores.spans import prefix_span

from . import openapi
from .answering import get_json
from .limits import LONGEST_QUERY, TimeLimitError
from .openapi import MAX_PAGE, PAGE, Operation
from .page_request import NoSuchPageError, PageRequest, WrongRequestError
from .rendering import link

Answer = Callable[[PageRequest], Mapping[str, Any]]


def collections(page: PageRequest) -> dict[str, Any]:
    """The collections, with how many records and which indexes they have."""
    return {"collections": [_described_or_problem(page, name) for name in _names(page)]}


def collection(page: PageRequest) -> dict[str, Any]:
    """Records of a collection: a page of them, and where the next page begins."""
    name = page.request.path_params["name"]
    records = page.collection(name)
    limit = _limit(page)
    query = _query(page, records).limit(limit)
    to_row = _row_maker(page, records)
    rows = [to_row(key, record) for key, record in query.items()]
    after = query.cursor() if len(rows) == limit else None
    answer = {"collection": name, "records": rows, **_next(page, after)}
    if _flag(page, "explain"):
        plan = query.explain()
        answer["plan"] = {"text": str(plan), **plan.as_dict()}
    return answer


def record(page: PageRequest) -> dict[str, Any]:
    """One record by its key."""
    name = page.request.path_params["name"]
    records = page.collection(name)
    key = page.record_key(name)
    found = records.get(key)
    if found is None:
        raise NoSuchPageError(f"{name} has no record with the key {show(key)}")
    return {"collection": name, "key": key, "record": _fields(records, found)}


def keys(page: PageRequest) -> dict[str, Any]:
    """Keys of the store: a page of them, and where the next page begins."""
    limit, span = _limit(page), prefix_span(_key(page, "prefix"))
    start = span.start
    if page.argument("after"):
        start = max(start, _key(page, "after") + b"\0")
    found: list[dict[str, Any]] = []
    with page.view.database.reading() as txn:
        for stored, raw in txn.scan(Space.DATA, start, span.stop):
            key = show_key(stored)
            url = link("api", "keys", "value", query={"key": key})
            found.append({"key": key, "size": len(raw), "url": url})
            if len(found) == limit:
                break
    after = found[-1]["key"] if len(found) == limit else None
    return {"keys": found, **_next(page, after)}


def value(page: PageRequest) -> dict[str, Any]:
    """The value of a key of the store, and its format."""
    key, database = encode_key(_key(page, "key")), page.view.database
    with database.reading() as txn:
        raw = txn.get(Space.DATA, key)
        if raw is None:
            raise NoSuchPageError(f"the store has no key {show_key(key)}")
        metadata = database.codec_at(txn).metadata
    return {
        "key": show_key(key),
        "value": completed_record(database, key, database.decode(key, raw)),
        "size": len(raw),
        **_format(metadata, raw),
    }


def description(page: PageRequest) -> Any:
    """The description of all this, as OpenAPI."""
    return openapi.document(version("stones"), _names(page))


def _json(answer: Answer, operation: Operation) -> BaseRoute:
    """The route of an operation."""

    def checked(page: PageRequest) -> Response:
        for name in page.request.query_params:
            if name not in operation.arguments:
                known = ", ".join(operation.arguments)
                raise WrongRequestError(
                    f"there is no argument {show(name)} here: "
                    + (f"the arguments are {known}" if known else "it takes no arguments")
                )
        text = serializer("json").encode(answer(page))
        return Response(text, media_type="application/json")

    return get_json(operation.path, checked)


routes: list[BaseRoute] = [
    _json(collections, openapi.COLLECTIONS),
    _json(collection, openapi.COLLECTION),
    _json(record, openapi.RECORD),
    _json(keys, openapi.KEYS),
    _json(value, openapi.VALUE),
    _json(description, openapi.DOCUMENT),
]


# -- collections -----------------------------------------------------------------------------------


def _names(page: PageRequest) -> list[str]:
    with page.view.database.reading() as txn:
        return [*collection_names(txn)]


def _described_or_problem(page: PageRequest, name: str) -> dict[str, Any]:
    try:
        return _described(page, name)
    except TimeLimitError:
        raise
    except StoneError as error:  # it must not hide the others
        return {"name": name, "problem": str(error), "url": link("api", "collections", name)}


def _described(page: PageRequest, name: str) -> dict[str, Any]:
    records = page.collection(name)
    fields = FieldValues.of(records)
    with page.view.database.reading() as txn:
        described = read_collection(txn, name) or {}
    return {
        "name": name,
        "records": len(records),
        "key": described.get("key"),
        "key_fields": [*fields.key_names],
        "fields": [*fields.names],
        "indexes": [
            {"name": each.name, "state": each.state, "unique": each.unique}
            for each in records.indexes
        ],
        "url": link("api", "collections", name),
    }


def _query(page: PageRequest, records: Collection[Any, Any]) -> Query[Any, Any]:
    """The query that the arguments name, without its limit."""
    text = page.argument("values")
    values = _parsed(text) if text else {}
    query = records.find(page.argument("filter") or None, **values)
    if order := page.argument("order_by"):
        query = query.order_by(*order.split(","))
    after = page.argument("after")
    return query.after(after) if after else query


def _parsed(text: str) -> dict[str, Any]:
    try:
        values = serializer("json").decode(text.encode("utf-8", "surrogatepass"))
    except Exception as error:  # a decoder may raise anything
        raise WrongRequestError(f"values is no JSON: {error}") from error
    if type(values) is not dict or not all(type(name) is str for name in values):
        raise WrongRequestError(
            f'values is an object with the {{names}} of the filter, {{"age": 30}}, not {show(text)}'
        )
    return values


def _row_maker(
    page: PageRequest, records: Collection[Any, Any]
) -> Callable[[Any, Any], dict[str, Any]]:
    """What makes a row of a key and a record: the fields that are asked for."""
    known = FieldValues.of(records)
    pick: Callable[[dict[str, Any]], dict[str, Any]] = dict
    if text := page.argument("fields"):
        paths = text.split(",")
        for path in paths:
            if path.partition(".")[0] not in known.names:
                raise QueryError(
                    f"{records.name} has no field {show(path)}: it has {', '.join(known.names)}"
                )
        pick = Picked(paths)
    if known.key_names:
        return lambda _, found: pick(_fields(records, found))
    return lambda key, found: {"_key": key, **pick(_fields(records, found))}


def _fields(records: Collection[Any, Any], found: Any) -> dict[str, Any]:
    return found if type(found) is dict else records.to_dict(found)


# -- values ----------------------------------------------------------------------------------------


def _format(metadata: Metadata, raw: bytes) -> dict[str, Any]:
    """How a value is stored."""
    first = raw[0] if raw else 0
    format = metadata.formats.get(first & ~CHECKSUM_BIT, metadata.write)
    return {
        "serializer": format.serializer,
        "compression": format.compression,
        "encrypted": format.encryption is not None,
        "checksum": bool(first & CHECKSUM_BIT),
    }


# -- arguments -------------------------------------------------------------------------------------


def _limit(page: PageRequest) -> int:
    text = page.argument("limit") or str(PAGE)
    # A number of more digits than these would be more than is allowed anyway.
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_PAGE):
        raise WrongRequestError(f"limit is a number from 1 to {MAX_PAGE}, not {show(text)}")
    return int(text)


def _flag(page: PageRequest, name: str) -> bool:
    text = page.argument(name, "false")
    if text not in {"true", "false"}:
        raise WrongRequestError(f"{name} is true or false, not {show(text)}")
    return text == "true"


def _key(page: PageRequest, name: str) -> bytes:
    try:
        return parse_key(page.argument(name))
    except ValueError as error:
        raise WrongRequestError(f"{name}: {error}") from error


def _next(page: PageRequest, after: str | None) -> dict[str, Any]:
    """Where the next page begins, and its URL."""
    if after is None:
        return {"next": None, "next_url": None}
    kept = {k: v for k, v in page.request.query_params.items() if k != "after"}
    path = page.request.url.path.strip("/").split("/")
    url = link(*path, query={**kept, "after": after})
    if len(url.partition("?")[2]) > LONGEST_QUERY:
        raise WrongRequestError(
            "the next page would begin at a text that is too long for a URL: give another order_by "
            "or a larger limit"
        )
    return {"next": after, "next_url": url}
