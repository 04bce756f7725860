"""The pages of `stones serve --write` in a real browser: records are changed, by several at once.

All tests share a store and a server. Each has a city of its own.
"""

import subprocess
import sys
from contextlib import contextmanager
from itertools import count

import pytest

from stones import LmdbStore, stone

from .browsed_store import browsed_store, cities_of
from .processes import run


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return browsed_store(tmp_path_factory.mktemp("browsed") / "cities-db")


@pytest.fixture(scope="module")
def url(serve_for_all, place):
    """The URL of the store, which is served for writing."""
    return serve_for_all(place, "--write")


@pytest.fixture(scope="module")
def numbers():
    return count(5, 3)


@pytest.fixture
def city(numbers):
    """The name of a city that no other test changes. It has two twins."""
    return f"City {next(numbers):03}"


@contextmanager
def opened(place):
    """The cities in the store, as another process has them."""
    with stone(place, LmdbStore) as store:
        yield cities_of(store)


def record(url, city):
    """The URL of the record of a city."""
    return f"{url}/collections/City/record?key={city.replace(' ', '+')}"


def edit(window, url, city):
    """Open the form for a city, as a user does."""
    window.goto(record(url, city))
    window.get_by_role("link", name="Edit or delete").click()


def save(window):
    window.get_by_role("button", name="Save", exact=True).click()


def test_an_edited_record_is_saved_with_the_types_of_its_fields(window, url, place, city):
    edit(window, url, city)
    window.get_by_label("people").fill("123456")
    window.get_by_label("founded").fill("1101-02-03")
    save(window)
    assert "Saved" in window.get_by_role("status").inner_text()
    assert window.url.startswith(record(url, city))
    with opened(place) as cities:
        found = cities[city]
        assert (found.people, found.founded.isoformat()) == (123456, "1101-02-03")
        assert (len(found.twins), type(found.twins)) == (2, tuple)
        assert cities.find(people=123456).count() == 1  # by the index


def test_what_does_not_fit_a_field_is_refused_and_what_was_typed_stays(window, url, place, city):
    edit(window, url, city)
    window.get_by_label("people").fill("many")
    window.get_by_label("country").fill("XX")
    save(window)
    assert "people" in window.get_by_role("alert").inner_text()
    assert window.get_by_label("people").input_value() == "many"
    assert window.get_by_label("country").input_value() == "XX"
    with opened(place) as cities:
        assert cities[city].country != "XX"


def test_a_record_is_added_and_deleted(window, url, place):
    window.goto(f"{url}/collections/City")
    window.get_by_role("link", name="Add a record").click()
    for name, text in {
        "name": "Ulm",
        "country": "DE",
        "people": "128000",
        "position": '{"lat": 48.4, "lon": 10.0}',
        "twins": '{"$tuple": []}',
        "tags": '{"$set": []}',
    }.items():
        window.get_by_label(name, exact=True).fill(text)
    window.get_by_role("button", name="Add").click()
    assert window.get_by_role("heading", level=1).inner_text() == "Ulm"
    with opened(place) as cities:
        assert (cities["Ulm"].people, cities["Ulm"].position.lat) == (128000, 48.4)
    window.get_by_role("link", name="Edit or delete").click()
    window.get_by_role("link", name="Delete").click()
    assert window.get_by_role("heading", level=1).inner_text() == "Delete this record of City?"
    window.get_by_role("button", name="Delete").click()
    window.wait_for_url("**/collections/City**")
    with opened(place) as cities:
        assert "Ulm" not in cities


def test_of_two_windows_the_later_one_is_told_and_loses_nothing(open_window, url, place, city):
    first, second = open_window(), open_window()
    edit(first, url, city)
    edit(second, url, city)
    first.get_by_label("people").fill("111111")
    save(first)
    second.get_by_label("people").fill("222222")
    save(second)
    assert "Nothing was saved" in second.get_by_role("alert").inner_text()
    row = second.get_by_role("row", name="people")
    assert [cell.inner_text() for cell in row.get_by_role("cell").all()] == ["222222", "111111"]
    with opened(place) as cities:
        assert cities[city].people == 111111
    second.get_by_role("button", name="Save with my changes").click()
    with opened(place) as cities:
        assert cities[city].people == 222222


def test_what_another_process_writes_is_there_when_the_page_is_loaded_again(
    window, url, place, city
):
    window.goto(f"{url}/collections/City?filter=@.people==777777")
    assert "No record matches" in window.inner_text("main")
    program = (
        "with stone(argv[0], LmdbStore) as store:\n"
        "    cities = Collection.without_class(store, 'City')\n"
        "    cities.update(argv[1], people=777777)\n"
        "    cities.delete('City 129')\n"
    )
    done = run(program, place, city)
    assert done.returncode == 0, done.stderr
    window.reload()
    rows = window.get_by_role("table").first.get_by_role("rowheader")
    assert rows.all_inner_texts() == [city]
    assert window.goto(record(url, "City 129")).status == 404


def test_an_edit_of_what_another_process_has_changed_is_not_saved(window, url, place, city):
    edit(window, url, city)
    with opened(place) as cities:
        before = cities.update(city, people=333333).country
    window.get_by_label("country").fill("XX")
    save(window)
    assert "Nothing was saved" in window.get_by_role("alert").inner_text()
    with opened(place) as cities:
        assert (cities[city].people, cities[city].country) == (333333, before)


def test_a_page_shows_no_half_of_a_transaction_of_another_process(window, url, place):
    with opened(place) as cities:
        cities.find("@.name < 'City 002'").update(people=0)
    with subprocess.Popen([sys.executable, "-c", WRITER, place]) as writer:
        seen = set()
        while writer.poll() is None:
            window.goto(f"{url}/collections/City?limit=25")
            shown = window.locator("table.records tbody tr td:nth-child(3)").all_inner_texts()
            assert shown[0] == shown[1]
            seen.add(shown[0])
    assert writer.returncode == 0
    assert len(seen) > 2


WRITER = """
import sys, time
from stones import Collection, LmdbStore, stone
until = time.monotonic() + 3
with stone(sys.argv[1], LmdbStore) as store:
    cities = Collection.without_class(store, "City")
    number = 0
    while time.monotonic() < until:
        number += 1
        with store.transaction():
            cities.update("City 000", people=number)
            time.sleep(0.001)
            cities.update("City 001", people=number)
"""


def test_a_form_that_was_typed_into_is_not_left_without_a_question(window, url, city):
    edit(window, url, city)
    asked = []
    window.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    window.get_by_label("people").press_sequentially("1")
    window.get_by_role("link", name="Cancel").click()
    window.wait_for_url("**/record**")
    assert asked == ["beforeunload"]


def test_the_keyboard_alone_changes_a_record(window, url, place, city):
    window.goto(record(url, city))
    window.get_by_role("link", name="Edit or delete").focus()
    window.keyboard.press("Enter")
    window.wait_for_url("**/edit**")
    people = window.get_by_label("people")
    for _ in range(30):
        window.keyboard.press("Tab")
        if people.evaluate("field => field === document.activeElement"):
            break
    window.keyboard.press("Control+A")
    window.keyboard.type("424242")
    window.keyboard.press("Control+Enter")
    window.wait_for_url("**/record**")
    with opened(place) as cities:
        assert cities[city].people == 424242


def test_a_form_fits_a_phone(open_window, url, city):
    window = open_window(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    edit(window, url, city)
    assert window.evaluate("document.documentElement.scrollWidth") <= 360
