"""Pages in the order of an index go on at their place, and not at the first of equal values."""

import pytest
from attrs import define

from stones import Collection, MemoryStore, index, key

SAME = 1_200
"""So many records have one value: more than a page of entries has."""


@define
class Job:
    id: int = key()
    done: bool = index()
    team: str = ""
    code: str | None = index(unique=True, default=None)


@define
class Path:
    path: str = key()
    text: str = index()


@pytest.fixture
def store(opened):
    with opened(serialize="msgpack") as store:
        yield store


@pytest.fixture
def jobs(store):
    jobs = Collection(store, Job, indexes=[("team", "done")])
    jobs.add_many(Job(n, n % 5 == 0, "ab"[n % 3 == 0]) for n in range(SAME))
    return jobs


def slow_twin(query):
    """The same query by a scan and a sort."""
    return query.using(None)


def check_pages(query, places, size=7):
    """From each of these places on, the records are those of the slow twin."""
    everything = list(slow_twin(query))
    for place in places:
        cursor = query.limit(place).cursor()
        found = list(query.after(cursor).limit(size))
        assert found == everything[place : place + size], place


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("order", [["done"], ["-done"], ["team", "done"], ["-team", "-done"]])
def test_a_page_begins_at_any_place_among_equal_values(jobs, order, backwards):
    query = jobs.find().order_by(*order)
    query = query.reversed() if backwards else query
    check_pages(query, [1, 2, 239, 240, 241, 600, 958, 959, 960, 961, SAME - 3, SAME - 1, SAME])


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("order", [["done"], ["-done"]])
def test_a_filter_that_the_index_answers_has_the_same_pages(jobs, order, backwards):
    query = jobs.find(team="a").order_by(*order).using("team,done")
    query = query.reversed() if backwards else query
    count = query.count()
    check_pages(query, [1, 100, 159, 160, 161, 400, count - 1, count])


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("order", [["done"], ["-done"]])
def test_a_place_stays_when_records_around_it_are_deleted(store, jobs, order, backwards):
    query = jobs.find().order_by(*order)
    query = query.reversed() if backwards else query
    cursor = query.limit(700).cursor()
    around = list(query)[650:750]
    with store.transaction():
        for job in around:
            jobs.delete(job.id)
    left = list(slow_twin(query))
    assert list(query.after(cursor).limit(5)) == left[650:655]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("order", [["done"], ["-done"]])
def test_no_record_may_be_left_among_the_equal_values(store, order, backwards):
    jobs = Collection(store, Job)
    jobs.add_many(Job(n, False) for n in range(SAME))
    query = jobs.find().order_by(*order)
    query = query.reversed() if backwards else query
    ordered = list(query)
    cursor = query.limit(600).cursor()
    with store.transaction():
        for job in ordered[600:]:
            jobs.delete(job.id)
    assert list(query.after(cursor).limit(5)) == []


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("order", [["text"], ["-text"]])
def test_long_keys_and_long_values_have_places_too(backwards, order):
    # A long key ends with a hash in an entry, and a long value is cut there.
    texts = ["short", "x" * 1_000, "x" * 999 + "y", "x" * 229]
    names = [f"{'k' * length}{n:03}" for length in (1, 250, 257, 258, 262, 300) for n in range(30)]
    paths = Collection(MemoryStore(serialize="msgpack"), Path)
    paths.add_many(Path(name, texts[n % 4]) for n, name in enumerate(names))
    query = paths.find().order_by(*order)
    query = query.reversed() if backwards else query
    check_pages(query, range(1, len(names), 3), size=4)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("order", [["code"], ["-code"]])
def test_a_unique_index_has_places(store, order, backwards):
    jobs = Collection(store, Job)
    jobs.add_many(Job(n, False, "", None if n % 3 else f"c{n % 90:02}-{n:04}") for n in range(900))
    query = jobs.find().order_by(*order)
    query = query.reversed() if backwards else query
    check_pages(query, [1, 299, 300, 301, 450, 599, 600, 601, 899])


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("order", [["done"], ["-done"]])
def test_a_page_far_behind_the_first_of_equal_values_reads_its_own_entries(order, backwards):
    jobs = Collection(MemoryStore(serialize="msgpack"), Job)
    jobs.add_many(Job(n, n % 100 == 0) for n in range(20_000))
    query = jobs.find().order_by(*order)
    query = query.reversed() if backwards else query
    page = query.after(query.limit(10_000).cursor()).limit(50)
    read = page.explain(run=True).read
    assert (read.matches, read.records) == (50, 50)
    assert read.entries < 2_000
