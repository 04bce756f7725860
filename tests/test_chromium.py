"""The browser that tests drive: what it complains about, and that it ends with the tests."""

import os
import subprocess
import sys
import tempfile
import time

import pytest

from .servers.chromium import Complaints, find_chromium
from .servers.running import MissingServerError


@pytest.fixture
def watched(chromium):
    """A window without the check at the end, and what is wrong with it."""
    complaints = Complaints()
    with chromium.new_context() as context:
        context.on("page", complaints.watch)
        yield context.new_page(), complaints


def test_a_machine_without_a_browser_is_told_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("STONES_CHROMIUM", raising=False)
    with pytest.raises(MissingServerError, match="install the Debian package chromium"):
        find_chromium()


def test_another_browser_is_named_by_the_environment(monkeypatch):
    monkeypatch.setenv("STONES_CHROMIUM", "/opt/chrome")
    assert find_chromium() == "/opt/chrome"


def test_a_request_to_another_machine_is_a_complaint_and_goes_nowhere(watched):
    page, complaints = watched
    page.set_content("<img src='http://198.51.100.7/a.png'><img src='http://elsewhere.example/'>")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    assert page.evaluate("[...document.images].map(image => image.naturalWidth)") == [0, 0]
    assert complaints.found == [
        "a request to another machine: http://198.51.100.7/a.png",
        "a request to another machine: http://elsewhere.example/",
    ]


def test_an_error_of_a_script_is_a_complaint(watched):
    page, complaints = watched
    page.set_content("<script>nothing.at.all</script>")
    assert complaints.found == ["an error of a script: nothing is not defined"]


def test_what_the_content_security_policy_refuses_is_a_complaint(watched):
    page, complaints = watched
    page.set_content(
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'\">"
        "<script>let refused</script>"
    )
    assert len(complaints.found) == 1
    assert "Content Security Policy" in complaints.found[0]


@pytest.fixture
def short_folder():
    """A folder for a socket, whose path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="stones-", ignore_cleanup_errors=True) as folder:
        yield folder


PROGRAM = """
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path={program!r}, chromium_sandbox=False)
    print("launched", flush=True)
    input()
"""


def test_the_browser_ends_with_tests_that_are_killed(short_folder):
    program = PROGRAM.format(program=find_chromium())
    tests = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "TMPDIR": short_folder},  # its profile is there
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with tests:
        assert tests.stdout.readline() == "launched\n"
        assert processes_of(short_folder) != []
        tests.kill()
    until = time.monotonic() + 30
    while processes_of(short_folder) and time.monotonic() < until:
        time.sleep(0.05)
    assert processes_of(short_folder) == []


def processes_of(folder):
    """The processes that name a folder in their command line."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if folder in line]
