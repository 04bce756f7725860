"""`stones serve` as a user starts and ends it: a process of its own."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from attrs import define

from stones import Collection, LmdbStore, MemoryStore, key, stone

from .served import Served


@define
class Note:
    number: int = key()
    text: str


@contextmanager
def serving(*arguments, **environment):
    """The command as a process: gives it, and the URL that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stones", "serve", *map(str, arguments), "--port", "0"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        url = re.search(r"http://\S+", line)
        assert url, line + process.stderr.read()
        yield process, url[0]
    finally:
        process.kill()
        process.communicate()


def site_at(url):
    return Served(urlsplit(url).port, None)


@pytest.fixture
def notes(tmp_path):
    """The path of a store with one note."""
    path = tmp_path / "notes"
    with stone(path, LmdbStore, serialize="msgpack") as store:
        Collection(store, Note).add(Note(1, "first"))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_with_the_store_closed_and_no_word(notes, number):
    with serving(notes) as (process, url):
        site = site_at(url)
        idle = http.client.HTTPConnection("127.0.0.1", site.port)
        idle.request("GET", "/")  # a browser keeps its connection
        assert idle.getresponse().read()
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        idle.close()
        assert (process.returncode, out, err) == (0, "", "")
        with pytest.raises(ConnectionRefusedError):
            site.get("/")


def test_every_engine_is_served_and_written(open_store, tmp_path):
    store = open_store(serialize="msgpack")
    place = store.database.place
    if not place:  # a store in memory is in no other process
        assert isinstance(store, MemoryStore)
        return
    Collection(store, Note).add(Note(1, "first"))
    store.close()
    with serving(place, "--write") as (process, url):
        site = site_at(url)
        assert "Note" in site.get("/").text
        form = site.get("/collections/Note/add").inputs
        added = site.post("/collections/Note/add", form | {"text:number": "2", "text:text": "new"})
        assert (added.status, added.headers["location"]) == (
            303,
            "/collections/Note/record?key=2&done=added",
        )
        assert site.get("/collections/Note/edit?key=2").inputs["text:text"] == "new"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


def test_what_another_process_writes_is_seen(notes):
    with serving(notes, "--write") as (_, url):
        site = site_at(url)
        assert site.get("/collections/Note/edit?key=2").status == 404
        with stone(notes, LmdbStore) as store:
            Collection(store, Note).add(Note(2, "second"))
        assert site.get("/collections/Note/edit?key=2").inputs["text:text"] == "second"


def test_it_reads_only_unless_it_is_told_to_write(notes):
    with serving(notes) as (_, url):
        site = site_at(url)
        for path in ("edit?key=1", "add", "delete?key=1"):
            for answer in (
                site.get(f"/collections/Note/{path}"),
                site.post(f"/collections/Note/{path}", {}),
            ):
                assert answer.status == 403
                assert "--write" in answer.message


def test_a_class_checks_what_is_written(notes, tmp_path):
    tmp_path.joinpath("models.py").write_text(
        "from attrs import define, field, validators\n"
        "from stones import key\n"
        "@define\n"
        "class Note:\n"
        "    number: int = key()\n"
        "    text: str = field(validator=validators.max_len(5))\n"
    )
    folder = os.getcwd()
    os.chdir(tmp_path)
    try:
        with serving(notes, "--write", "--class", "models:Note", PYTHONPATH=folder) as (_, url):
            site = site_at(url)
            form = site.get("/collections/Note/edit?key=1").inputs
            answer = site.post("/collections/Note/edit?key=1", form | {"text:text": "too long"})
            assert answer.status == 400
            assert "text" in answer.message
            assert "too long" in answer.text
    finally:
        os.chdir(folder)


def test_another_address_needs_a_token_which_is_made(notes):
    with serving(notes, "--host", "0.0.0.0") as (_, url):
        parts = urlsplit(url)
        assert parts.hostname == socket.gethostname().lower()
        site = site_at(url)
        assert site.get("/").status == 401
        assert site.get(f"/?{parts.query}", host=parts.netloc).status == 303


def test_the_token_may_be_in_the_environment(notes):
    with serving(notes, STONES_TOKEN="a-token-of-some-length") as (_, url):
        assert url.endswith("/?token=a-token-of-some-length")
        assert site_at(url).get("/").status == 401


def test_pickles_are_read_only_if_that_is_asked_for(tmp_path):
    with stone(tmp_path / "pickles", LmdbStore, serialize="pickle") as store:
        Collection(store, Note).add(Note(1, "first"))
    with serving(tmp_path / "pickles", "--write") as (_, url):
        answer = site_at(url).get("/collections/Note/edit?key=1")
        assert answer.status == 400
        assert "--trust-pickle" in answer.message
    with serving(tmp_path / "pickles", "--write", "--trust-pickle") as (_, url):
        assert site_at(url).get("/collections/Note/edit?key=1").inputs["text:text"] == "first"


def test_a_command_line_that_is_wrong_is_told_in_one_line(run, notes, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert f"another program listens on port {port}" in run(
            "serve", notes, "--port", port, code=1
        )
    assert "at least 16 characters" in run("serve", notes, "--token", "short", code=2)
    assert "no store" in run("serve", tmp_path / "nowhere", "--port", "0", code=1)
    assert "nowhere.invalid" in run("serve", notes, "--host", "nowhere.invalid", code=1)
    assert "names no class" in run("serve", notes, "--class", "Note", "--port", "0", code=1)


def test_without_the_extra_the_message_tells_what_to_install(run, notes, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert "pip install 'stones[browser]'" in run("serve", notes, code=1)
