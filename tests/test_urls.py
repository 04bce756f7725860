"""URLs choose the class of a store: the schemes of stones, and those of other packages."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from stones import JsonFileStore, LmdbStore, MemoryStore, StoreOpenError, stone

PLUGIN = """
from stones import MemoryStore, StoreOpenError

class CloudStore(MemoryStore):
    "Takes the whole URL, as a store on a server does."

    def __init__(self, url, *, region='here', **options):
        super().__init__(**options)
        self.url, self.region = url, region

    @classmethod
    def from_url(cls, url, **options):
        return cls(url, **options)

class NotOurs(MemoryStore):
    pass

class NoStore:
    pass

def function(url):
    pass
"""

ENTRY_POINTS = """
[stones.stores]
cloud = plugin:CloudStore
SKY = plugin:CloudStore
lmdb = plugin:NotOurs
nomodule = nowhere:CloudStore
noname = plugin:Nothing
nostore = plugin:NoStore
function = plugin:function
failing = failing:Store
twice = plugin:CloudStore
"""

SECOND = "[stones.stores]\ntwice = plugin:NotOurs\nsame = plugin:CloudStore\n"


@pytest.fixture
def run_with_plugins(tmp_path):
    """Runs a program in which two other packages that register schemes are installed."""

    def install(name: str, points: str) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(points)

    install("cloud-stones", ENTRY_POINTS)
    install("second-stones", SECOND)
    (tmp_path / "plugin.py").write_text(PLUGIN)
    (tmp_path / "failing.py").write_text("raise RuntimeError('out of order')")

    def run(code: str) -> str:
        program = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom stones import *\n{code}"
        command = [sys.executable, "-c", program]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, cwd=tmp_path.parent
        )
        assert done.stderr == ""
        return done.stdout

    return run


def test_a_class_of_another_package_has_a_scheme_by_an_entry_point(run_with_plugins):
    code = """
for url in ('cloud://me@host/x?y=1', 'CLOUD:x', 'sky:x', 'same:x'):
    store = stone(url, serialize='json', options={'region': 'there'})
    store['a'] = 1
    print(type(store).__name__, store.url, store.region, dict(store))
"""
    assert run_with_plugins(code).splitlines() == [
        f"CloudStore {url} there {{b'a': 1}}"
        for url in ("cloud://me@host/x?y=1", "CLOUD:x", "sky:x", "same:x")
    ]


def test_the_class_of_another_package_may_be_given_beside_its_url(run_with_plugins):
    code = """
from plugin import CloudStore, NotOurs
print(stone('cloud://host/x', CloudStore).url)
print(stone('cloud:x', LmdbStore, 'json'))
"""
    assert run_with_plugins(code) == "cloud://host/x\n<LmdbStore 'cloud:x': 0 entries, json>\n"


def test_a_scheme_of_stones_cannot_be_taken(run_with_plugins):
    assert run_with_plugins("print(type(stone('lmdb:db')).__name__)") == "LmdbStore\n"


@pytest.mark.parametrize(
    ("scheme", "reason"),
    [
        ("nomodule", "cannot be loaded: ModuleNotFoundError: No module named 'nowhere'"),
        ("noname", "cannot be loaded: AttributeError: "),
        ("failing", "cannot be loaded: RuntimeError: out of order"),
        ("nostore", "NoStore'> is no kind of store"),
        ("function", "is no kind of store"),
        ("twice", "uninstall one"),
    ],
)
def test_a_broken_entry_point_is_one_clear_error(run_with_plugins, scheme, reason):
    code = f"""
try:
    stone('{scheme}://user:secret@host')
except StoreOpenError as error:
    print(error)
"""
    shown = run_with_plugins(code)
    assert reason in shown
    assert shown.count("\n") == 1
    assert "secret" not in shown
    if reason.startswith("cannot"):
        assert "cloud-stones" in shown


def test_an_unknown_scheme_lists_what_is_known_and_what_to_install(run_with_plugins):
    code = """
try:
    stone('clowd://user:secret@host/db')
except StoreOpenError as error:
    print(error)
"""
    shown = run_with_plugins(code)
    assert "is cloud: meant?" in shown
    assert "secret" not in shown
    for known in ("lmdb:,", "sqlite:,", "postgresql: (pip install stones[postgres])", "sky:"):
        assert known in shown


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("postgresq://localhost/db", "postgresql:"),
        ("postgresql+psycopg://localhost/db", "postgresql:"),
        ("sqlite3:app.db", "sqlite:"),
        ("lmbd:app", "lmdb:"),
        ("Redis_://cache", "redis:"),
    ],
)
def test_a_scheme_with_a_typo_is_answered_with_the_one_that_is_meant(url, meant):
    with pytest.raises(StoreOpenError, match=f"is {meant} meant"):
        stone(url)


@pytest.mark.parametrize("url", ["http://host", "my_store://user:secret@host/db", "unheard-of:x"])
def test_an_unknown_scheme_is_refused(url):
    with pytest.raises(StoreOpenError, match=r"no store is known .*stones knows dbm:, ") as caught:
        stone(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["lmdb://localhost/db", "lmdb://user:secret@host/db", "lmdb://"])
def test_a_store_on_this_machine_has_no_host(url):
    for read in (stone, LmdbStore.from_url):
        with pytest.raises(StoreOpenError, match="another machine") as caught:
            read(url)
        assert "secret" not in str(caught.value)


def test_from_url_opens_what_a_url_stands_for(tmp_path):
    with LmdbStore.from_url(f"lmdb:{tmp_path / 'db'}", serialize="json") as store:
        store["a"] = 1
    with LmdbStore.from_url(f"lmdb://{tmp_path / 'db'}", readonly=True) as store:
        assert dict(store) == {b"a": 1}
    assert repr(MemoryStore.from_url("memory:notes")).startswith("<MemoryStore 'notes'")


def test_a_class_takes_no_url_of_another_class(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for cls in (MemoryStore, JsonFileStore, LmdbStore):
        with pytest.raises(StoreOpenError, match="is that of a SqliteStore"):
            cls.from_url("sqlite:x")
    assert not os.listdir()


def test_a_space_before_a_url_does_not_make_it_the_name_of_a_store_in_memory():
    with pytest.raises(StoreOpenError, match="a space before the URL"):
        stone(" sqlite:app.db")
    assert repr(stone(" notes")).startswith("<MemoryStore ' notes'")


def test_from_url_takes_no_path():
    with pytest.raises(StoreOpenError, match="no URL"):
        LmdbStore.from_url("db")


CLIENTS = {
    "postgresql://localhost/db": ("postgres", "psycopg", "pip install stones[postgres]"),
    "postgres://localhost/db": ("postgres", "psycopg", "pip install stones[postgres]"),
    "redis://localhost": ("redis", "redis", "pip install stones[redis]"),
    "leveldb:db": ("leveldb", "plyvel", "pip install stones[leveldb]"),
    "lmdb:db": ("lmdb", "lmdb", "install lmdb"),
    "sqlite:db": ("sqlite", "_sqlite3", "install _sqlite3"),
}


@pytest.mark.parametrize(
    "url", [u for u, (m, *_) in CLIENTS.items() if find_spec(f"stones.stores.{m}")]
)
def test_a_client_that_is_missing_is_named_with_what_to_install(tmp_path, url):
    _, client, advice = CLIENTS[url]
    code = f"""
import sys
sys.modules[{client!r}] = None  # as if it were not installed
sys.modules.pop("sqlite3", None)  # what measures coverage has loaded it
sys.modules.pop("sqlite3.dbapi2", None)
from stones import StoreOpenError, stone
try:
    stone({url!r})
except StoreOpenError as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.stderr == ""
    assert advice in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_class_whose_client_is_missing_can_be_imported_and_says_what_to_install(tmp_path):
    code = """
import sys
for client in ('plyvel', 'psycopg', 'redis'):
    sys.modules[client] = None  # as if it were not installed
from stones import *
opened = {'db': LevelDBStore, 'postgresql://db': PostgresStore, 'redis://db': RedisStore}
for place, store in opened.items():
    try:
        store(place)
    except StoreOpenError as error:
        print(error)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.stderr == ""
    advice = [line.partition("run `")[2] for line in done.stdout.splitlines()]
    assert advice == [f"pip install stones[{extra}]`" for extra in ("leveldb", "postgres", "redis")]
