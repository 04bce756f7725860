"""The command line in a shell: pipes, closed streams, completion, wrong commands and options."""

import os
import subprocess
import sys

import pytest

from stones import Collection, LmdbStore
from stones.formats.json_serializer import decode
from stones.formats.tags import BY_NAME

from .test_command_line import STONES, User, run_process

PROGRAM = (
    f'stones() {{ {sys.executable} -c "from stones.command_line.main import main; main()" "$@"; }}'
)


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "db")
    with LmdbStore(path, serialize="json") as store:
        store.update({f"{number:05}": "x" * 100 for number in range(5_000)}, big="x" * 1_000_000)
        Collection(store, User).add(User("ada", "Ada"))
    return path


def in_shell(line, **options):
    """The exit code of a line of bash, and what it prints on stdout and stderr."""
    done = subprocess.run(
        ["bash", "-c", f"{PROGRAM}\n{line}"], capture_output=True, text=True, check=False, **options
    )
    return done.returncode, done.stdout, done.stderr


PRINTING = [
    "keys {}",
    "keys {} --typed",
    "get {} big",
    "get {} big --json",
    "get {} big --raw",
    "info {}",
    "info {} --json",
    "check {}",
    "check {} --json",
    "migrate {} --checksums",
    "salvage {} {}-new",
    "--help",
    "--version",
    "keys --help",
    "shell {} -c 'for key in store: print(key)'",
    "",
]


@pytest.mark.parametrize("command", PRINTING)
def test_a_command_ends_quietly_when_nobody_reads_its_output(path, command):
    command = command.replace("{}", path)
    code, _, errors = in_shell(f"stones {command} | true; exit ${{PIPESTATUS[0]}}")
    assert code in (0, 141)
    assert errors == ""


def test_the_first_lines_are_there_and_the_rest_is_not_computed(path):
    code, out, errors = in_shell(f"stones keys {path} | head -2; exit ${{PIPESTATUS[0]}}")
    assert (code, out, errors) == (141, "00000\n00001\n", "")


@pytest.mark.parametrize("command", PRINTING)
def test_a_command_ends_quietly_if_stdout_is_closed(path, command):
    command = command.replace("{}", path)
    assert in_shell(f"stones {command} >&-") == (0, "", "")


def test_a_store_is_not_overwritten_by_what_goes_to_a_closed_stream(path):
    assert in_shell(f"stones put {path} key 1 <&- >&- 2>&-")[0] == 0
    assert in_shell(f"stones get {path} nothing <&- >&- 2>&-")[0] == 3
    assert in_shell(f"stones migrate {path} --to cbor <&- >&- 2>&-")[0] == 0
    assert run_process("check", path)[:2] == (0, f"{path} is sound: 5,003 values\n".encode())


def test_an_error_that_nobody_reads_still_has_its_exit_code(path):
    assert in_shell(f"stones get {path} nothing 2>&-") == (3, "", "")
    line = f"stones get {path} nothing 2>&1 >/dev/null | true; exit ${{PIPESTATUS[0]}}"
    assert in_shell(line) == (3, "", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gte", "db", "key"], "there is no command 'gte': did you mean get?; see `stones --help`"),
        (["kyes"], "there is no command 'kyes': did you mean keys?; see `stones --help`"),
        (["frobnicate"], "there is no command 'frobnicate'; see `stones --help`"),
        (["--hepl"], "there is no option --hepl: did you mean --help?; see `stones --help`"),
        (
            ["get", "db", "k", "--jsn"],
            "no option --jsn: did you mean --json?; type -- before a key",
        ),
        (["get", "db", "-key"], "type -- before a key that starts with a dash; see `stones get --"),
        (["put", "db", "k", "1", "--txt"], "there is no option --txt: did you mean --text?"),
        (
            ["keys", "db", "--limt", "1"],
            "there is no option --limt: did you mean --limit?; see `st",
        ),
        (["info", "db", "--jsn"], "did you mean --json?; see `stones info --help`"),
        (["get"], "Missing argument 'PATH'; see `stones get --help`"),
        (["get", "db"], "see `stones get --help`"),
        (["put", "db", "k"], "Missing argument 'VALUE'; see `stones put --help`"),
        (["keys", "db", "--limit", "9x"], "'9x' is not a number of 0 or more; see `stones keys --"),
        (["migrate", "db"], "say what to change"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_one_line_with_the_way_to_help(arguments, message):
    code, out, errors = run_process(*arguments)
    assert (code, out) == (2, b"")
    assert message in errors
    assert errors.startswith("stones: ")
    assert errors.count("\n") == 1


WRONG_TAGS = {
    "tuple": ["1", '"ab"', "null", '{"a": 1}'],
    "set": ["1", '"ab"', "[[1]]", '{"a": 1}'],
    "frozenset": ["1", '"ab"', "[[1]]", '{"a": 1}'],
    "int": ["1", '"12"', '"x"', "[1]"],
    "datetime": ["1", '"never"', "[1, 2]", '["2024-05-06"]', '"2024-05-06[No/Where]"'],
    "date": ["1", '"never"', "[]", '"2024-02-30"'],
    "time": ["1", '"never"', "[]"],
    "timedelta": ["1", "[1]", '["a", "b", "c"]', "[999999999999, 0, 0]"],
    "Decimal": ["1.5", '"x"', "[]"],
    "UUID": ["1", '"x"', "[]"],
    "float": ["1", '"x"', "[]"],
    "bytes": ["1", '"é"', '"a"', "[]"],
    "str": ["1", '"a"', "[]"],
    "dict": ["1", "[1]", "[[1]]", '["ab"]', "[[[1], 2]]", '{"a": 1}'],
    "nothing": ["1"],
    "": ["1"],
}


def test_each_tag_is_among_the_wrong_ones():
    assert WRONG_TAGS.keys() >= {name for name, tag in BY_NAME.items() if tag.code <= 14}


@pytest.mark.parametrize("name", WRONG_TAGS)
def test_a_tag_with_a_wrong_value_is_refused_by_what_it_takes(tmp_path, name):
    path = str(tmp_path / "db")
    LmdbStore(path, serialize="json").close()
    for value in WRONG_TAGS[name][:2]:
        code, out, errors = run_process("put", path, "x", f'{{"${name}": {value}}}')
        assert (code, out) == (2, b"")
        assert f"${name}" in errors
    with LmdbStore(path, readonly=True) as store:
        assert len(store) == 0


@pytest.mark.parametrize("name", WRONG_TAGS)
def test_the_error_for_a_tag_names_no_part_of_python(name):
    for value in WRONG_TAGS[name]:
        with pytest.raises(ValueError, match=rf"^'?\${name}'? ") as found:
            decode(f'[{{"a": {{"${name}": {value}}}}}]'.encode())
        assert type(found.value) is ValueError
        assert ("takes" in str(found.value)) != (name in ("nothing", "") or "Where" in value)
        assert "object" not in str(found.value)


def test_ints_of_any_number_of_digits_are_typed_and_shown(tmp_path):
    path, digits = str(tmp_path / "db"), "-" + "9" * 6000
    LmdbStore(path, serialize="json").close()
    assert run_process("put", path, "big", digits) == (0, b"", "")
    assert run_process("put", path, "many", f'{{"a": [{digits}]}}') == (0, b"", "")
    assert run_process("get", path, "big") == (0, f"{digits}\n".encode(), "")
    code, out, _ = run_process("get", path, "many")
    assert (code, digits in out.decode()) == (0, True)
    code, out, _ = run_process("get", path, "many", "--json")
    assert run_process("put", path, "copy", out) == (0, b"", "")
    with LmdbStore(path, readonly=True) as store:
        assert store["copy"] == store["many"] == {"a": [-(10**6000) + 1]}
    assert len(run_process("keys", path, "--limit", "9" * 6000)[1].split()) == 3
    for wrong in ("get", "delete"):
        code, _, errors = run_process(wrong, path, "Note", digits)
        assert code == 3
        assert "there is no collection Note" in errors


def test_a_path_that_is_not_utf8_can_be_used_and_shown(tmp_path):
    path = os.fsencode(tmp_path) + b"/db-\xff"
    with LmdbStore(path, serialize="json") as store:
        store["key"] = 1
    assert run_process("get", path, "key") == (0, b"1\n", "")
    code, out, errors = run_process("info", path)
    assert (code, errors) == (0, "")
    assert rb"/db-\udcff" in out.split(b"\n")[0]
    code, _, errors = run_process("info", path + b"2")
    assert code == 1
    assert r"/db-\udcff2'" in errors
    assert run_process("backup", path, path + b"-copy") == (0, b"", "")
    assert run_process("salvage", path, path + b"-new")[::2] == (0, "")
    assert run_process("check", path + b"-copy")[::2] == (0, "")


def completions(*words):
    """What bash offers for the last of the words, by the function that `stones` gives it."""
    setup = 'eval "$(_STONES_COMPLETE=bash_source stones)"'
    line = (
        f"COMP_LINE='{' '.join(words)}'; COMP_POINT=${{#COMP_LINE}}; "
        f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
    )
    program = f'{setup}\n{line}_stones_completion stones; echo "${{COMPREPLY[@]}}"'
    done = subprocess.run(
        ["bash", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"},
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_options_and_names():
    assert completions("stones", "sal") == ["salvage"]
    assert completions("stones", "keys", "db", "--ty") == ["--typed"]
    assert completions("stones", "get", "db", "key", "--js") == ["--json"]
    assert completions("stones", "migrate", "db", "--to", "c") == ["cbor"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_completion_for_each_shell(shell):
    done = subprocess.run(
        STONES,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "_STONES_COMPLETE": f"{shell}_source"},
    )
    assert "_stones_completion" in done.stdout
