"""An interrupt at any point where Python lets one in: all is undone, and others can write.

Python looks for an interrupt where it enters a function, and after each call of C code. A profiler
is told of just these points, so it can raise KeyboardInterrupt at each of them in turn.
"""

import sys
from itertools import count

import pytest

from stones import LmdbStore
from stones.testing import in_thread

FOLDERS = ("stones", "contextlib")


def is_interrupted(action, number: int) -> bool:
    """Run `action`, and interrupt it at the point with that number. Did it come to that point?"""
    points = count()
    interrupted = False

    def interrupt(frame, event, argument):
        nonlocal interrupted
        ours = any(folder in frame.f_code.co_filename for folder in FOLDERS)
        if ours and event in ("call", "c_return") and next(points) == number:
            sys.setprofile(None)
            interrupted = True
            raise KeyboardInterrupt

    before = sys.getprofile()
    sys.setprofile(interrupt)
    try:
        action()
    except KeyboardInterrupt:
        assert interrupted
    finally:
        sys.setprofile(before)
    return interrupted


def write_in_blocks(store, number):
    with store.transaction():
        store["a"] = number
        with store.transaction():
            store["b"] = number


def put(store, number):
    store["a"] = number


def update(store, number):
    store.update(a=number, b=number)


def transact(store, number):
    def change():
        store["a"] = number
        store.transact(lambda: store.put("b", number))

    store.transact(change)


@pytest.mark.parametrize("action", [write_in_blocks, put, update, transact])
def test_an_interrupt_at_any_point_leaves_no_lock_behind(tmp_path, action):
    with LmdbStore(tmp_path / "db", durability="none") as store:
        store.update(a=-1, b=-1)
        for number in count():
            before = dict(store)
            interrupted = is_interrupted(lambda number=number: action(store, number), number)
            assert dict(store) == before or store["a"] == number
            if action is not put:
                assert store["a"] == store["b"]
            assert in_thread(lambda number=number: store.put("other", number)) == [True]
            if not interrupted:
                break
        assert number > 20
        assert store["a"] == number
