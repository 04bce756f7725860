"""`stones serve` answers its own pages and programs only, over real connections."""

import socket

import pytest

from stones import MemoryStore
from stones.browser.patterns import fault_of
from stones.browser.security import Hosts

from .served import served

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def site():
    with served(MemoryStore({"a": 1}), write=True) as site:
        yield site


@pytest.fixture(scope="module")
def guarded():
    with served(MemoryStore({"a": 1}), token=TOKEN) as site:
        yield site


def refused(answer):
    return answer.status == 403 and answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]", "[::1]:80", "localhost."]
)
def test_a_server_on_this_machine_answers_to_its_names(site, host):
    assert site.get("/", host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "192.168.1.7",
        "127.0.0.1:x",
        "",
        "localhost@evil.example",
        "[::1",
        "0.0.0.0",
    ],
)
def test_another_name_is_refused_as_dns_rebinding_would_bring_it(site, host):
    answer = site.get("/", host=host)
    assert refused(answer)
    assert "--allow-host" in answer.text


def test_a_server_for_other_machines_answers_to_addresses_and_names_it_was_given():
    hosts = Hosts.of("0.0.0.0", ["Notes.example"])
    allowed = ("10.1.2.3:80", "[fe80::1]", "notes.example", "localhost")
    assert [host for host in (*allowed, "evil.example") if hosts.allow(host)] == [*allowed]


@pytest.mark.parametrize("origin", ["http://evil.example", "http://localhost:3000", "null"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_page_of_another_site_is_refused(site, method, origin):
    """Another port of this machine is another site too."""
    answer = site.ask(method, "/", None, origin=origin)
    assert refused(answer)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_page_of_the_same_host_is_let_in_also_behind_a_proxy_with_tls(site, scheme):
    assert site.get("/", origin=f"{scheme}://localhost:8000", host="localhost:8000").status == 200


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_head_is_answered_as_a_get(site, method):
    assert site.ask(method, "/", None).status == 200


@pytest.mark.parametrize("fetch_site", ["cross-site", "same-site"])
@pytest.mark.parametrize(
    ("mode", "dest"), [("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe")]
)
def test_another_site_can_embed_nothing(site, fetch_site, mode, dest):
    headers = {"sec_fetch_site": fetch_site, "sec_fetch_mode": mode, "sec_fetch_dest": dest}
    assert refused(site.get("/", **headers))


def test_a_link_on_another_site_may_be_followed_but_sends_no_form(site):
    link = {
        "sec_fetch_site": "cross-site",
        "sec_fetch_mode": "navigate",
        "sec_fetch_dest": "document",
    }
    assert site.get("/", **link).status == 200
    assert refused(site.post("/collections/A/add", {}, **link))


@pytest.mark.parametrize("path", ["/", "/nowhere", "/static/style.css", "/api/nowhere"])
def test_each_answer_has_the_headers_that_keep_others_out(site, path):
    headers = site.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    # A form of a page with "no-referrer" would have the Origin "null", which is refused.
    assert headers["referrer-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/style.css%00",
        "/../../etc/passwd",
        "//etc/passwd",
        "/collections/..%2f..%2fetc",
        "/collections/%00",
    ],
)
def test_no_path_of_the_file_system_comes_from_a_url(site, path):
    answer = site.get(path)
    assert answer.status == 404
    assert "root:" not in answer.text
    assert "import" not in answer.text


def test_a_redirect_never_leads_away(guarded):
    answer = guarded.get(f"//evil.example/?token={TOKEN}")
    assert answer.headers["location"] == "/evil.example/"


@pytest.mark.parametrize("path", ["/", "/api/openapi.json", "/nowhere", "/keys?token="])
def test_without_the_token_nothing_is_told(guarded, path):
    answer = guarded.get(path)
    assert answer.status == 401
    assert "MemoryStore" not in answer.text


def test_the_token_leaves_the_url_and_a_cookie_takes_its_place(guarded):
    first = guarded.get(f"/?a=%26b&token={TOKEN}")
    cookie = first.headers["set-cookie"]
    assert (first.status, first.headers["location"]) == (303, "/?a=%26b")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert TOKEN not in cookie  # it goes to every port of the machine
    assert guarded.get("/", cookie=cookie.partition(";")[0]).status == 200


def test_a_person_can_type_the_token(guarded):
    answer = guarded.post("/token", {"token": TOKEN})
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert guarded.get("/", cookie=answer.headers["set-cookie"].partition(";")[0]).status == 200


def test_a_program_sends_the_token_in_a_header(guarded):
    assert guarded.get("/", authorization=f"Bearer {TOKEN}").status == 200
    assert guarded.get("/", authorization="Bearer another").status == 401
    assert guarded.get("/", authorization=f"Basic {TOKEN}").status == 401


@pytest.mark.parametrize("given", ["x", TOKEN + "x", "\udcff", "ä"])
def test_a_wrong_token_is_refused(guarded, given):
    form = {"token": given.encode("utf-8", "surrogateescape").decode("latin-1")}
    assert guarded.post("/token", form).status == 401
    assert guarded.get("/", cookie=f"stones-{guarded.port}=x").status == 401


def test_the_style_sheet_needs_no_token(guarded):
    assert guarded.get("/static/style.css").status == 200


def test_a_request_that_is_no_http_does_no_harm(site):
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")
    assert site.get("/").status == 200


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "(a|a)*$",
        "(?:a?){30}",
        "((ab)*c)+",
        r"(\w)\1",
        "(?P<x>a)(?P=x)",
        "(?x)(a+) +",
        "a*a*a*a*",
        "a?" * 30 + "a{30}",
        "x" * 501,
        "(?i:a+)*",
        "(a{1,20}){1,20}",
    ],
)
def test_a_pattern_that_could_take_for_ever_is_found(pattern):
    assert fault_of(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[^@]+@[^@]+\.[a-z]+$",
        "(red|green|blue)",
        "(ab)*",
        "[a+]*",
        r"\(a+\)+",
        "(?i)abc",
        "[]+]",
        "(a+)?",
        "x{3}",
        "",
        "^a.*z$",
        "{",
    ],
)
def test_a_pattern_that_people_type_passes(pattern):
    assert fault_of(pattern) is None
