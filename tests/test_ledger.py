"""The ledger: which steps ran on which collection, and the fingerprints of the steps."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import pytest
from attrs import define

import stones
from stones import (
    Collection,
    CorruptValueError,
    LmdbStore,
    MemoryStore,
    Migration,
    ValueTypeError,
    key,
)
from stones.engine import Space
from stones.migrations.steps.fingerprints import fingerprint


@define
class Old:
    name: str = key()
    mail: str


@define
class New:
    name: str = key()
    email: str


def by_name(user):
    """The docstring does not count."""
    return user | {"name": user["name"]}  # nor does a comment


STEP = Migration(1, rename={"mail": "email"}, reverse=lambda u: {"name": u["name"], "mail": "?"})


def users_of(store, count=3):
    Collection(store, Old, "User").add_many(Old(f"u{n}", f"{n}@x") for n in range(count))
    return Collection(store, New, "User", migrations=[STEP])


def test_the_ledger_tells_what_ran_when_and_how_many():
    store = MemoryStore()
    users = users_of(store)
    before = datetime.now(UTC).replace(microsecond=0)
    users.migrate()
    (entry,) = users.ledger
    assert (entry.collection, entry.number, entry.name) == ("User", 1, "rename mail to email")
    assert (entry.changed, entry.removed, entry.reversed) == (3, 0, None)
    assert before <= entry.at <= datetime.now(UTC)
    assert entry.seconds >= 0


def test_the_ledger_of_a_store_has_all_collections(open_store):
    store = open_store()
    users_of(store).migrate()
    Collection(store, Old, "Pal").add(Old("ada", "a@x"))
    Collection(store, New, "Pal", migrations=[STEP]).migrate()
    assert [(entry.collection, entry.number) for entry in stones.ledger(store)] == [
        ("Pal", 1),
        ("User", 1),
    ]


def test_a_dry_run_is_not_in_the_ledger():
    store = MemoryStore()
    users = users_of(store)
    users.migrate(dry_run=True)
    assert users.ledger == ()


def test_a_step_that_was_undone_says_when_and_runs_again():
    store = MemoryStore()
    users = users_of(store)
    users.migrate()
    users.undo(to=0)
    assert users.ledger[0].reversed is not None
    assert store["User/u1"] == {"name": "u1", "mail": "?"}
    users.migrate()
    assert users.ledger[0].reversed is None


def test_the_ledger_is_of_an_open_store():
    with pytest.raises(ValueTypeError, match="takes an open store"):
        stones.ledger("a path")


@pytest.mark.parametrize("part", ["name", "at", "seconds", "changed", "before", "fingerprint"])
def test_a_damaged_entry_is_an_error(part, tmp_path):
    store = LmdbStore(tmp_path / "db")
    users = users_of(store)
    users.migrate()
    stored = b"ledger/User/000001"
    with store.database.writing() as txn:
        entry = json.loads(txn.get(Space.META, stored))
        txn.put(Space.META, stored, json.dumps(entry | {part: {"a": 1}}).encode())
    with pytest.raises(CorruptValueError, match="the ledger is damaged"):
        stones.ledger(store)


# -- fingerprints ------------------------------------------------------------------------------


def changed(body):
    """The fingerprint of a step whose function has this source."""
    import linecache

    lines = f"def change(record):\n{body}\n"
    name = f"<source {len(linecache.cache)}>"
    linecache.cache[name] = (len(lines), None, lines.splitlines(keepends=True), name)
    names = {}
    exec(compile(lines, name, "exec"), names)
    return fingerprint(Migration(1, change=names["change"]))


def test_comments_docstrings_and_line_breaks_do_not_count():
    plain = changed("    return dict(record, a=1)")
    assert changed('    """What it does."""\n    return dict(record, a=1)  # why') == plain
    assert changed("    return dict(\n        record,\n        a=1,\n    )") == plain


def test_another_code_is_another_fingerprint():
    assert changed("    return dict(record, a=1)") != changed("    return dict(record, a=2)")


def test_two_lambdas_on_one_line_are_told_apart():
    one, other = Migration(1, change=lambda r: r | {"a": 1}), Migration(1, change=lambda r: None)
    assert fingerprint(one) != fingerprint(other)


def test_the_same_declaration_has_the_same_fingerprint():
    assert fingerprint(Migration(1, change=by_name)) == fingerprint(
        Migration(1, change=by_name, name="other", reverse=by_name)
    )
    assert fingerprint(Migration(1, add={"a": {"x", "y", "z"}})) == fingerprint(
        Migration(1, add={"a": {"z", "y", "x"}})
    )
    assert fingerprint(Migration(1, convert={"a": Decimal})) != fingerprint(
        Migration(1, convert={"a": int})
    )
    assert fingerprint(Migration(1, change=partial(by_name))) != fingerprint(
        Migration(1, change=by_name)
    )


def test_functions_without_source_have_a_fingerprint_too():
    assert fingerprint(Migration(1, convert={"a": len})) == fingerprint(
        Migration(1, convert={"a": len})
    )
    made = eval("lambda record: record")
    assert fingerprint(Migration(1, change=made)) == fingerprint(Migration(1, change=made))


class Changes:
    """Has functions for steps."""

    def by_name(self, record):
        return record

    def __call__(self, record):
        return record


def test_methods_and_objects_have_a_fingerprint_that_stays():
    method, other = Changes().by_name, Changes()
    assert fingerprint(Migration(1, change=method)) == fingerprint(
        Migration(1, change=Changes().by_name)
    )
    assert fingerprint(Migration(1, change=method)) != fingerprint(Migration(1, change=other))
    assert fingerprint(Migration(1, change=other)) == fingerprint(Migration(1, change=Changes()))
    assert fingerprint(Migration(1, change=partial(by_name, a=Silent()))) == fingerprint(
        Migration(1, change=partial(by_name, a=Silent()))
    )


class Silent:
    """Has no repr."""

    def __repr__(self):
        raise ZeroDivisionError


def test_a_lambda_over_several_lines_is_told_apart():
    one = Migration(
        1,
        change=lambda record: {
            **record,
            "a": 1,
        },
    )
    other = Migration(
        1,
        change=lambda record: {
            **record,
            "a": 2,
        },
    )
    assert fingerprint(one) != fingerprint(other)


def test_lambdas_that_begin_on_one_line_and_end_on_another_are_told_apart():
    one, other = Migration(1, change=lambda r: r), Migration(1, change=lambda r: {
        **r, "a": 1})  # fmt: skip
    third, fourth = Migration(1, change=lambda r: r), Migration(1, change=lambda r: {
        **r, "a": 2})  # fmt: skip
    assert fingerprint(one) == fingerprint(third)
    assert len({fingerprint(one), fingerprint(other), fingerprint(fourth)}) == 3


def test_a_function_whose_file_was_edited_meanwhile_has_a_fingerprint():
    import linecache

    names = {}
    lines = "def change(record):\n    return record\n"
    exec(compile(lines, "<edited source>", "exec"), names)
    for edited in ("def change(record:\n", "x = 1\n"):  # it cannot be parsed; it is not there
        linecache.cache["<edited source>"] = (1, None, [edited], "<edited source>")
        assert fingerprint(Migration(1, change=names["change"]))
