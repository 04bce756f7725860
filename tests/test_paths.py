"""Paths of stores: of any bytes, and those at which no store can be opened."""

import os
import pathlib
import shutil
import tempfile

import pytest

import stones.command_line.main
import stones.migrations.reencoding.reencode
import stones.repair.check
import stones.repair.salvage  # all is loaded before a test gives up its rights
from stones import (
    LmdbStore,
    MemoryStore,
    StorageError,
    StoreOpenError,
    check,
    compact,
    inspect,
    migrate,
    salvage,
    stone,
)

from .processes import in_child

NOBODY = 65534


class BytesPath:
    """A path-like object that gives bytes, or anything else."""

    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


FORMS = {"str": os.fsdecode, "bytes": lambda path: path, "path-like": BytesPath}
FORMS["Path"] = lambda path: pathlib.Path(os.fsdecode(path))


@pytest.fixture
def folder(tmp_path):
    """The path of a folder, as bytes."""
    return os.fsencode(tmp_path)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", [b"db-\xff", b"\xfe/db", "größe".encode(), b"a'b\n"])
def test_a_store_may_be_at_any_path(folder, form, name):
    path = form(folder + b"/" + name)
    os.makedirs(os.path.dirname(folder + b"/" + name), exist_ok=True)
    with LmdbStore(path, serialize="json") as store:
        store["key"] = 1
        assert store.path == os.fsdecode(folder + b"/" + name)
        assert repr(store).isprintable()
    with stone(path, LmdbStore) as store, stone(path, LmdbStore, readonly=True) as view:
        store["key"] = 2
        assert view["key"] == 2
        migrate(store, "cbor")
        store.backup(form(folder + b"/copy\xff"))
        store.backup(form(folder + b"/pages\xff"), compact=False)
    assert in_child(lambda: LmdbStore(path).close()) == 0
    MemoryStore(key=2).backup(form(folder + b"/memory\xff"))
    assert inspect(path).entries == check(path).entries == 1
    assert salvage(path, form(folder + b"/new\xff")).whole
    for copy in (b"/copy\xff", b"/pages\xff", b"/memory\xff", b"/new\xff"):
        assert dict(LmdbStore(form(folder + copy), readonly=True)) == {b"key": 2}
    with stone("lmdb:" + os.fsdecode(path)) as store:
        store.destroy(yes_im_sure=True)
    assert not os.path.exists(folder + b"/" + name)


def test_a_store_inherited_through_a_fork_may_be_at_any_path(folder):
    with LmdbStore(folder + b"/db-\xff") as store:
        assert in_child(lambda: store.update(child=1)) == 0
        assert store["child"] == 1


def test_a_message_about_any_path_can_be_printed(folder):
    path = folder + b"/db-\xff'"
    LmdbStore(path, serialize="json").close()
    for refused in (
        lambda: LmdbStore(path, serialize="cbor"),
        lambda: LmdbStore(path, checksums=True),
        lambda: LmdbStore(path + b"/data.mdb"),
        lambda: LmdbStore(path + b"2", create=False),
        lambda: stone(path),
        lambda: LmdbStore(path)["missing"],
        lambda: LmdbStore(path, readonly=True).clear(),
        lambda: MemoryStore().backup(path),
        lambda: salvage(path, path),
    ):
        with pytest.raises(Exception) as found:  # noqa: PT011  # of many classes
            refused()
        assert str(found.value).encode()


def make_places(folder):
    """Paths at which no store can be opened, with the reason."""
    (folder / "file").write_text("")
    os.symlink("second", folder / "first")
    os.symlink("first", folder / "second")
    os.symlink("nowhere", folder / "dangling")
    for name in ("folder", "pipe", "loop"):
        (folder / f"data-{name}").mkdir()
    (folder / "data-folder" / "data.mdb").mkdir()
    os.mkfifo(folder / "data-pipe" / "data.mdb")
    os.symlink("data.mdb", folder / "data-loop" / "data.mdb")
    os.mkfifo(folder / "pipe")
    return {
        folder / "file": "is a file|is there already",
        folder / "pipe": "is a file|is there already",
        folder / "file" / "db": "Not a directory",
        folder / "first": "Too many levels of symbolic links",
        folder / "first" / "db": "Too many levels of symbolic links",
        folder / ("x" * 300): "File name too long",
        folder / "/".join(["x" * 200] * 30): "File name too long",
        folder / "data-folder": "no file|is there already",
        folder / "data-pipe": "no file|is there already",
        folder / "data-loop": "symbolic links|is there already",
        f"{folder}/a\0b": "without a NUL",
        "": "not empty",
        b"": "not empty",
        "\ud800": "surrogates not allowed",
        5: "not of type int",
        None: "not of type NoneType",
        BytesPath(5): "not of type BytesPath",
    }


OPENINGS = {
    "open": LmdbStore,
    "stone": lambda path: stone(path, LmdbStore),
    "read-only": lambda path: LmdbStore(path, readonly=True),
    "not made": lambda path: LmdbStore(path, create=False),
    "check": check,
    "inspect": inspect,
    "salvage": lambda path: salvage(path, "new"),
    "compact": compact,
}
COPIES = {
    "salvage to": salvage,
    "backup": lambda source, path: LmdbStore(source).backup(path),
    "backup of memory": lambda source, path: MemoryStore().backup(path),
}


@pytest.mark.parametrize("function", OPENINGS.values(), ids=OPENINGS)
def test_a_path_without_a_store_is_refused_with_the_reason(tmp_path, monkeypatch, function):
    monkeypatch.chdir(tmp_path)
    for path, reason in make_places(tmp_path).items():
        reason = "is a str" if path is None or isinstance(path, int) else reason
        with pytest.raises(StoreOpenError, match=reason) as found:
            function(path)
        assert len(str(found.value)) < 600
    assert not os.path.exists("new")


@pytest.mark.parametrize("function", COPIES.values(), ids=COPIES)
def test_a_path_to_which_nothing_can_be_copied_is_refused_with_the_reason(tmp_path, function):
    source = tmp_path / "source"
    LmdbStore(source).close()
    for path, reason in make_places(tmp_path).items():
        with pytest.raises(StoreOpenError, match=reason):
            function(source, path)


def test_a_link_that_leads_nowhere_is_no_place_for_a_store(tmp_path):
    make_places(tmp_path)
    with pytest.raises(StoreOpenError, match="is a link that leads nowhere"):
        LmdbStore(tmp_path / "dangling")
    with pytest.raises(StoreOpenError, match="there is no store at"):
        LmdbStore(tmp_path / "dangling", readonly=True)
    assert not os.path.exists(tmp_path / "nowhere")


@pytest.fixture
def public():
    """A folder that every user can reach; pytest's own folders are for one user only."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="stones-"))
    folder.chmod(0o755)
    yield folder
    for place, _, _ in os.walk(folder):
        os.chmod(place, 0o755)
    shutil.rmtree(folder)


def without_rights(function):
    """Run a function in a child process of the user nobody, to whom no permission is given."""

    def run():
        if os.getuid() == 0:  # root may read and write everything
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
        function()

    assert in_child(run) == 0


def forbid(store, what):
    """Take away a right that is needed to open the store."""
    if what == "data.mdb":
        os.chmod(store / "data.mdb", 0)
    elif what == "the directory":
        os.chmod(store, 0)
    elif what == "the directory above":
        os.chmod(store.parent, 0)
    else:
        os.chmod(store, 0o600)


FORBIDDEN = ["data.mdb", "the directory", "the directory above", "searching the directory"]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_store_that_may_not_be_read_is_refused_with_the_reason(public, what):
    store = public / "folder" / "db"
    store.parent.mkdir()
    LmdbStore(store).close()
    forbid(store, what)

    def refused():
        for function in OPENINGS.values():
            with pytest.raises(StoreOpenError, match=r"(?i)permission denied") as found:
                function(store)
            assert "there is no store" not in str(found.value)
        with pytest.raises(PermissionError):
            (store / "data.mdb").read_bytes()

    without_rights(refused)


@pytest.mark.parametrize("command", [["info"], ["get", "key"], ["put", "key", "1"], ["check"]])
def test_the_command_line_says_that_a_store_may_not_be_read(public, monkeypatch, capfd, command):
    store = public / "folder" / "db"
    store.parent.mkdir()
    LmdbStore(store).close()
    forbid(store, "the directory")
    name, *rest = command
    monkeypatch.setattr("sys.argv", ["stones", name, str(store), *rest])

    def refused():
        with pytest.raises(SystemExit) as exit:
            stones.command_line.main.main()
        assert exit.value.code == 1

    without_rights(refused)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("stones: permission denied: ")
    assert err.count("\n") == 1


def test_a_directory_in_which_nothing_may_be_made_is_refused_with_the_reason(public):
    (public / "mine").mkdir()
    LmdbStore(public / "source").close()
    os.chmod(public / "source" / "data.mdb", 0o444)
    os.chmod(public / "source", 0o555)
    os.chmod(public / "mine", 0o555)

    def refused():
        for path in (public / "mine", public / "mine" / "new"):
            for function in (LmdbStore, MemoryStore().backup):
                with pytest.raises(StorageError, match=r"(?i)permission denied"):
                    function(path)
        with pytest.raises(StoreOpenError, match=r"(?i)permission denied"):
            LmdbStore(public / "source")
        assert len(LmdbStore(public / "source", readonly=True)) == 0

    without_rights(refused)


def test_a_relative_path_is_refused_where_the_current_directory_is_gone(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()

    def refused():
        os.chdir(gone)
        gone.rmdir()
        for function in OPENINGS.values():
            with pytest.raises(StoreOpenError, match="No such file or directory"):
                function("db")
        with pytest.raises(StoreOpenError):
            MemoryStore().backup("db")

    assert in_child(refused) == 0


def test_a_store_that_may_not_be_removed_says_so(public):
    path = public / "db"
    LmdbStore(path).close()
    os.chmod(path / "data.mdb", 0o444)
    os.chmod(path, 0o555)

    def refused():
        with pytest.raises(StorageError, match=r"(?i)permission denied"):
            LmdbStore(path, readonly=True).destroy(yes_im_sure=True)

    without_rights(refused)
    assert len(LmdbStore(path, readonly=True)) == 0
