"""The description of the API for programs, as OpenAPI 3.1: `/api/openapi.json`.

Each route of `api` has an `Operation` here. The document is made of them, and a request with an
argument that its operation does not name is refused.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean", "default": False}
PAGE = 100
"""How many records or keys a page has where the request does not say it."""
MAX_PAGE = 1000
"""How many it may have."""


@frozen
class Parameter:
    """An argument of a request."""

    name: str
    says: str
    schema: Schema = TEXT
    required: bool = False
    place: str = "query"

    def described(self) -> dict[str, Any]:
        """The parameter as OpenAPI has it."""
        return {
            "name": self.name,
            "in": self.place,
            "description": self.says,
            "required": self.required,
            "schema": dict(self.schema),
        }


@frozen
class Operation:
    """A route of the API, and what a request and an answer look like."""

    path: str
    name: str
    says: str
    answer: str
    """The name of the schema of an answer."""
    parameters: Sequence[Parameter] = ()
    refusals: Mapping[int, str] = field(factory=dict)
    """When a request is refused, by the status of the answer."""

    @property
    def arguments(self) -> list[str]:
        """The names of the arguments in the query of the URL."""
        return [each.name for each in self.parameters if each.place == "query"]

    def described(self) -> dict[str, Any]:
        """The operation as OpenAPI has it."""
        refusals = {400: "An argument that makes no sense.", **self.refusals, 503: _TOO_LONG}
        return {
            "operationId": self.name,
            "summary": self.says,
            "parameters": [each.described() for each in self.parameters],
            "responses": {
                "200": _answer("The answer.", self.answer),
                **{str(each): _answer(refusals[each], "Error") for each in sorted(refusals)},
            },
        }


def document(
    version: str, collections: Sequence[str], *, has_token: bool = False
) -> dict[str, Any]:
    """The document for a store with these collections."""
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "stones",
            "version": version,
            "description": "What is in a store, for programs. All of it only reads. A value of a "
            'type that JSON lacks is tagged: {"$date": "2020-01-31"}, {"$tuple": [1, 2]}.',
        },
        "paths": {each.path: {"get": each.described()} for each in OPERATIONS},
        "components": {"schemas": dict(SCHEMAS)},
    }
    if collections:  # an enum may not be empty
        for each in (COLLECTION, RECORD):
            name, *_ = described["paths"][each.path]["get"]["parameters"]
            name["schema"] = {**TEXT, "enum": [*collections]}
    if has_token:
        described["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        described["security"] = [{"token": []}]
    return described


_TOO_LONG = "The answer would take longer than a request may."
_LIMIT = Parameter(
    "limit",
    "At most so many.",
    {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE},
)
_NAME = Parameter("name", "The name of a collection.", required=True, place="path")
_KEY = Parameter(
    "key",
    "The key of a record as it is typed. A key of several parts: once for each part, in order.",
    {"type": "array", "items": TEXT, "minItems": 1},
    required=True,
)
_STORE_KEY = Parameter("key", "A key of the store as `stones keys` prints it.", required=True)
_NO_COLLECTION = "There is no such collection."

COLLECTIONS = Operation(
    "/api/collections", "collections", "The collections, in the order of their names", "Collections"
)
COLLECTION = Operation(
    "/api/collections/{name}",
    "collection",
    "Records of a collection, page by page",
    "Page",
    (
        _NAME,
        Parameter("filter", "A filter in JSONPath: @.age > {age}. Without it, all records."),
        Parameter("values", 'The values of the {names} in the filter, as JSON: {"age": 30}.'),
        Parameter("order_by", "Fields to sort by, with commas between; -age sorts from the end."),
        _LIMIT,
        Parameter("after", "The text `next` of the page before."),
        Parameter("fields", "Only these fields, with commas between; address.city is one inside."),
        Parameter("explain", "Tell how the page is found.", FLAG),
    ),
    {404: _NO_COLLECTION},
)
RECORD = Operation(
    "/api/collections/{name}/record",
    "record",
    "One record",
    "Found",
    (_NAME, _KEY),
    {404: "There is no such collection, or no such record."},
)
KEYS = Operation(
    "/api/keys",
    "keys",
    "Keys of the store in order, page by page",
    "Keys",
    (
        Parameter("prefix", "Only keys that begin with this, typed as `stones keys` prints it."),
        _LIMIT,
        Parameter("after", "The text `next` of the page before."),
    ),
)
VALUE = Operation(
    "/api/keys/value",
    "value",
    "The value of one key of the store",
    "Value",
    (_STORE_KEY,),
    {404: "There is no such key."},
)
DOCUMENT = Operation("/api/openapi.json", "openapi", "This description", "OpenAPI")
OPERATIONS = (COLLECTIONS, COLLECTION, RECORD, KEYS, VALUE, DOCUMENT)


def _answer(says: str, schema: str) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {"description": says, "content": {"application/json": {"schema": reference}}}


def _object(**properties: Any) -> dict[str, Any]:
    """A schema of an object that has all of these properties."""
    return {"type": "object", "required": [*properties], "properties": properties}


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_NUMBER: Schema = {"type": "integer"}
_BOOLEAN: Schema = {"type": "boolean"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_NEXT = {
    "next": {
        **_TEXT_OR_NULL,
        "description": "What to give as `after` for the next page. Null on the last page. A page "
        "that is full has it, so the page after the last record may be empty.",
    },
    "next_url": _TEXT_OR_NULL,
}
_ANY: Schema = {"description": "Any value. What JSON has no form for is tagged."}

SCHEMAS: Mapping[str, Schema] = {
    "Error": _object(error={**TEXT, "description": "What is wrong, and what to do."}),
    "Collections": _object(collections=_list(_reference("Collection"))),
    "Collection": {
        **_object(
        name=TEXT,
        problem={**TEXT, "description": "Why it cannot be read now. Then it has a name and a url "
                 "only."},
        records={**_NUMBER, "description": "How many records it has."},
        key={**TEXT, "description": "The type of the keys: str, or tuple[str, int]."},
        key_fields={**_list(TEXT), "description": "The fields that are the key. Without them the "
                    "keys were generated, and a record has its key as `_key`."},
        fields=_list(TEXT),
        indexes=_list(_reference("Index")),
        url=TEXT,
        ),
        "required": ["name", "url"],
    },
    "Index": _object(
        name=TEXT,
        state={**TEXT, "enum": ["building", "ready", "failed"]},
        unique=_BOOLEAN,
    ),
    "Page": {
        **_object(
            collection=TEXT, records=_list(_reference("Record")), **_NEXT, plan=_reference("Plan")
        ),
        "required": ["collection", "records", *_NEXT],
    },
    "Record": {"type": "object", "description": "The fields of a record, and `_key` of one whose "
               "key was generated."},
    "Found": _object(collection=TEXT, key=_ANY, record=_reference("Record")),
    "Plan": _object(
        text={**TEXT, "description": "The plan as a table for people."},
        index={**_TEXT_OR_NULL, "description": "What finds the records. Null: all are read."},
        estimate={"type": ["integer", "null"]},
        exact=_BOOLEAN,
    ),
    "Keys": _object(keys=_list(_reference("Key")), **_NEXT),
    "Key": _object(
        key={**TEXT, "description": "Bytes that are no text are escaped: \\xff."},
        size={**_NUMBER, "description": "The bytes of the stored value."},
        url=TEXT,
    ),
    "Value": _object(
        key=TEXT,
        value=_ANY,
        size={**_NUMBER, "description": "The bytes of the stored value."},
        serializer=TEXT,
        compression=_TEXT_OR_NULL,
        encrypted=_BOOLEAN,
        checksum=_BOOLEAN,
    ),
    "OpenAPI": {"type": "object"},
}  # fmt: skip
"""The answers."""
