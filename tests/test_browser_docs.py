"""What docs/how-to/browse.md shows: the answers of the API, and the pictures of the pages.

`make pictures` writes the pictures. Without it, a test run takes them too, and throws them away.
"""

import json
import os
import re
import shlex
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "how-to" / "browse.md"
PICTURES = ROOT / "docs" / "pictures"
LARGEST = 150_000
CALL = re.compile(r"```sh\n(curl .*?)```\n\n```json\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def url(serve_for_all, tmp_path_factory):
    """The store that the document makes, served for writing."""
    folder = tmp_path_factory.mktemp("documented")
    program = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)[1]
    before = Path.cwd()
    os.chdir(folder)
    try:
        exec(program, {"__name__": "__main__"})
        yield serve_for_all("moons-db", "--write")
    finally:
        os.chdir(before)


def asked_url(command, url):
    """The URL that a command of curl asks for, on the server of the test."""
    words = shlex.split(command)
    place = next(word for word in words if word.startswith("http"))
    pairs = [words[n + 1].partition("=") for n, word in enumerate(words) if "urlencode" in word]
    path = place.removeprefix("http://127.0.0.1:8000")
    return url + path + ("?" if pairs else "") + urlencode([(k, v) for k, _, v in pairs])


@pytest.mark.parametrize("number", range(3))
def test_the_api_answers_as_the_document_shows(url, number):
    command, expected = CALL.findall(DOCUMENT.read_text())[number]
    with build_opener(ProxyHandler({})).open(asked_url(command, url)) as answer:
        found = json.load(answer)
    for name, value in json.loads(expected).items():
        assert value in ("...", found.pop(name))
    assert set(found) <= {"next", "next_url"}


def test_each_call_in_the_document_is_made_above():
    assert len(CALL.findall(DOCUMENT.read_text())) == 3


PAGES = {
    "store": "/",
    "collection": "/collections/Moon?filter=@.radius+>+1000&order_by=-radius",
    "record": "/collections/Moon/record?key=Hyperion",
    "edit": "/collections/Moon/edit?key=Hyperion",
}
"""The pictures, and the pages that they show."""


@pytest.mark.parametrize("name", PAGES)
def test_a_picture_of_the_document_is_taken(open_window, url, tmp_path, name):
    folder = PICTURES if os.environ.get("STONES_PICTURES") else tmp_path
    folder.mkdir(exist_ok=True)
    window = open_window(viewport={"width": 1000, "height": 700}, color_scheme="light")
    window.goto(url + PAGES[name])
    if name == "store":
        until = time.monotonic() + 20
        while "Measured" not in window.inner_text("main") and time.monotonic() < until:
            window.reload()
    picture = folder / f"{name}.png"
    window.screenshot(path=picture, full_page=True, animations="disabled")
    assert picture.stat().st_size <= LARGEST


def test_each_picture_of_the_document_is_there_and_no_other():
    shown = re.findall(r"\]\(\.\./pictures/(.*?)\.png\)", DOCUMENT.read_text())
    assert sorted(shown) == sorted(PAGES) == sorted(each.stem for each in PICTURES.iterdir())
