"""The pages of `stones serve` in a real browser on a collection of 1,000,000 records."""

import pytest
from attrs import define

from stones import Collection, LmdbStore, index, key, stone

COUNT = 1_000_000
SOON = 5_000
"""Milliseconds, on a machine that runs other tests too. `make bench` measures what a page takes."""


@define
class Point:
    number: int = key()
    size: int = index()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("browsed") / "points-db"
    with stone(place, LmdbStore, serialize="msgpack", durability="none") as store:
        Collection(store, Point).add_many(Point(n, n * 7919 % 1000) for n in range(COUNT))
    return place


def test_a_million_records_are_looked_into_without_a_wait(window, serve, place):
    url = serve(place)
    window.set_default_timeout(SOON)
    window.goto(url)
    assert "1,000,000" in window.get_by_role("row", name="Point").inner_text()
    window.get_by_role("link", name="Point", exact=True).click()
    keys = window.get_by_role("table").first.get_by_role("rowheader")
    assert keys.first.inner_text() == "0"
    window.get_by_role("link", name="Next page").first.click()
    assert keys.first.inner_text() == "50"

    window.get_by_label("Order").select_option(label="number, from high to low")
    window.get_by_role("button", name="Show").click()
    assert keys.first.inner_text() == "999999"

    window.get_by_role("columnheader", name="size").get_by_role("link").click()
    assert keys.first.inner_text() == "0"

    window.get_by_label("Filter").fill("@.size == 999 && @.number > 500000")
    window.get_by_label("Filter").press("Enter")
    window.wait_for_url("**filter=**")
    assert keys.count() == 50
    assert "size" in window.get_by_role("table", name="How this is answered").inner_text()
    keys.first.get_by_role("link").click()
    assert "int 999" in " ".join(window.inner_text("main").split())


def test_a_search_that_takes_too_long_ends_with_a_message(window, serve, place):
    window.goto(f"{serve(place, '--time-limit', '0.1')}/collections/Point")
    window.get_by_label("Filter").fill("@.number + @.size == -1")
    window.get_by_label("Filter").press("Enter")
    window.wait_for_url("**filter=**")
    assert "took longer than 0.1 seconds" in window.get_by_role("alert").inner_text()
