"""Generated keys: UUIDs that sort by time, and of which no two are the same."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from stones.collections.generated_keys import KeySequence, new_key


def test_a_generated_key_is_a_uuid_of_version_7_and_holds_the_time():
    key = new_key()
    assert (key.version, key.variant) == (7, uuid.RFC_4122)
    moment = datetime.fromtimestamp((key.int >> 80) / 1000, UTC)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=1)


def test_generated_keys_rise():
    keys = [new_key() for _ in range(20_000)]
    assert all(one < other for one, other in pairwise(keys))


@given(st.lists(st.integers(1, 2**48 - 1) | st.integers(1, 3), min_size=2, max_size=50))
def test_generated_keys_rise_whatever_the_clock_does(times):
    sequence = KeySequence(iter(times).__next__)
    keys = [sequence.next() for _ in times]
    assert all(one < other for one, other in pairwise(keys))
    assert {key.version for key in keys} == {7}
    assert [key.int >> 80 for key in keys] == list(accumulate(times, max))


def test_generated_keys_of_many_threads_are_all_different_and_rise_in_each():
    found: list[list[uuid.UUID]] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        found.append([new_key() for _ in range(5_000)])

    in_threads([work] * 8)
    assert len({key for keys in found for key in keys}) == 40_000
    assert all(keys == sorted(keys) for keys in found)


def in_threads(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_generated_keys_of_other_processes_are_all_different():
    program = """
from stones.collections.generated_keys import new_key
for _ in range(2000): print(new_key().hex)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    found = [process.communicate()[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert len(set().union(*found)) == 8_000


def test_generated_keys_of_a_parent_and_its_forks_are_all_different():
    new_key()
    pipes = []
    for _ in range(4):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            with open(write, "w") as pipe:
                pipe.write(" ".join(new_key().hex for _ in range(1000)))
            os._exit(0)
        os.close(write)
        pipes.append((child, read))
    keys = [new_key().hex for _ in range(1000)]
    for child, read in pipes:
        with open(read) as pipe:
            keys += pipe.read().split()
        assert os.waitpid(child, 0)[1] == 0
    assert len(set(keys)) == 5_000


def test_a_fork_while_another_thread_makes_a_key_does_not_hang_the_child():
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            new_key()

    def fork() -> None:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                signal.alarm(10)
                new_key()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        fork()
    finally:
        done.set()
        thread.join()


def test_a_signal_handler_may_ask_for_a_key_while_one_is_made():
    found = []
    before = signal.signal(signal.SIGALRM, lambda *_: found.append(new_key()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        while len(found) < 20:
            found.append(new_key())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(set(found)) == len(found)
