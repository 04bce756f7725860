"""A store outlives kills and power cuts. `make torture` is a long run, this is a short one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stones import LmdbStore, stone

RUN = Path(__file__).parent / "torture" / "run.py"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="is about processes of Linux")


def torture(*arguments):
    """Run it, without measuring the coverage of what is killed, and give what it says."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")}
    return subprocess.run(
        [sys.executable, RUN, *arguments], env=environment, capture_output=True, text=True
    )


def assert_held(run):
    assert run.returncode == 0, run.stdout + run.stderr


def assert_noticed(run):
    assert (run.returncode, "VIOLATION" in run.stdout) == (1, True), run.stdout + run.stderr


def test_a_killed_writer_loses_nothing_that_it_acknowledged():
    assert_held(torture("kills", "--rounds", "15"))


def test_a_power_cut_loses_nothing_that_was_acknowledged():
    assert_held(torture("cuts", "--rounds", "2", "--cuts", "75"))


def test_a_killed_migration_to_another_format_ends_in_the_same_bytes():
    assert_held(torture("formats", "--rounds", "2"))


def test_a_killed_copy_of_a_store_that_is_written_meanwhile_is_never_half_a_store():
    assert_held(torture("copies", "--rounds", "4"))


def test_threads_and_processes_that_begin_one_collection_lose_no_record():
    assert_held(torture("races", "--rounds", "6"))


@pytest.mark.parametrize("durability", ["lazy", "none"])
def test_a_killed_writer_loses_nothing_in_the_looser_modes_either(durability):
    assert_held(torture("kills", "--rounds", "6", "--durability", durability))


def test_a_power_cut_of_a_lazy_store_loses_nothing_that_was_synced():
    assert_held(torture("cuts", "--rounds", "2", "--cuts", "75", "--durability", "lazy"))


def test_a_power_cut_while_a_store_is_made_leaves_one_that_opens():
    assert_held(torture("making", "--rounds", "1", "--cuts", "300", "--operations", "1"))


@pytest.mark.parametrize("sabotage", ["early", "split", "index"])
def test_kills_are_noticed_by(sabotage):
    """Acknowledging before writing, writing in parts what belongs together, and losing entries."""
    assert_noticed(torture("kills", "--rounds", "15", "--sabotage", sabotage))


@pytest.mark.parametrize(
    ("sabotage", "durability"), [("early", "full"), ("nosync", "full"), ("nosync", "lazy")]
)
def test_power_cuts_are_noticed_by(sabotage, durability):
    """Acknowledging before writing, and never syncing."""
    options = ["--sabotage", sabotage, "--durability", durability]
    assert_noticed(torture("cuts", "--rounds", "2", "--cuts", "50", *options))


def test_opening_a_store_clears_the_readers_that_were_killed(tmp_path):
    program = """
import sys
from stones import LmdbStore, stone
view = stone(sys.argv[1], LmdbStore).snapshot()
print(view["key"], flush=True)
sys.stdin.read()
"""
    with stone(tmp_path / "store", LmdbStore) as store:
        store["key"] = "value"
        for _ in range(2):
            reader = subprocess.Popen(
                [sys.executable, "-c", program, tmp_path / "store"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            with reader:
                assert reader.stdout.readline() == b"value\n"
                readers = store.stats()["readers"]
                reader.kill()
        # The second found the first one dead; so there is it itself, and maybe this process.
        assert readers <= 2
