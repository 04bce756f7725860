"""`stones edit`: a value or a record as JSON in an editor."""

import io
import os
import stat
import sys
import tempfile
from pathlib import Path

import pytest
from attrs import define

from stones import Collection, LmdbStore, index, key
from stones.command_line.main import main

from .terminal import Terminal
from .test_command_line_urls import kind, opened, place

__all__ = ["kind", "place"]
KINDS = ["path", "sqlite", "json", "leveldb", "redis", "postgres"]


@define
class User:
    name: str = key()
    age: int = index()


@pytest.fixture
def temporary_files(tmp_path, monkeypatch):
    """Where texts are kept, in a folder of the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)  # this process may have looked before
    return folder


@pytest.fixture(autouse=True)
def no_editor_of_the_developer(monkeypatch):
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "true")


@pytest.fixture
def editor(tmp_path, monkeypatch):
    """Lets EDITOR be a program with these lines of Python, which change `text`."""

    def editor(lines, variable="EDITOR"):
        program = tmp_path / "editor.py"
        program.write_text(
            "import pathlib, sys\n"
            "file = pathlib.Path(sys.argv[-1])\n"
            "text = file.read_text()\n"
            f"{lines}\n"
            "file.write_text(text)\n"
        )
        monkeypatch.setenv(variable, f"{sys.executable} '{program}'")

    return editor


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "db")
    fill(path)
    return path


def fill(place):
    with opened(place, serialize="json") as store:
        Collection(store, User).add_many([User("ada", 36), User("bob", 17)])
        store["point"] = (1, 2)
        store.namespace("sessions/")["ada"] = {"since": 1}


def stored(path):
    with LmdbStore(path) as store:
        return dict(Collection(store, User)), store["point"], store.namespace("sessions/")["ada"]


@pytest.fixture
def edit(monkeypatch, capfdbinary):
    """Runs `stones edit` in this process, without a terminal. Gives what it prints on stderr."""

    def edit(*words, code=0):
        monkeypatch.setattr(sys, "argv", ["stones", "edit", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        with pytest.raises(SystemExit) as exit:
            main()
        out, errors = (text.decode() for text in capfdbinary.readouterr())
        assert (exit.value.code, out) == (code, ""), errors
        assert errors.count("\n") <= 1
        return errors

    return edit


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_a_record_and_a_value_are_edited_on_each_engine(edit, editor, place):
    fill(place)
    editor("text = text.replace('36', '37').replace('2', '3')")
    assert edit(place, "User", "ada") == ""
    assert edit(place, "point") == ""
    with opened(place) as store:
        users = Collection(store, User)
        assert users["ada"] == User("ada", 37)
        assert users.find(age=37).count() == 1
        assert store["point"] == (1, 3)


def test_a_value_of_a_namespace_is_edited(edit, editor, path):
    editor("text = text.replace('1', '2')")
    edit(path, "sessions", "ada")
    assert stored(path)[2] == {"since": 2}


def test_the_editor_shows_the_name_and_indented_json(edit, editor, path, tmp_path):
    editor(f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(text)")
    edit(path, "User", "ada")
    head, *lines = Path(tmp_path / "seen").read_text().splitlines()
    assert head.startswith("# User ada of ")
    assert lines[2:] == ["{", '  "name": "ada",', '  "age": 36', "}"]


def test_visual_comes_before_editor(edit, editor, path, monkeypatch):
    editor("text = text.replace('36', '37')", "VISUAL")
    monkeypatch.setenv("EDITOR", "false")
    edit(path, "User", "ada")
    assert stored(path)[0]["ada"].age == 37


@pytest.mark.parametrize(
    "change",
    ["", "text = ''", "text = '# nothing'", "text = text + '\\n# a comment\\n'"],
)
def test_an_empty_text_or_one_without_a_change_leaves_all_as_it_is(edit, editor, path, change):
    before = stored(path)
    editor(change)
    assert edit(path, "User", "ada") == "nothing was changed\n"
    assert stored(path) == before


@pytest.mark.parametrize(
    ("words", "change", "message"),
    [
        (["User", "ada"], "text = text.replace('36', 'x')", "it is no JSON: "),
        (["User", "ada"], "text = text.replace('36', '\"x\"')", "age: expected int, got str 'x'"),
        (["User", "ada"], "text = text.replace('ada\"', 'eve\"')", "another key"),
        (["User", "ada"], "text = text.replace('age', 'agee')", "no field 'agee'"),
        (["User", "ada"], "text = '[1]'", "a record is a JSON object"),
        (["User", "ada"], "text = '[' * 100_000", "nested too deeply"),
        (["point"], "text = '{\"$tuple\": 1}'", "$tuple takes an array"),
    ],
)
def test_a_text_that_does_not_fit_is_kept_in_a_file(
    edit, editor, path, temporary_files, words, change, message
):
    before = stored(path)
    editor(change)
    shown = edit(path, *words, code=1)
    assert message in shown
    assert stored(path) == before
    (kept,) = temporary_files.iterdir()
    assert f"your text is in {kept}" in shown
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.read_text().strip()


def test_an_error_in_json_names_the_line_that_the_editor_shows(edit, editor, path, temporary_files):
    editor("text = text.replace('36', 'x')")
    assert "line 6 column" in edit(path, "User", "ada", code=1)


@pytest.mark.parametrize(
    ("meanwhile", "message"),
    [
        ("Collection(store, User).update('ada', age=1)", "has changed User ada"),
        ("del Collection(store, User)['ada']", "has removed User ada"),
    ],
)
def test_what_another_program_has_changed_meanwhile_is_not_overwritten(
    edit, editor, path, tmp_path, temporary_files, meanwhile, message
):
    editor(
        "import sys\n"
        f"sys.path[:0] = [{str(Path(__file__).parent.parent)!r}]\n"
        "from stones import Collection, LmdbStore\n"
        "from tests.test_edit_command import User\n"
        f"with LmdbStore({path!r}) as store: {meanwhile}\n"
        "text = text.replace('36', '37')"
    )
    shown = edit(path, "User", "ada", code=1)
    assert f"another program {message}" in shown
    assert "37" in next(temporary_files.iterdir()).read_text()
    users = stored(path)[0]
    assert users.get("ada") in (None, User("ada", 1))


def test_a_value_that_another_program_has_changed_is_not_overwritten(
    edit, editor, path, temporary_files
):
    editor(
        "import subprocess\n"
        f"subprocess.run([sys.executable, '-m', 'stones', 'put', {path!r}, 'point', '7'])\n"
        "text = text.replace('2', '3')"
    )
    assert "another program has changed point" in edit(path, "point", code=1)
    assert stored(path)[1] == 7


REOPENED = """
import pathlib, sys
file, seen = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[0] + ".seen")
before = seen.read_text() if seen.exists() else ""
text = file.read_text()
seen.write_text(before + text)
old, new = [("36", "old"), ("old", '"x"'), LAST][before.count("# User ada")]
file.write_text(text.replace(old, new))
"""


@pytest.mark.parametrize(("last", "code", "age"), [(('"x"', "37"), 0, 37), (("", ""), 1, 36)])
def test_on_a_terminal_the_editor_opens_again_and_shows_what_is_wrong(
    path, tmp_path, temporary_files, monkeypatch, last, code, age
):
    program = tmp_path / "editor.py"
    program.write_text(REOPENED.replace("LAST", repr(last)))
    monkeypatch.setenv("EDITOR", f"{sys.executable} {program}")
    terminal = Terminal([sys.executable, "-m", "stones", "edit", path, "User", "ada"])
    assert terminal.finish() == code
    seen = Path(f"{program}.seen").read_text()
    assert seen.count("# User ada of ") == 3
    assert "# Invalid value for the text: it is no JSON" in seen
    assert "age: expected int, got str 'x'" in seen
    assert ("your text is in " in terminal.plain) == bool(code)
    assert stored(path)[0]["ada"] == User("ada", age)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["User", "nobody"], 3, "there is no key User nobody"),
        (["nothing"], 3, "there is no key nothing"),
        (["Uzer", "1"], 3, "there is no collection Uzer"),
        (["point", "--class", "models:User"], 2, "--class is for a record"),
    ],
)
def test_what_is_not_there_opens_no_editor(edit, editor, path, tmp_path, words, code, message):
    editor(f"pathlib.Path({str(tmp_path / 'opened')!r}).write_text(text)")
    assert message in edit(path, *words, code=code)
    assert not os.path.exists(tmp_path / "opened")


def test_an_editor_that_fails_changes_nothing(edit, path, monkeypatch):
    before = stored(path)
    for program in ("false", "no-such-editor"):
        monkeypatch.setenv("EDITOR", program)
        assert "Editing failed" in edit(path, "User", "ada", code=1)
    assert stored(path) == before
