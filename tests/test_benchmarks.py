"""The benchmarks run, and the sides that they compare give the same answers.

A benchmark raises an AssertionError if its sides differ. The figures do not matter here: there are
few records, and each side is measured once.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

BENCHMARKS = Path(__file__).parent / "benchmarks"


def run(tmp_path: Path, script: str, *arguments: str) -> list[str]:
    """The lines that a benchmark prints."""
    done = subprocess.run(
        [sys.executable, BENCHMARKS / script, *arguments],
        cwd=tmp_path,
        env={**os.environ, "RECORDS": "300", "ROUNDS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


DRAWN = """
import json
from plot import drawings
print(json.dumps({str(path): text for path, text in drawings().items()}))
"""


def test_the_pictures_of_the_docs_are_those_of_the_figures_beside_them():
    """`python tests/benchmarks/plot.py` draws them anew, once the drawing has changed."""
    done = subprocess.run(
        [sys.executable, "-c", DRAWN], cwd=BENCHMARKS, capture_output=True, text=True, check=True
    )
    drawn = json.loads(done.stdout)
    assert len(drawn) == 6
    for path, text in drawn.items():
        assert Path(path).read_text() == text
        assert len(text) < 100_000
        root = ET.fromstring(text)
        assert root.find("{http://www.w3.org/2000/svg}title").text
        assert "prefers-color-scheme: dark" in text
        assert "href" not in text


def test_every_filter_finds_the_same_in_a_collection_by_hand_and_in_sqlite(tmp_path):
    lines = run(tmp_path, "run.py", "count by", "dicts by")
    assert len([line for line in lines if "raw scan" in line]) == 18
    assert len([line for line in lines if "JSON in text" in line]) == 18


def test_a_filter_finds_as_much_as_jsonpath_ng_does(tmp_path):
    assert len(run(tmp_path, "run.py", "predicate", "find $")) >= 6


def test_indexes_find_the_same_in_a_collection_and_by_hand(tmp_path):
    assert len(run(tmp_path, "run.py", "index")) >= 5


def test_records_are_added_and_indexes_built_on_all_sides(tmp_path):
    assert len(run(tmp_path, "run.py", "add_many", "build")) >= 6


def test_lines_of_json_are_imported_as_add_many_adds_the_records(tmp_path):
    assert len(run(tmp_path, "run.py", "import lines")) >= 2


def test_plain_values_are_read_and_written_in_a_store_and_by_hand(tmp_path):
    lines = run(tmp_path, "run.py", "250 bytes", "into a full", "into an empty")
    assert len([line for line in lines if "msgpack-python" in line]) == 8


def test_packed_values_are_read_in_a_store_and_by_hand(tmp_path):
    lines = run(tmp_path, "run.py", "zstd", "AES-GCM")
    assert len([line for line in lines if "the same store, plain" in line]) == 7
    assert len([line for line in lines if "the same records, plain" in line]) == 12


def test_peers_find_the_same_as_a_collection(tmp_path):
    table = run(tmp_path, "compare_peers.py", "lmdb", "sqlite_json")
    assert [line.split(" |")[0] for line in table[-3:]] == [
        "| stones",
        "| py-lmdb and msgpack by hand",
        "| sqlite3 and JSON",
    ]


def test_a_table_in_markdown_has_the_goal_of_each_benchmark(tmp_path):
    table = run(tmp_path, "run.py", "--markdown", "Collection[key]")
    assert table[-1].startswith("| Collection[key] |")
    assert "| <= 1.3 |" in table[-1]


def test_a_migration_re_encodes_as_many_values_as_a_bare_loop(tmp_path):
    lines = run(tmp_path, "run.py", "migrate ")
    assert len([line for line in lines if "bare loop" in line]) == 6


def test_the_pages_of_a_store_are_timed_beside_the_calls_that_they_make(tmp_path):
    lines = [line for line in run(tmp_path, "run.py", "page: ") if line.startswith("page: ")]
    assert len([line for line in lines if ", the call" in line]) == len(lines) / 2 == 7
