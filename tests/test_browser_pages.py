"""The pages of `stones serve` that only read, as HTML: every link leads somewhere, all is escaped.

They are asked for over a real connection, and read as a browser and a screen reader read them.
"""

import http.client
import json
from datetime import date
from html.parser import HTMLParser
from time import perf_counter
from urllib.parse import unquote

import pytest
from attrs import define

from stones import Collection, MemoryStore, index, key

from .served import served

HOSTILE = "</td><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;\u202e\x1b[31m\ud800"


@define
class User:
    name: str = key()
    age: int = index()
    note: str = ""
    born: date | None = None
    deep: dict[str, list[tuple[int, ...]]] | None = None


@define
class Visit:
    city: str = key()
    day: date = key()


VOID = {"meta", "link", "input", "br", "hr", "img", "rect", "polygon", "polyline"}


class Page(HTMLParser):
    """A page, with what a browser and a screen reader find in it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.tags, self.open = [], [], [], []
        self.labelled, self.inputs, self.levels, self.text = set(), [], [], ""
        self.feed(text)
        self.close()
        assert self.open == [], "an element is not closed"

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "a":
            self.links.append(attributes["href"])
        if tag == "label":
            self.labelled.add(attributes["for"])
        if tag in ("input", "select", "textarea") and attributes.get("type") != "hidden":
            self.inputs.append(attributes.get("id"))
        if tag in ("h1", "h2", "h3"):
            self.levels.append(int(tag[1]))

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, text):
        self.text += text


@pytest.fixture(scope="module")
def site():
    store = MemoryStore(serialize="msgpack")
    users = Collection(store, User)
    users.add_many(
        User(f"u{n:03}", n % 5, deep={"a": [(1, n)]}, born=date(2000, 1, 1)) for n in range(60)
    )
    users.add(User(HOSTILE.replace("\ud800", ""), 3, HOSTILE, deep={HOSTILE: []}))
    Collection(store, Visit).add(Visit("a/b?c=d&e#f \\", date(2020, 1, 31)))
    store.namespace("cache/")["k"] = HOSTILE
    store[HOSTILE.encode("utf-8", "surrogatepass")] = {HOSTILE: [HOSTILE]}
    store[b"\xff/\x00"] = b"\x00" * 3_000
    store["a/b/c"] = None
    with served(store) as site:
        yield site


START = [
    "/",
    "/?measure=yes",
    "/collections/User?filter=%40.age+%3E+1&order_by=-age&limit=25",
    "/collections/User?order_by=age",
    "/keys",
]


def crawled(site, most=400):
    """All pages that links lead to, from the first page on."""
    waiting, seen, found = list(START), set(), {}
    while waiting and len(found) < most:
        url = waiting.pop(0)
        if url in seen or url.startswith(("/static/", "#")):
            continue
        seen.add(url)
        assert url.startswith("/"), f"{url} leaves the store"
        answer = site.get(url)
        assert answer.status == 200, (url, answer.message)
        if url.startswith("/api/"):
            json.loads(answer.text)
            continue
        found[url] = Page(answer.text)
        waiting += found[url].links
    return found


@pytest.fixture(scope="module")
def pages(site):
    return crawled(site)


def test_every_link_leads_to_a_page(pages):
    assert len(pages) > 100
    assert any("/record?key=a/b" in unquote(url) for url in pages)


def test_nothing_in_the_store_becomes_markup(pages):
    for url, page in pages.items():
        for tag, attributes in page.tags:
            assert tag != "img", url
            assert tag != "script" or attributes["src"].startswith("/static/"), url
            assert not any(name.startswith("on") or name == "style" for name in attributes), url
            for value in attributes.values():
                assert value is None or "\x1b" not in value, url
        assert "\x1b" not in page.text, url
        assert "\u202e" not in page.text, url
    shown = [page for page in pages.values() if "<script>alert(1)</script>" in page.text]
    assert len(shown) > 5


def test_pages_can_be_used_without_eyes_and_without_a_mouse(pages):
    for url, page in pages.items():
        assert page.levels[0] == 1, url
        assert page.levels.count(1) == 1, url
        assert set(page.inputs) <= page.labelled, url
        assert len(page.ids) == len(set(page.ids)), url
        named = []  # for each table, whether it has a name
        for tag, attributes in page.tags:
            if tag == "th":
                assert attributes.get("scope") in ("col", "row"), url
            if tag == "svg":
                is_told = attributes.get("role") == "img" and attributes.get("aria-label")
                assert is_told or attributes.get("aria-hidden") == "true", url
            if tag == "table":
                named.append("aria-labelledby" in attributes or "aria-label" in attributes)
            if tag == "caption":
                named[-1] = True
            if "scroll" in (attributes.get("class") or ""):  # a key must be able to scroll it
                assert attributes["tabindex"] == "0", url
            for name in ("aria-labelledby", "aria-describedby"):
                for each in attributes.get(name, "").split():
                    assert each in page.ids, (url, each)
        assert all(named), url
        assert [tag for tag, _ in page.tags if tag in ("header", "main", "footer")], url


@pytest.mark.parametrize(
    ("url", "status", "text"),
    [
        ("/collections/Nope", 404, "no collection"),
        ("/collections/User/record?key=nobody", 404, "nobody"),
        ("/collections/User/record", 404, "type 1 part"),
        ("/keys/value?key=nothing", 404, "no key"),
        ("/keys/value", 404, "no key"),
        ("/keys?prefix=%5Cq", 400, "no escape"),
        ("/collections/User?filter=%40.age+%3E", 400, "the path ends too early"),
        ("/collections/User?after=x", 400, "no cursor"),
        ("/collections/User?order_by=nope", 400, "nope"),
        ("/collections/User?limit=1000000", 200, "u048"),
        ("/collections/User?filter=%00%ED%A0%80", 400, "User"),
        ("/collections/..%2F..%2Fetc%2Fpasswd", 404, ""),
    ],
)
def test_what_cannot_be_shown_is_said(site, url, status, text):
    answer = site.get(url)
    assert (answer.status, text in Page(answer.text).text) == (status, True)


def test_the_error_of_a_filter_stands_under_its_place(site):
    page = Page(site.get("/collections/User?filter=%40.age+%3E+1+and+%40.age+%3C+3").text)
    line = next(each for each in page.text.split("\n") if each.strip() == "^")
    assert line.index("^") == "@.age > 1 and @.age < 3".index("and")
    box = next(attributes for tag, attributes in page.tags if attributes.get("id") == "filter")
    assert box["aria-invalid"] == "true"
    assert box["value"] == "@.age > 1 and @.age < 3"
    assert "filter-error" in box["aria-describedby"]


def test_an_answer_does_not_wait_for_the_client_to_confirm_its_head(site):
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    seconds = []
    for _ in range(15):
        start = perf_counter()
        connection.request("GET", "/collections/User/record?key=u001")
        connection.getresponse().read()
        seconds.append(perf_counter() - start)
    connection.close()
    # Without TCP_NODELAY each of them but the first takes 40 ms more.
    assert min(seconds[1:]) < 0.04
