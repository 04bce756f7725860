"""Files of steps: how they are loaded, and the commands `stones migrations ...` that run them."""

import json
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from attrs import define

from stones import Collection, LmdbStore, MigrationError, key, load_migrations, stone
from stones.engine import Space

RENAME = """
from stones import Migration
collection = 'User'
migration = Migration(1, rename={'mail': 'email'})
"""
DROP = """
from stones import Migration
collection = 'User'
migration = Migration(2, drop=['legacy'])
"""


@define
class User:
    name: str = key()
    mail: str
    legacy: int = 0


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "migrations"


@pytest.fixture
def write(folder):
    """Writes a file of the folder."""
    folder.mkdir()

    def write(name, text):
        Path(folder, name).write_text(dedent(text))

    return write


@pytest.fixture
def app(tmp_path, monkeypatch):
    """The name of a module with the class `User` as it is after all steps."""
    name = f"app_{tmp_path.name}".replace("-", "_")
    text = """
    from attrs import define
    from stones import key

    @define
    class User:
        name: str = key()
        email: str
    """
    Path(tmp_path, f"{name}.py").write_text(dedent(text))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


def opened(place):
    return stone(place, None if ":" in place else LmdbStore, serialize="json")


@pytest.fixture(params=["lmdb", "sqlite"])
def place(request, tmp_path):
    """The path or URL of a store with two users of the old class."""
    place = str(tmp_path / "db") if request.param == "lmdb" else f"sqlite:{tmp_path}/app.db"
    with opened(place) as store:
        users = Collection(store, User)
        users.add_many([User("ada", "ada@x", 1), User("bob", "bob@x", 2)])
    return place


# -- loading ---------------------------------------------------------------------------------------


def test_the_steps_of_a_collection_are_loaded_in_the_order_of_their_numbers(folder, write):
    write("0002_drop.py", DROP)
    write("0001_rename.py", RENAME)
    write("0001_notes.py", RENAME.replace("'User'", "'Note'"))
    write("__init__.py", "raise ZeroDivisionError")
    write("helpers.py", "raise ZeroDivisionError")
    assert [step.number for step in load_migrations(folder, "User")] == [1, 2]
    assert [step.number for step in load_migrations(folder, "Note")] == [1]
    assert load_migrations(folder, "Other") == []


WRONG = {
    "no collection": ("migration = 1", r"0001_one.py: it does not set 'collection'"),
    "no migration": ("collection = 'User'", r"0001_one.py: it does not set 'migration'"),
    "another thing": (
        "collection = 'User'\nmigration = 5",
        r"'migration' is int 5: write migration = Migration\(1, ...\)",
    ),
    "another number": (DROP, r"Migration\(2, ...\), and the number of the file is 1"),
    "a syntax error": ("collection = ", r"0001_one.py: it cannot be run: line 1: invalid syntax"),
    "an exception": ("1 / 0", r"0001_one.py: it cannot be run: .*division by zero"),
    "a wrong step": (
        "from stones import Migration\nMigration(1)",
        r"it cannot be run: .*it changes nothing",
    ),
    "a wrong class": (RENAME + "\nrecord = 5", "'record' is a class or 'app.models:User', not 5"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_no_step_is_named(folder, write, text, message):
    write("0001_one.py", text)
    with pytest.raises(MigrationError, match=message):
        load_migrations(folder, "User")


def test_two_files_with_one_number_a_gap_and_a_missing_folder_are_named(folder, write, tmp_path):
    write("0001_rename.py", RENAME)
    write("0001_also.py", RENAME)
    with pytest.raises(MigrationError, match=r"0001_also.py and 0001_rename.py are both step 1"):
        load_migrations(folder, "User")
    (folder / "0001_also.py").unlink()
    write("0003_drop.py", DROP.replace("2,", "3,"))
    with pytest.raises(MigrationError, match=r"have a gap: .* and step 2 is missing"):
        load_migrations(folder, "User")
    with pytest.raises(MigrationError, match="cannot be read: No such file"):
        load_migrations(tmp_path / "nowhere", "User")


def test_the_steps_of_what_is_no_name_and_a_class_that_is_no_class_are_refused(run, place, folder):
    folder.mkdir()
    with pytest.raises(MigrationError, match="takes the name of a collection, not type"):
        load_migrations(folder, User)
    order = ["migrations", "verify", place, "--folder", folder, "--class", "json:dumps"]
    assert "'json:dumps' is function" in run(*order, code=1)


# -- the commands ----------------------------------------------------------------------------------


def test_a_change_goes_from_plan_to_new_to_run_to_verify(run, place, folder, app):
    options = ("--folder", folder, "--class", f"{app}:User")
    folder.mkdir()
    planned = run_with_code(run, "migrations", "plan", place, *options)
    assert "mail is not in the class any more, its name may be email now" in planned
    assert "Migration(1, rename={'mail': 'email'}, drop=['legacy'])" in planned

    written = run("migrations", "new", place, *options)
    assert written == f"written: {folder}/0001_user_rename_mail.py\n"
    assert run("migrations", "plan", place, "--folder", folder) == (
        "User 1: rename mail to email, drop legacy\n"
    )
    assert run("migrations", "status", place, "--folder", folder) == (
        "User 1: pending: rename mail to email, drop legacy\n"
    )
    assert run("migrations", "run", place, "--folder", folder, "--dry-run") == (
        "User: step 1: 2 of 2 records would change\n"
    )
    assert run("migrations", "run", place, "--folder", folder) == (
        "User: step 1: 2 of 2 records changed\n"
    )
    assert run("migrations", "run", place, "--folder", folder) == "User: no step is pending\n"
    assert run("migrations", "verify", place, "--folder", folder) == (
        "User: the class reads all records\n"
    )
    assert "{'name': 'ada', 'email': 'ada@x'}" in run("get", place, "User", "ada")


def run_with_code(run, *arguments, code=1):
    """What a command prints on stdout that exits with this code."""
    import io

    from stones.command_line.main import main

    out = io.StringIO()
    arguments = [str(argument) for argument in arguments]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as exit:
        patch.setattr(sys, "argv", ["stones", *arguments])
        patch.setattr(sys, "stdout", out)
        main()
    assert exit.value.code == code
    return out.getvalue()


def test_without_a_class_the_dicts_are_stored_as_the_steps_give_them(run, place, folder, write):
    write("0001_rename.py", RENAME)
    assert "2 of 2 records changed" in run("migrations", "run", place, "--folder", folder)
    with opened(place) as store:
        assert store["User/ada"] == {"name": "ada", "email": "ada@x", "legacy": 1}


def test_an_interrupted_run_goes_on_when_it_is_run_again(run, place, folder, write, tmp_path):
    text = f"""
    from pathlib import Path
    from stones import Migration
    collection = 'User'
    interrupted, calls = Path({str(tmp_path / "interrupted")!r}), []
    def change(user):
        calls.append(user)
        if len(calls) > 3 and not interrupted.exists():  # two were to try the step
            interrupted.touch()
            raise KeyboardInterrupt
        return user | {{'legacy': user['legacy'] + 1}}
    migration = Migration(1, change=change)
    """
    write("0001_change.py", text)
    assert run("migrations", "run", place, "--folder", folder, code=130) == (
        "stones: interrupted: each record can be read; run this again to go on\n"
    )
    assert "pending" not in run("migrations", "status", place, "--folder", folder)
    assert "records changed" in run("migrations", "run", place, "--folder", folder)
    with opened(place) as store:
        assert [user["legacy"] for user in store.range(prefix="User/").values()] == [2, 3]


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_the_commands_run_on_a_server(run, request, folder, write, kind):
    if kind == "redis":
        prefix = request.getfixturevalue("redis_prefix")()
        url = request.getfixturevalue("redis_url")
        place = f"{url}{'&' if '?' in url else '?'}prefix={prefix}"
    else:
        place = request.getfixturevalue("postgres").url
    with stone(place, serialize="json") as store:
        Collection(store, User).add_many([User("ada", "ada@x"), User("bob", "bob@x")])
    write("0001_rename.py", RENAME)
    for command, shown in (
        (["plan"], "User 1: rename mail to email\n"),
        (["run"], "User: step 1: 2 of 2 records changed\n"),
        (["undo", "--to", "0"], "User: step 1: 2 of 2 records changed back\n"),
    ):
        assert run("migrations", *command, place, "--folder", folder) == shown


def test_undo_takes_steps_back(run, place, folder, write):
    write("0001_rename.py", RENAME)
    run("migrations", "run", place, "--folder", folder)
    assert run("migrations", "undo", place, "--folder", folder, "--to", "0") == (
        "User: step 1: 2 of 2 records changed back\n"
    )
    shown = json.loads(run("migrations", "status", place, "--folder", folder, "--json"))
    assert [(step["number"], step["state"]) for step in shown] == [(1, "undone")]
    with opened(place) as store:
        assert store["User/ada"]["mail"] == "ada@x"


def test_status_tells_of_a_step_whose_code_has_changed_and_of_one_without_a_file(
    run, place, folder, write
):
    write("0001_rename.py", RENAME)
    write("0002_drop.py", DROP)
    run("migrations", "run", place, "--folder", folder)
    write("0001_rename.py", RENAME.replace("'email'", "'address'"))
    assert "1: its code has changed" in run("migrations", "run", place, "--folder", folder)
    (folder / "0002_drop.py").unlink()
    lines = run("migrations", "status", place, "--folder", folder).splitlines()
    assert lines[0].startswith("User 1: changed, 20")
    assert lines[1].startswith("User 2: done, 20")
    assert lines[1].endswith("UTC, 2 records in 0.0 s, without a file: drop legacy")


def test_status_without_a_folder_shows_the_steps_that_ran(
    run, place, folder, write, tmp_path, monkeypatch
):
    write("0001_rename.py", RENAME)
    run("migrations", "run", place, "--folder", folder)
    empty = tmp_path / "elsewhere"
    empty.mkdir()
    monkeypatch.chdir(empty)
    shown = run("migrations", "status", place)
    assert shown.startswith("User 1: done, 20")
    assert shown.endswith("without a file: rename mail to email\n")
    assert run("migrations", "status", place, "--collection", "Other") == "there are no steps\n"


def test_a_dry_run_and_verify_name_the_records_that_do_not_fit(run, place, folder, write, app):
    write("0001_rename.py", RENAME + "\ndef size(text):\n    return len(text) // (len(text) - 5)\n")
    write(
        "0002_drop.py",
        f"""
        from stones import Migration
        collection = 'User'
        record = '{app}:User'
        def check(user):
            if user['name'] == 'bob':
                user['email'] = 5
            return user
        migration = Migration(2, drop=['legacy'], change=check)
        """,
    )
    shown = run_with_code(run, "migrations", "run", place, "--folder", folder, "--dry-run")
    assert "bob" in shown
    assert "email: expected str, got int 5" in shown
    assert "User: 1 record would fail" in shown
    shown = run_with_code(run, "migrations", "verify", place, "--folder", folder)
    assert "User['bob']: email: expected str, got int 5" in shown
    assert "User: 1 record cannot be read by the class" in shown


def test_verify_names_each_record_for_which_a_pending_step_fails(run, place, folder, write, app):
    write("0001_rename.py", RENAME + f"\nrecord = '{app}:User'\n")
    write(
        "0002_fail.py",
        """
        from stones import Migration
        collection = 'User'
        migration = Migration(2, convert={'name': int})
        """,
    )
    shown = run_with_code(run, "migrations", "verify", place, "--folder", folder)
    assert "User['ada']: step 2: 'name': 'ada' cannot be converted" in shown
    assert "User['bob']: step 2: 'name': 'bob' cannot be converted" in shown
    assert "User: 2 records cannot be read by the class" in shown


def test_new_writes_a_template_where_nothing_is_known(run, place, folder):
    written = run("migrations", "new", place, "--folder", folder, "--collection", "User")
    path = Path(written.removeprefix("written: ").strip())
    assert path.name == "0001_user_change.py"
    (step,) = load_migrations(folder, "User")
    with pytest.raises(Exception, match="return it"):
        step.apply({})


def test_a_wrong_command_says_what_is_missing(run, place, folder, write):
    write("0001_rename.py", RENAME)
    assert "is not known: name it with --class" in run(
        "migrations", "verify", place, "--folder", folder, code=1
    )
    assert "cannot be imported" in run(
        "migrations", "plan", place, "--folder", folder, "--class", "nowhere:User", code=1
    )
    error = run("migrations", "run", place, "--folder", "nowhere", code=1)
    assert "cannot be read: No such file or directory; `stones migrations new` makes it" in error
    for command in ("plan", "run", "verify", "new"):
        order = ["migrations", command, place, "--folder", folder, "--collection", "Usre"]
        assert "there is no collection 'Usre', and no step is for it: the store has 'User'" in run(
            *order, code=1
        )
    assert len([*folder.glob("*.py")]) == 1
    assert "did you mean status" in run("migrations", "statu", place, code=2)


def test_new_and_undo_are_for_one_collection(run, place, folder, write):
    write("0001_rename.py", RENAME)
    write("0001_notes.py", RENAME.replace("'User'", "'Note'"))
    for command in (["new"], ["undo", "--to", "0"]):
        order = ["migrations", *command, place, "--folder", folder]
        assert "say for which collection: --collection NAME" in run(*order, code=2)
    undo = ["migrations", "undo", place, "--folder", folder, "--to", "0"]
    shown = run(*undo, "--collection", "User")
    assert shown == "User: no step above 0 has run\n"


def test_verify_and_plan_tell_json(run, place, folder, write, app):
    write("0001_rename.py", RENAME + f"\nrecord = '{app}:User'\n")
    plan = json.loads(run_with_code(run, "migrations", "plan", place, "--folder", folder, "--json"))
    assert plan == [
        {
            "collection": "User",
            "pending": [{"number": 1, "name": "rename mail to email"}],
            "differs": ["legacy is not in the class any more"],
        }
    ]
    write("0002_drop.py", DROP)
    run("migrations", "run", place, "--folder", folder)
    shown = run("migrations", "verify", place, "--folder", folder, "--json")
    assert json.loads(shown) == {"User": []}
    with opened(place) as store:
        store.database.engine.write(
            lambda txn: txn.put(Space.DATA, b"User/cyd", misfit_bytes(store))
        )
    shown = run_with_code(run, "migrations", "verify", place, "--folder", folder, "--json")
    (misfit,) = json.loads(shown)["User"]
    assert (misfit["key"], "email: expected str" in misfit["message"]) == ("cyd", True)


def misfit_bytes(store):
    """The stored bytes of a record that the class cannot read."""
    return store.database.codec.encode(b"User/cyd", {"name": "cyd", "email": 5})


def test_a_run_whose_steps_do_not_lead_to_the_class_tells_of_plan(run, place, folder, write, app):
    write("0001_drop.py", DROP.replace("2,", "1,") + f"\nrecord = '{app}:User'\n")
    error = run("migrations", "run", place, "--folder", folder, code=1)
    assert "cannot read the collection 'User'" in error
    assert error.endswith("`stones migrations plan` shows what differs\n")


def test_a_run_without_steps_says_so(run, place, folder):
    folder.mkdir()
    assert run("migrations", "run", place, "--folder", folder) == "there are no steps\n"
