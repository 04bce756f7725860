"""A real browser for tests: chromium without a screen, driven by Playwright.

`STONES_CHROMIUM` names another program in its place: Chrome or Edge will do too.

A test gets `window`, a page in a profile of its own, or `open_window` for several. When the test
ends, each window must have asked this machine only, and must not have shown an error: see
`Complaints`.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from .running import MissingServerError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

OpenWindow = Callable[..., "Page"]
HERE = {"127.0.0.1", "localhost", "::1"}
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SWITCHES = (
    # No name leads away from this machine, whatever asks for it: a page, or chromium itself.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--no-proxy-server",
    # The same text on each machine, for the pictures of the docs.
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
)


def find_chromium() -> str:
    """The program. Raises MissingServerError if it is not installed."""
    given = os.environ.get("STONES_CHROMIUM")
    found = given or next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found is None:
        raise MissingServerError(
            "these tests need a browser: install the Debian package chromium "
            "(.ci/test-packages), or name the program of Chrome by STONES_CHROMIUM"
        )
    return found


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    """A browser for the tests of one file.

    Not for the whole session: as long as it is there, this thread has a running event loop, and a
    test of another file that calls `asyncio.run` would fail.
    """
    program = find_chromium()
    from playwright.sync_api import sync_playwright  # it takes 0.2 s, in each worker

    with sync_playwright() as playwright:
        # Without chromium's own sandbox, which does not work for root or in a container.
        browser = playwright.chromium.launch(
            executable_path=program, args=[*_SWITCHES], chromium_sandbox=False
        )
        with browser:
            yield browser


class Complaints:
    """What is wrong with what windows did: errors of pages, and requests to other machines."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def watch(self, page: "Page") -> None:
        """Follow a window from now on."""
        page.on("pageerror", lambda error: self.found.append(f"an error of a script: {error}"))
        page.on("console", self._on_console)
        page.on("request", self._on_request)

    def _on_console(self, message: Any) -> None:
        # What the Content-Security-Policy refuses is an error on the console too. A page that is
        # not there or is refused is one also, but a test that asks for it means it.
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.found.append(f"{message.type} on the console: {message.text}")

    def _on_request(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob", "about"} and parts.hostname not in HERE:
            self.found.append(f"a request to another machine: {request.url}")


@pytest.fixture
def open_window(chromium: "Browser") -> Iterator[OpenWindow]:
    """Opens windows, each in a profile of its own. Takes the options of a context of Playwright."""
    complaints = Complaints()
    contexts = []

    def open_window(**options: Any) -> "Page":
        options.setdefault("viewport", {"width": 1100, "height": 760})
        context = chromium.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(10_000)
        context.on("page", complaints.watch)
        return context.new_page()

    yield open_window
    for context in contexts:
        context.close()
    assert complaints.found == []


@pytest.fixture
def window(open_window: OpenWindow) -> "Page":
    """An empty window."""
    return open_window()
