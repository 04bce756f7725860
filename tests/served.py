"""A store that is served in this process, and requests to it over a real connection."""

import http.client
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from threading import Event, Thread
from typing import Any
from urllib.parse import urlencode

from attrs import field, frozen

from stones.browser.app import make_app
from stones.browser.serving import listening, serve

FORM = "application/x-www-form-urlencoded"


@frozen
class Answer:
    """The answer to a request."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def message(self) -> str:
        """The error that a page shows, or all of it if it shows none."""
        found = re.search(r'role="alert">(.*?)</p>', self.text, re.DOTALL)
        return unescape(found[1]) if found else self.text

    @property
    def inputs(self) -> dict[str, str]:
        """What a browser would send of the form in the page."""
        hidden = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', self.text)
        typed = re.findall(
            r'<textarea [^>]*?name="([^"]*)"[^>]*>\n(.*?)</textarea>', self.text, re.DOTALL
        )
        return {unescape(name): unescape(text) for name, text in [*hidden, *typed]}


@frozen
class Served:
    """A store that is served, on a port of this machine."""

    port: int
    app: Any = field(repr=False)

    def get(self, path: str, **headers: str) -> Answer:
        """The answer to a GET. A header such as Sec-Fetch-Site is given as sec_fetch_site."""
        return self.ask("GET", path, None, **headers)

    def post(self, path: str, form: dict[str, str], **headers: str) -> Answer:
        """The answer to a form."""
        return self.ask("POST", path, urlencode(form).encode(), **{"content_type": FORM, **headers})

    def ask(self, method: str, path: str, body: bytes | None, **headers: str) -> Answer:
        """The answer to any request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host="host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            if body is not None:
                connection.putheader("content-length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            text = response.read().decode()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, text)
        finally:
            connection.close()


@contextmanager
def served(store: Any, **options: Any) -> Iterator[Served]:
    """The store, served until the block ends. `options` are those of `make_app`."""
    app = make_app(store, **options)
    with listening("127.0.0.1", 0) as listener:
        ready = Event()
        thread = Thread(target=serve, args=(app, listener, ready.set))
        thread.start()
        assert ready.wait(10)
        try:
            yield Served(listener.getsockname()[1], app)
        finally:
            app.state.site.stopped.set()
            thread.join()
