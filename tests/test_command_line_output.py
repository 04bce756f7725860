"""The forms in which commands print: tables on a terminal, JSON and CSV in pipes; progress bars."""

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from textwrap import dedent

import pytest

from stones import stone
from stones.formats.serializers import serializer

from .terminal import Terminal

ROWS = """
from datetime import date
rows = [
    {"id": 1, "name": "Ada", "born": date(1815, 12, 10), "tags": ["a", None], "note": None},
    {"id": 20, "name": "\\x1b[31mred\\x9b\\U000e0001\\u202e", "born": None, "raw": b"\\x00x"},
]
names = ["id", "name", "born", "tags", "note", "raw"]
"""


def program(code):
    code = dedent(code)
    start = "from stones.command_line.output import print_facts, print_rows\n"
    return [sys.executable, "-c", start + ROWS + code]


def piped(code, env=None):
    """What the code prints into a pipe."""
    env = {**os.environ, **(env or {})}
    return subprocess.run(program(code), capture_output=True, check=True, env=env).stdout.decode()


def on_terminal(code, *, env=None, **options):
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "PAGER")} | (
        env or {}
    )
    terminal = Terminal(program(code), env=env, **options)
    assert terminal.finish() == 0, terminal.shown
    return terminal


def test_rows_in_a_pipe_are_lines_of_json():
    lines = piped("print_rows(rows)").splitlines()
    assert lines[0] == (
        '{"id":1,"name":"Ada","born":{"$date":"1815-12-10"},"tags":["a",null],"note":null}'
    )
    assert serializer("json").decode(lines[1].encode())["raw"] == b"\x00x"


def test_json_is_one_array():
    assert [row["id"] for row in json.loads(piped("print_rows(rows, form='json')"))] == [1, 20]
    assert piped("print_rows([], form='json')") == "[]\n"


def test_rows_are_printed_while_they_come():
    code = """
    def endless():
        while True:
            yield {"number": 1}
    print_rows(endless(), form="json")
    """
    child = subprocess.Popen(program(code), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert [child.stdout.readline() for _ in range(2)] == [b'[{"number":1},\n', b' {"number":1},\n']
    child.kill()
    child.communicate()


def test_columns_choose_and_order_the_fields_of_each_form():
    assert piped("print_rows(rows, ['note', 'id'])") == '{"note":null,"id":1}\n{"id":20}\n'
    assert piped("print_rows(rows, ['note', 'id'], form='csv')") == "note,id\r\n,1\r\n,20\r\n"


def test_csv_has_the_cells_of_an_export():
    rows = [*csv.reader(io.StringIO(piped("print_rows(rows, names, form='csv')")))]
    assert rows[:2] == [
        ["id", "name", "born", "tags", "note", "raw"],
        ["1", "Ada", "1815-12-10", '["a",null]', "", ""],
    ]
    assert piped("print_rows([], ['a'], form='csv')") == "a\r\n"


def test_a_table_in_a_pipe_is_whole_and_has_no_colours():
    shown = piped("print_rows([{'a': 1, 'long': 'x' * 300}], form='table')")
    assert "x" * 300 in shown
    assert "\x1b" not in shown


def test_rows_on_a_terminal_are_a_table():
    shown = on_terminal("print_rows(rows, names, title='two')", columns=100)
    lines = [line.rstrip() for line in shown.plain.splitlines()]
    assert lines[:2] == [
        "two",
        "id  name                             born        tags        note  raw",
    ]
    assert lines[3] == ' 1  Ada                              1815-12-10  ["a",null]  None'
    assert lines[4] == r"20  \x1b[31mred\x9b\U000e0001\u202e  None                          \x00x"
    assert "\x1b[1m" in shown.shown


@pytest.mark.parametrize("form", ["json", "jsonl", "csv", "table"])
def test_no_control_character_of_a_value_reaches_a_terminal(form):
    code = f"print_rows(rows, names, form={form!r}); print_facts(rows[1], {form!r})"
    shown = on_terminal(code, env={"NO_COLOR": "1"}, columns=100).shown
    allowed = re.sub(r"\x1b\[[012]m", "", shown)  # bold and dim
    assert all(c.isprintable() or c in "\r\n" for c in allowed)


def test_json_on_a_terminal_is_still_the_same_json():
    shown = on_terminal("print_rows(rows, form='json')").shown
    assert json.loads(shown)[1]["name"] == "\x1b[31mred\x9b\U000e0001\u202e"


def test_a_table_fits_into_the_width_of_the_terminal():
    code = "print_rows([{'id': 7, 'one': 'x' * 90, 'two': 'y' * 90}])"
    lines = on_terminal(code, columns=60).plain.splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[-1].startswith(" 7  xxxx")
    assert lines[-1].count("…") == 2


def test_a_row_with_many_fields_is_a_block():
    lines = on_terminal("print_rows(rows, names)", columns=30).plain.splitlines()
    assert lines[:3] == ["id    1", "name  Ada", "born  1815-12-10"]
    assert lines[5:7] == ["", "id    20"]


def test_a_long_table_goes_to_the_pager_and_a_short_one_does_not():
    env = {"PAGER": "head -1"}
    long = "print_rows({'n': n} for n in range(100_000))"
    assert len(on_terminal(long, env=env).plain.splitlines()) == 1
    short = long.replace("100_000", "10")
    assert len(on_terminal(short, env=env).plain.splitlines()) == 12


def test_facts_are_lines_on_a_terminal_and_an_object_elsewhere():
    code = "print_facts({'records': 3, 'name': 'Ada'})"
    assert on_terminal(code).plain.splitlines() == ["records  3", "name     Ada"]
    assert piped(code) == '{"records":3,"name":"Ada"}\n'
    assert (
        piped("print_facts({'a': (1,)}, 'json')")
        == '{\n  "a": {\n    "$tuple": [\n      1\n    ]\n  }\n}\n'
    )


# -- progress bars ---------------------------------------------------------------------------------

WORK = """
from stones.command_line.progress import progress_bar
import sys, time
with progress_bar("work", "entries") as move:
    print(move is None, flush=True)
    for done in range(0, 101, 10):
        if move is not None:
            move(done, {total})
        time.sleep(0.05)
print("rich" in sys.modules)
"""


def test_a_bar_shows_the_rate_and_the_time_left():
    terminal = Terminal(program(WORK.replace("{total}", "100")), stdout=subprocess.DEVNULL)
    terminal.read_until(r"work ━+.* +[1-9]0% +\d+ entries/s 0:00:0\d")
    assert terminal.finish() == 0
    assert "100%" in terminal.plain
    assert terminal.shown.endswith("\x1b[?25h")  # the cursor is back


def test_a_bar_without_an_end_shows_what_is_done():
    terminal = Terminal(program(WORK.replace("{total}", "None")), stdout=subprocess.DEVNULL)
    terminal.finish()
    assert "work" in terminal.plain
    assert "entries/s" in terminal.plain


def test_there_is_no_bar_and_no_rich_if_stderr_is_no_terminal():
    assert piped(WORK.replace("{total}", "100")) == "True\nFalse\n"


LONG_WORK = {
    "check": ["check", "{db}"],
    "check of SQLite": ["check", "sqlite:{db}.sqlite"],
    "backup": ["backup", "{db}", "{db}-backup"],
    "backup of SQLite": ["backup", "sqlite:{db}.sqlite", "{db}-of-sqlite"],
    "compact": ["compact", "{db}"],
    "salvage": ["salvage", "{db}", "{db}-new"],
    "copy": ["copy", "{db}", "sqlite:{db}-copy"],
    "export": ["export", "{db}", "-o", "{db}.jsonl"],
    "import": ["import", "{db}.lines", "{db}-imported"],
    "migrate": ["migrate", "{db}", "--to", "cbor"],
}


@pytest.fixture(scope="module")
def full_store(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("long") / "db")
    for place in (f"lmdb:{path}", f"sqlite:{path}.sqlite"):
        with stone(place, serialize="json") as store:
            store.update({f"{number:05}": "x" * 100 for number in range(3000)})
    lines = (f'{{"key": "{number}", "value": {number}}}\n' for number in range(3000))
    with open(f"{path}.lines", "w") as file:
        file.writelines(lines)
    return path


def stones(full_store, arguments):
    code = "from stones.command_line.main import main; main()"
    arguments = [each.replace("{db}", full_store) for each in arguments]
    if arguments[0] == "import":
        arguments += ["--kind", "jsonl"]
    return [sys.executable, "-c", code, *arguments]


@pytest.mark.parametrize("name", LONG_WORK)
def test_long_work_draws_a_bar_on_a_terminal(full_store, name):
    terminal = Terminal(stones(full_store, LONG_WORK[name]), columns=100)
    assert terminal.finish() == 0, terminal.shown
    label = {"migrate": "cbor"}.get(name, name.split()[0])
    done = r"3,000" if name == "import" else r"100%"
    assert re.search(rf"{label} ━+ +{done}", terminal.plain), terminal.plain


def test_an_export_to_a_pipe_draws_a_bar_and_one_to_the_terminal_does_not(full_store, tmp_path):
    command = stones(full_store, ["export", "{db}"])
    with open(tmp_path / "rows", "w") as rows:
        terminal = Terminal(command, stdout=rows)
        assert terminal.finish() == 0
    assert "export ━" in terminal.plain
    assert len((tmp_path / "rows").read_text().splitlines()) == 3000
    terminal = Terminal(command)
    assert terminal.finish() == 0
    assert "━" not in terminal.plain


def test_an_interrupt_leaves_the_cursor_and_one_line(full_store):
    terminal = Terminal(program(WORK.replace("{total}", "100").replace("0.05", "5")))
    terminal.read_until("work ━")
    terminal.process.send_signal(signal.SIGINT)
    terminal.finish()
    assert "\x1b[?25h" in terminal.shown
