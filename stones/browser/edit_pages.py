"""The pages that change records: edit, add, delete. They are there with --write.

Each form has the token of the site. What is wrong is shown above the form, with all that was typed.
"""

from collections.abc import Mapping
from typing import Any

from attrs import evolve
from starlette.responses import RedirectResponse, Response

from stones.collections.without_class.field_values import FieldValues
from stones.errors import StoneError

from .answering import get_page, post_page, status_of
from .field_texts import FieldText, digest_of, empty_texts, given_texts, new_values
from .page_request import NoSuchPageError, PageRequest
from .record_changes import ChangedRecordError, ShownRecord, delete, edit, shown_record
from .rendering import link


def show_edit(page: PageRequest) -> Response:
    """The form for a record."""
    shown = _shown(page)
    return _form(page, shown.fields, shown.version)


def send_edit(page: PageRequest) -> Response:
    """Change the record as the form says."""
    name = _name(page)
    collection, key = page.writable_collection(name), page.record_key(name)
    given = given_texts(page.form)
    version = page.form.get("version", "")
    try:
        is_changed = edit(page.site.store, collection, key, version, given)
    except ChangedRecordError as error:
        return _conflict(page, error, given)
    except StoneError as error:
        fields = _with_texts(_shown(page).fields, given)
        return _form(page, fields, version, error)
    return _see(page, "record", "saved" if is_changed else "unchanged")


def show_add(page: PageRequest) -> Response:
    """The form for a new record. With a key in the URL, it begins as a copy of that record."""
    page.check_writable()
    name = _name(page)
    collection = page.collection(name)
    values = FieldValues.of(collection)
    fields = _empty(page, values)
    if page.arguments("key"):
        copied = {field.name: field for field in _shown(page).fields}
        fields = [copied.get(field.name, field) for field in fields]
    return _add_form(page, fields)


def send_add(page: PageRequest) -> Response:
    """Add the record that the form describes."""
    name = _name(page)
    collection = page.writable_collection(name)
    values = FieldValues.of(collection)
    given = given_texts(page.form)
    try:
        record = collection.from_dict(new_values(values, given))
        key = collection.add(record)
    except StoneError as error:
        return _add_form(page, _with_texts(_empty(page, values), given), error)
    query = [("key", part) for part in page.key_parts(name, key)]
    return RedirectResponse(
        link("collections", name, "record", query=[*query, ("done", "added")]), 303
    )


def show_delete(page: PageRequest) -> Response:
    """The question whether to delete a record."""
    shown = _shown(page)
    return page.render("delete.html", name=_name(page), fields=shown.fields, version=shown.version)


def send_delete(page: PageRequest) -> Response:
    """Delete the record."""
    name = _name(page)
    collection, key = page.writable_collection(name), page.record_key(name)
    try:
        delete(page.site.store, collection, key, page.form.get("version", ""))
    except ChangedRecordError as error:
        if error.now is None:
            raise NoSuchPageError(str(error)) from error
        return page.render(
            "delete.html",
            status=409,
            name=name,
            fields=error.now.fields,
            version=error.now.version,
            error=str(error),
        )
    return RedirectResponse(link("collections", name, query={"done": "deleted"}), 303)


_EDIT = "/collections/{name}/edit"
_ADD = "/collections/{name}/add"
_DELETE = "/collections/{name}/delete"
routes = [
    get_page(_EDIT, show_edit),
    post_page(_EDIT, send_edit),
    get_page(_ADD, show_add),
    post_page(_ADD, send_add),
    get_page(_DELETE, show_delete),
    post_page(_DELETE, send_delete),
]


def _name(page: PageRequest) -> str:
    name: str = page.request.path_params["name"]
    return name


def _empty(page: PageRequest, values: FieldValues) -> list[FieldText]:
    return empty_texts(values, has_class=_name(page) in page.site.classes)


def _shown(page: PageRequest) -> ShownRecord:
    page.check_writable()
    name = _name(page)
    key = page.record_key(name)
    shown = shown_record(page.collection(name), key)
    if shown is None:
        raise NoSuchPageError(f"the collection {name} has no record with this key")
    return shown


def _with_texts(fields: list[FieldText], given: Mapping[str, tuple[str, str]]) -> list[FieldText]:
    """The fields with the texts that somebody typed."""
    typed = []
    for field in fields:
        notation, text = given.get(field.name, (field.notation, field.text))
        typed.append(evolve(field, notation=notation, text=text))
    return typed


def _form(
    page: PageRequest, fields: list[FieldText], version: str, error: StoneError | None = None
) -> Response:
    return page.render(
        "edit.html",
        status=200 if error is None else status_of(error),
        name=_name(page),
        fields=fields,
        version=version,
        error=error and str(error),
    )


def _add_form(
    page: PageRequest, fields: list[FieldText], error: StoneError | None = None
) -> Response:
    return page.render(
        "add.html",
        status=200 if error is None else status_of(error),
        name=_name(page),
        fields=fields,
        error=error and str(error),
    )


def _conflict(
    page: PageRequest, error: ChangedRecordError, given: Mapping[str, tuple[str, str]]
) -> Response:
    now = error.now
    fields = [] if now is None else now.fields
    mine = {
        name: pair
        for name, pair in given.items()
        if page.form.get(f"shown:{name}") != digest_of(pair[1])
    }
    stored = {field.name: field for field in fields}
    rows = []
    for name in dict.fromkeys([*stored, *given]):
        field = stored.get(name)
        text = "" if field is None else field.text
        yours = given.get(name, ("", text))[1]
        is_theirs = field is None or page.form.get(f"shown:{name}", field.digest) != field.digest
        changed = _CHANGED_BY[name in mine, is_theirs] if yours != text else ""
        rows.append((name, yours, text, changed))
    return page.render(
        "conflict.html",
        status=409,
        name=_name(page),
        error=str(error),
        rows=rows,
        # What is not mine is taken from the stored version.
        fields=_with_texts(fields, mine),
        version=None if now is None else now.version,
    )


_CHANGED_BY = {
    (True, True): "changed by both",
    (True, False): "changed by you",
    (False, True): "changed meanwhile",
    (False, False): "",
}


def _see(page: PageRequest, what: str, done: str) -> Response:
    query: list[Any] = [*(("key", part) for part in page.arguments("key")), ("done", done)]
    return RedirectResponse(link("collections", _name(page), what, query=query), 303)
