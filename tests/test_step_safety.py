"""Steps under everything that can happen: kills, two processes, a full disk, other programs.

The long series of kills is in `tests/torture/steps.py`.
"""

import os
import subprocess
import sys
import time
from copy import deepcopy
from random import Random

import pytest
from attrs import field, make_class
from hypothesis import given, settings
from hypothesis import strategies as st

from stones import Collection, LmdbStore, MemoryStore, Migration, check, key
from stones.engine import Space

from .processes import run as run_program
from .step_runs import KINDS, PROGRAM, everything, fill, migrated

# -- random steps ------------------------------------------------------------------------------

NAMES = ["a", "b", "c", "d", "e"]
values = st.one_of(st.none(), st.integers(-5, 5), st.text("xyz", max_size=3), st.booleans())
shapes = st.lists(
    st.dictionaries(st.sampled_from(NAMES), values, max_size=4), min_size=1, max_size=6
)


def as_text(value):
    return f"<{value}>"


def swapped(record):
    record["a"], record["b"] = record.get("b"), record.get("a")
    return record


def without_text(record):
    return None if isinstance(record.get("a"), str) else record


parts = st.one_of(
    st.sampled_from(NAMES).map(lambda name: {"drop": [name]}),
    st.tuples(st.sampled_from(NAMES), values).map(lambda pair: {"add": {pair[0]: pair[1]}}),
    st.sampled_from(NAMES).map(lambda name: {"convert": {name: as_text}}),
    st.sampled_from(NAMES).map(lambda name: {"rename": {name: f"{name}{name}"}}),
    st.sampled_from([swapped, without_text]).map(lambda change: {"change": change}),
)


def record_class(names):
    annotations = {"key": str, **dict.fromkeys(names, None | int | str | bool)}
    fields = {name: key() if name == "key" else _optional() for name in annotations}
    made = make_class("Row", fields, kw_only=True)
    made.__annotations__ = annotations
    for attribute in made.__attrs_attrs__:
        object.__setattr__(attribute, "type", annotations[attribute.name])
    return made


def _optional():
    return field(default=None)


def check_steps(store, old_dicts, step_parts):
    """The stored dicts after random steps are those of the steps applied to plain dicts."""
    steps = [Migration(number, **each) for number, each in enumerate(step_parts, 1)]
    old = record_class(NAMES)
    rows = Collection(store, old, "Row")
    rows.add_many(old(key=f"k{n}", **each) for n, each in enumerate(old_dicts))
    expected = {}
    for stored, record in [*store.items()]:
        after = deepcopy(record)
        for step in steps:
            after = after if after is None else step.apply(after)
        if after is not None:
            expected[stored] = after
    names = sorted({name for each in expected.values() for name in each} - {"key"})
    rows = Collection(store, record_class(names), "Row", migrations=steps, unknown="keep")
    rows.migrate()
    full = dict.fromkeys(names)
    assert dict(store) == {stored: full | each for stored, each in expected.items()}
    assert len(rows) == len(expected)
    assert not check(store).findings


@given(shapes, st.lists(parts, min_size=1, max_size=5, unique_by=str))
@settings(max_examples=150)
def test_random_steps_are_the_steps_applied_to_a_dict(old_dicts, step_parts):
    try:
        check_steps(MemoryStore(), old_dicts, step_parts)
    except Exception as error:
        if "is there already" not in str(error):  # a rename onto a field
            raise


STORY = (
    [{"a": 1, "b": "x"}, {"a": "y"}, {"b": None, "c": 3}],
    [
        {"rename": {"c": "cc"}},
        {"convert": {"b": as_text}, "drop": ["d"]},
        {"change": without_text},
        {"add": {"new": 5}},
    ],
)


def test_steps_are_the_steps_applied_to_a_dict_on_each_engine(open_store):
    check_steps(open_store(), *STORY)


# -- kills -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(kind, tmp_path):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    fill(calm)
    began = time.perf_counter()
    migrated(calm, kind)
    whole = time.perf_counter() - began
    fill(killed)
    random = Random(kind)
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, killed, kind], stdout=subprocess.PIPE
        )
        process.stdout.readline()  # it begins now
        time.sleep(random.uniform(0, whole))
        process.kill()
        process.wait()
        process.stdout.close()
    migrated(killed, kind)
    assert everything(killed) == everything(calm)
    with LmdbStore(killed) as store:
        assert not check(store).findings


def test_two_processes_that_migrate_the_same_run_each_step_once(tmp_path):
    path, calm = tmp_path / "two", tmp_path / "calm"
    fill(path)
    fill(calm)
    migrated(calm, "double")
    command = [sys.executable, "-c", PROGRAM, path, "double"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0, 0]
    assert everything(path) == everything(calm)


def test_a_full_disk_leaves_a_store_that_can_be_migrated_later(tmp_path):
    path, calm = tmp_path / "full", tmp_path / "calm"
    for each in (path, calm):
        fill(each, 3000)
    migrated(calm, "grow")
    size = os.path.getsize(path / "data.mdb")
    program = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 200_000}, {size + 200_000}))
from tests.step_runs import migrated
try:
    migrated(argv[0], 'grow')
except StoreFullError:
    print('full')
except StorageError as error:
    print('full', error)
"""
    found = run_program(program, path)
    assert found.stdout.startswith("full"), found.stdout + found.stderr
    migrated(path, "grow")
    assert everything(path) == everything(calm)


# -- other programs ----------------------------------------------------------------------------

WRITER = """
import sys, time
from tests.step_runs import opened
from stones import LmdbStore
store = LmdbStore(sys.argv[1])
rows = opened(store, 'rename')
print('open', flush=True)
end = time.monotonic() + 1.5
number = 0
while time.monotonic() < end:
    name = f'{number * 37 % 2000:05}'
    row = rows[name]
    assert row.title == f'title {int(name)}', row
    rows.update(name, count=row.count + 1)
    assert rows[name].count == row.count + 1
    number += 1
print(number)
"""


def test_programs_of_the_new_class_read_and_write_during_the_migration(tmp_path):
    path = tmp_path / "db"
    fill(path, 20_000)
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    migrated(path, "rename")
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    with LmdbStore(path) as store:
        counts = sum(store[f"Row/{number:05}"]["count"] for number in range(20_000))
        assert counts == int(output)
        assert not check(store).findings
        with store.database.reading() as txn:
            left = [k for k, _ in txn.scan(Space.META) if k.startswith((b"step/", b"progress/"))]
        assert left == []
