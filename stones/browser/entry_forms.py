"""The pages that change entries that are in no collection: edit, add, delete. With --write."""

from starlette.responses import RedirectResponse, Response

from stones.errors import StoneError
from stones.stores.key_text import parse_key

from .answering import get_page, post_page, status_of
from .entry_changes import (
    ChangedEntryError,
    ShownEntry,
    add_entry,
    delete_entry,
    edit_entry,
    shown_entry,
)
from .field_texts import JSON, lines_of
from .page_request import NoSuchPageError, PageRequest, WrongRequestError
from .rendering import link


def show_edit(page: PageRequest) -> Response:
    """The form for the value of a key."""
    return page.render("entry_edit.html", entry=_shown(page), theirs=None, error=None)


def send_edit(page: PageRequest) -> Response:
    """Change the value as the form says."""
    key, version = _key(page), page.form.get("version", "")
    notation, text = _given(page)
    theirs = None
    try:
        edit_entry(page.site.store, key, version, notation, text)
    except ChangedEntryError as error:
        theirs, problem, status = error.now, str(error), 409
        version = "" if theirs is None else theirs.version
    except StoneError as error:
        problem, status = str(error), status_of(error)
    else:
        return _see_value(page.argument("key"), "saved")
    mine = ShownEntry(notation, text, version)
    return page.render("entry_edit.html", status=status, entry=mine, theirs=theirs, error=problem)


def show_add(page: PageRequest) -> Response:
    """The form for a new key."""
    page.check_writable()
    return page.render("entry_add.html", key="", notation=JSON, text="", error=None)


def send_add(page: PageRequest) -> Response:
    """Add the key."""
    key, (notation, text) = page.form.get("key", ""), _given(page)
    try:
        add_entry(page.site.store, _parsed(key), notation, text)
    except StoneError as error:
        return page.render(
            "entry_add.html",
            status=status_of(error),
            key=key,
            notation=notation,
            text=text,
            error=str(error),
        )
    return _see_value(key, "added")


def send_delete(page: PageRequest) -> Response:
    """Delete the key."""
    try:
        delete_entry(page.site.store, _key(page), page.form.get("version", ""))
    except ChangedEntryError as error:
        if error.now is None:
            raise NoSuchPageError(str(error)) from error
        return page.render(
            "entry_edit.html", status=409, entry=error.now, theirs=None, error=str(error)
        )
    return RedirectResponse(link("keys", query={"done": "deleted"}), 303)


routes = [
    get_page("/keys/edit", show_edit),
    post_page("/keys/edit", send_edit),
    get_page("/keys/add", show_add),
    post_page("/keys/add", send_add),
    post_page("/keys/delete", send_delete),
]


def _shown(page: PageRequest) -> ShownEntry:
    page.check_writable()
    shown = shown_entry(page.view, _key(page))
    if shown is None:
        raise NoSuchPageError("the store has no such key")
    return shown


def _key(page: PageRequest) -> bytes:
    return _parsed(page.argument("key"))


def _parsed(text: str) -> bytes:
    try:
        return parse_key(text)
    except ValueError as error:
        raise WrongRequestError(str(error)) from error


def _given(page: PageRequest) -> tuple[str, str]:
    return page.form.get("notation", ""), lines_of(page.form.get("value", ""))


def _see_value(key: str, done: str) -> Response:
    return RedirectResponse(link("keys", "value", query={"key": key, "done": done}), 303)
