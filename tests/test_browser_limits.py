"""What a request of `stones serve` may cost: time, size, and the patience of others."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from json import loads
from urllib.parse import urlencode

import pytest
from attrs import define
from starlette.responses import PlainTextResponse

from stones import Collection, MemoryStore, key
from stones.browser import app as app_module
from stones.browser.answering import get_json, get_page
from stones.browser.limits import Limits

from .served import FORM, served


@define
class User:
    name: str = key()
    age: int


@define
class Note:
    number: int = key()
    text: str


def filled(store):
    Collection(store, User).add_many([User(f"u{number:03}", number) for number in range(700)])
    return store


@pytest.fixture
def store(open_store):
    return filled(open_store())


def for_ever(page):
    """A filter that never matches, over a collection that seems to have no end."""
    while True:
        for _ in page.collection("User").find("@.age < 0"):
            pass


def first(page):
    return PlainTextResponse(next(iter(page.collection("User"))))


def large(_):
    return PlainTextResponse("x" * 5000)


def fails(_):
    raise ZeroDivisionError("a secret")


@pytest.fixture(autouse=True)
def more_pages(monkeypatch):
    more = [
        get_page("/for-ever", for_ever),
        get_json("/api/for-ever", for_ever),
        get_page("/first", first),
        get_page("/large", large),
        get_page("/fails", fails),
    ]
    monkeypatch.setattr(app_module, "PAGES", [*app_module.PAGES, *more])


@pytest.mark.parametrize("path", ["/for-ever", "/api/for-ever"])
def test_a_scan_ends_at_the_limit_with_a_message(store, path):
    with served(store, limits=Limits(seconds=0.3)) as site:
        begin = time.monotonic()
        answer = site.get(path)
        assert answer.status == 503
        assert "longer than 0.3 seconds" in answer.message
        assert time.monotonic() - begin < 5
        assert site.get("/first").text == "u000"


def test_long_requests_do_not_keep_others_waiting():
    store = filled(MemoryStore())
    with served(store, limits=Limits(seconds=3)) as site, ThreadPoolExecutor(4) as threads:
        running = [threads.submit(site.get, "/for-ever") for _ in range(4)]
        time.sleep(0.3)
        begin = time.monotonic()
        assert site.get("/first").text == "u000"
        assert time.monotonic() - begin < 1.5
        assert {each.result().status for each in running} == {503}


def test_who_waits_for_a_thread_is_told_when_the_time_is_over():
    store = filled(MemoryStore())
    with served(store, limits=Limits(seconds=0.5, threads=1)) as site:
        with ThreadPoolExecutor(3) as threads:
            answers = [threads.submit(site.get, "/for-ever") for _ in range(3)]
            assert [each.result().status for each in answers] == [503] * 3
        assert site.get("/first").status == 200


def test_a_scan_ends_when_nobody_waits_for_it():
    store = filled(MemoryStore())
    with served(store, limits=Limits(seconds=60, threads=1)) as site:
        with socket.create_connection(("127.0.0.1", site.port)) as connection:
            connection.sendall(b"GET /for-ever HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(0.3)
        assert site.get("/first").status == 200


def test_the_end_of_the_server_ends_a_scan():
    store = filled(MemoryStore())
    with ThreadPoolExecutor(1) as threads:
        begin = time.monotonic()
        with served(store, limits=Limits(seconds=60)) as site:
            running = threads.submit(site.get, "/for-ever")
            time.sleep(0.3)
        assert time.monotonic() - begin < 5
        assert running.result().status == 503


def test_a_page_reads_all_from_one_snapshot():
    store = MemoryStore()
    users = Collection(store, User)
    users.add(User("ada", 36))
    seen = []

    def twice(page):
        seen.append(len(page.collection("User")))
        users.add(User(f"new{len(seen)}", 1))
        seen.append(len(page.collection("User")))
        return PlainTextResponse("")

    app_module.PAGES.append(get_page("/twice", twice))
    with served(store) as site:
        assert site.get("/twice").status == 200
        assert site.get("/twice").status == 200
    assert seen == [1, 1, 2, 2]


def test_an_answer_that_is_too_large_is_not_sent():
    with served(MemoryStore(), limits=Limits(answer=4000)) as site:
        answer = site.get("/large")
        assert answer.status == 413
        assert "5,000 bytes" in answer.message


@pytest.mark.parametrize(("query", "status"), [("%22" * 2000, 200), ("a" * 16_001, 414)])
def test_a_url_has_a_longest_size(query, status):
    with served(MemoryStore()) as site:
        assert site.get(f"/?{query}").status == status


@pytest.mark.parametrize("path", ["/collections/Note", "/api/collections/Note"])
def test_a_page_that_no_url_could_lead_on_from_says_so(path):
    store = MemoryStore()
    Collection(store, Note).add_many(Note(number, "x" * 50_000) for number in range(60))
    with served(store) as site:
        assert "too long for a URL" in site.get(f"{path}?order_by=text&limit=50").message
        assert site.get(f"{path}?limit=50").status == 200


def test_a_body_has_a_largest_size():
    with served(MemoryStore(), write=True, limits=Limits(body=2000)) as site:
        answer = site.post("/collections/User/add", {"text:name": "x" * 3000})
        assert answer.status == 413
        assert "2,000 bytes" in answer.message


def test_a_body_that_does_not_arrive_ends_the_request():
    head = f"POST /collections/A/add HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
    with (
        served(MemoryStore(), write=True, limits=Limits(seconds=0.3)) as site,
        socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection,
    ):
        connection.sendall(f"{head}Content-Length: 100\r\n\r\na=b".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_a_head_that_does_not_arrive_ends_the_connection(monkeypatch):
    monkeypatch.setattr("stones.browser.serving.HEAD_SECONDS", 0.3)
    with (
        served(MemoryStore()) as site,
        socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        assert connection.recv(1000) == b""


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        (FORM, b"\xff", 400),
        (FORM, b"novalue", 400),
        (FORM, b"a=%ff", 400),
        (FORM, b"&".join(b"a=b" for _ in range(20_000)), 400),
    ],
)
def test_a_body_that_is_no_form_is_refused(kind, body, status):
    with served(MemoryStore(), write=True) as site:
        answer = site.ask("POST", "/collections/User/add", body, content_type=kind)
        assert answer.status == status


def test_a_fault_of_a_page_is_told_on_the_terminal_only(caplog):
    with served(MemoryStore()) as site:
        answer = site.get("/fails")
        assert answer.status == 500
        assert "secret" not in answer.text
        assert site.get("/").status == 200
    assert "a page failed: /fails" in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        {"filter": '@.name =~ "(a+)+$"'},
        {"filter": "@.name.`sub(/(a+)+$/, x)` == 'x'"},
        {"filter": "@.name =~ {p}", "values": '{"p": "(a\\u002b)+$"}'},
        {"filter": "@.name =~ {p}", "values": '{"p": ["(a+)+$"]}'},
    ],
)
def test_a_filter_whose_pattern_could_take_for_ever_is_refused(arguments):
    with served(MemoryStore()) as site:
        answer = site.get(f"/?{urlencode(arguments)}")
        assert answer.status == 400
        assert "a repeat inside of a repeat" in answer.message


@pytest.mark.parametrize("path", ["/collections/User", "/api/collections/User"])
@pytest.mark.parametrize("filter", ['@.name =~ "x.*x.*y"', '!(@.name =~ "x.*x.*y")'])
def test_a_pattern_in_a_long_text_ends_at_the_limit_while_others_are_answered(path, filter):
    store = MemoryStore()
    Collection(store, Note).add_many([Note(1, "x" * 100_000), Note(2, "xay")])
    path = path.replace("User", "Note")
    filter = filter.replace("name", "text")
    with served(store, limits=Limits(seconds=2)) as site, ThreadPoolExecutor() as threads:
        began = time.monotonic()
        slow = threads.submit(site.get, f"{path}?{urlencode({'filter': filter})}")
        time.sleep(0.3)
        assert site.get("/").status == 200
        assert time.monotonic() - began < 2
        assert "took longer than 2 seconds" in slow.result().text
        assert time.monotonic() - began < 4


def test_a_pattern_finds_long_texts_too():
    store = MemoryStore()
    texts = ["x" * 100_000, "\ud800x" + "a" * 100_000 + "xy\n", "xxy", "x" * 5000 + "\0xy"]
    Collection(store, Note).add_many(map(Note, range(4), texts))
    arguments = {"filter": '@.text =~ "xa*.?xy"', "fields": "number"}
    with served(store) as site:
        answer = site.get(f"/api/collections/Note?{urlencode(arguments)}")
    assert [each["number"] for each in loads(answer.text)["records"]] == [1, 2, 3]
