"""Stories of a store that is shared: by handles, forked children, and processes that are killed.

The model is a dict of the entries and one of the records of a collection beside them. What is done
is plain data, a list of steps, so that any process can do it, and the model too. The stories of one
handle, block by block, are in test_stateful. STONES_EXAMPLES=2000 tells more of them.
"""

import os
import signal
from contextlib import suppress
from multiprocessing import get_context
from tempfile import TemporaryDirectory

import pytest
from attrs import define
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stones import Collection, LmdbStore, MemoryStore, ReservedKeyError, key, migrate
from stones.repair.info import inspect

# A folder in memory, if there is one: nothing here is about the disk.
FOLDERS = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
EXAMPLES = int(os.environ.get("STONES_EXAMPLES", "40"))


@define
class Person:
    name: str = key()
    age: int


# -- what is done ----------------------------------------------------------------------------------

keys = st.sampled_from([b"a", b"b", b"c", b"Person", b"Person0", b"\xff", b"x" * 511])
names = st.sampled_from(["ada", "bob", "carl"])
values = st.sampled_from(
    [None, 0, 1 << 70, "text", b"\x00", (1, {2}), [], {"a": [1.5]}, "x" * 5000]
)
ages = st.integers(0, 9)
step = st.one_of(
    st.tuples(st.just("put"), keys, values),
    st.tuples(st.just("delete"), keys),
    st.tuples(st.just("add"), names, ages),
    st.tuples(st.just("remove"), names),
    st.tuples(st.just("age"), names, ages),
    st.tuples(st.just("clear people")),
)
steps = st.lists(step | step | st.tuples(st.just("clear")), min_size=1, max_size=5)


def do(store, steps):
    """The steps, one by one, on a store."""
    people = Collection(store, Person)
    for what, *about in steps:
        match what:
            case "put":
                store[about[0]] = about[1]
            case "delete":
                store.delete(*about)
            case "add":
                people.put(Person(*about))
            case "remove":
                people.delete(*about)
            case "age":
                with suppress(KeyError):
                    people.update(about[0], age=about[1])
            case "clear people":
                people.clear()
            case "clear":
                store.clear()


@define
class Model:
    entries: dict
    people: dict

    def after(self, steps):
        """What it is after the steps, another one."""
        entries, people = dict(self.entries), dict(self.people)
        for what, *about in steps:
            match what:
                case "put":
                    entries[about[0]] = about[1]
                case "delete":
                    entries.pop(about[0], None)
                case "add":
                    people[about[0]] = about[1]
                case "remove":
                    people.pop(about[0], None)
                case "age" if about[0] in people:
                    people[about[0]] = about[1]
                case "clear people":
                    people.clear()
                case "clear":
                    entries.clear()
                    people.clear()
        return Model(entries, people)


def model_of(view):
    """What is in a store or a snapshot; its entries, records and counts have to agree."""
    entries = dict(view.items())
    records = {key: entries.pop(key) for key in list(entries) if key.startswith(b"Person/")}
    people = Collection(view, Person)
    found = {name: person.age for name, person in people.items()}
    assert records == {
        f"Person/{name}".encode(): {"name": name, "age": age} for name, age in found.items()
    }
    assert len(people) == len(found)
    assert len(view) == len(entries) + len(found)
    return Model(entries, found)


class UndoError(Exception):
    """Ends a transaction."""


def do_in_transaction(store, steps, inner, inner_fails, fails):
    """The steps and, in a savepoint, the inner ones: each undone where it fails."""
    with suppress(UndoError), store.transaction():
        do(store, steps)
        with suppress(UndoError), store.transaction():
            do(store, inner)
            if inner_fails:
                raise UndoError
        if fails:
            raise UndoError


# -- on any engine ---------------------------------------------------------------------------------


class Stories(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.model = Model({}, {})
        self.snapshots = []
        self.handles = [self.open()]
        self.make_collection_known(self.handles[0])

    @staticmethod
    def make_collection_known(store):
        """The store knows the collection once it has had a record."""
        people = Collection(store, Person)
        people.delete(people.add(Person("first", 1)))

    def open(self):
        return MemoryStore(serialize="json")

    def teardown(self):
        self.close_snapshots()
        for handle in self.handles:
            handle.close()

    def handle(self, number):
        return self.handles[number % len(self.handles)]

    @rule(steps=steps, number=st.integers(0, 1))
    def do(self, steps, number):
        do(self.handle(number), steps)
        self.model = self.model.after(steps)

    @rule(
        steps=steps,
        inner=steps,
        inner_fails=st.booleans(),
        fails=st.booleans(),
        number=st.integers(0, 1),
    )
    def do_in_a_transaction(self, steps, inner, inner_fails, fails, number):
        do_in_transaction(self.handle(number), steps, inner, inner_fails, fails)
        if not fails:
            self.model = self.model.after(steps if inner_fails else steps + inner)

    @rule(name=names, number=st.integers(0, 1))
    def write_past_the_collection(self, name, number):
        store = self.handle(number)
        for write in [
            lambda key: store.put(key, {"name": name, "age": 1}),
            store.delete,
            lambda key: store.update({b"a": "undone", key: {}}),
            lambda key: store.setdefault("Person/new", {}),
        ]:
            with pytest.raises(ReservedKeyError, match="'Person'"):
                write(f"Person/{name}")

    @rule(to=st.sampled_from(["json", "cbor", "msgpack", "pickle"]), number=st.integers(0, 1))
    def migrate(self, to, number):
        migrate(self.handle(number), to)
        assert self.handle(number).stats()["serializer"] == to

    @rule(number=st.integers(0, 1))
    def take_a_snapshot(self, number):
        self.snapshots.append((self.handle(number).snapshot(), self.model))

    @rule()
    def close_snapshots(self):
        for view, _ in self.snapshots:
            view.close()
        self.snapshots = []

    @invariant()
    def every_handle_shows_the_model(self):
        for handle in self.handles:
            assert model_of(handle) == self.model
            assert handle.stats()["collections"] == {"Person": len(self.model.people)}

    @invariant()
    def snapshots_are_as_they_were(self):
        for view, model in self.snapshots:
            assert model_of(view) == model


# -- on disk: handles, children, other processes ---------------------------------------------------


def serve(path, pipe):
    """Another process: does what it is told, and acknowledges each step once it is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with LmdbStore(path) as store:
        while (told := pipe.recv()) is not None:
            what, steps = told
            if what == "migrate":
                migrate(store, steps)
                pipe.send("migrated")
                continue
            if what == "hang":
                with store.transaction():
                    do(store, steps)
                    pipe.send("in the middle")
                    pipe.recv()  # nothing comes: it is killed
            for number, each in enumerate(steps, 1):
                do(store, [each])
                pipe.send(number)


class StoriesOnDisk(Stories):
    def __init__(self):
        self.folder = TemporaryDirectory(prefix="stones-stories-", dir=FOLDERS)
        self.path = os.path.join(self.folder.name, "db")
        self.alias = os.path.join(self.folder.name, "alias")
        os.symlink("db", self.alias)
        self.helper = None
        super().__init__()

    def open(self):
        return LmdbStore(self.path)

    def teardown(self):
        self.stop_the_process(kill=False)
        super().teardown()
        self.folder.cleanup()

    @rule(alias=st.booleans())
    def close_and_reopen(self, alias):
        self.close_snapshots()
        while self.handles:
            self.handles.pop().close()
        self.handles = [LmdbStore(self.alias if alias else self.path)]

    @precondition(lambda self: len(self.handles) == 1)
    @rule()
    def open_it_by_another_name(self):
        self.handles.append(LmdbStore(self.alias))

    @precondition(lambda self: len(self.handles) == 2)
    @rule(number=st.integers(0, 1))
    def close_a_handle(self, number):
        self.handles.pop(number).close()

    @invariant()
    def all_values_are_in_the_format_that_is_written(self):
        found = inspect(self.path)
        assert not found.migrating
        assert [use.serializer for use in found.formats] == [found.serializer]

    @rule()
    def back_up_and_open_the_backup(self):
        path = os.path.join(self.folder.name, "backup")
        self.handle(0).backup(path)
        with LmdbStore(path) as backup:
            assert model_of(backup) == self.model
            backup["only in the backup"] = 1
            backup.destroy(yes_im_sure=True)

    # -- a child -------------------------------------------------------------------------------

    @rule(steps=steps, end=st.sampled_from(["close", "exit", "kill"]), number=st.integers(0, 1))
    def fork_a_child(self, steps, end, number):
        def act(store):
            do(store, steps)
            if end == "close":
                store.close()

        self.in_a_child(act, number, killed=end == "kill")
        self.model = self.model.after(steps)

    @rule(steps=steps, inner=steps, number=st.integers(0, 1))
    def fork_a_child_that_is_killed_in_a_transaction(self, steps, inner, number):
        def act(store):
            with store.transaction():
                do(store, steps)
                with store.transaction():
                    do(store, inner)
                os.kill(os.getpid(), signal.SIGKILL)

        self.in_a_child(act, number, killed=True)

    @rule(steps=steps, number=st.integers(0, 1))
    def fork_a_child_that_exits_in_a_transaction(self, steps, number):
        def act(store):
            with store.transaction():
                do(store, steps)
                os._exit(0)

        self.in_a_child(act, number, killed=False)

    def in_a_child(self, act, number, *, killed):
        child = os.fork()
        if child == 0:
            failed = 1
            try:
                act(self.handle(number))
                if killed:
                    os.kill(os.getpid(), signal.SIGKILL)
                failed = 0
            finally:
                os._exit(failed)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == (-signal.SIGKILL if killed else 0)

    # -- another process -----------------------------------------------------------------------

    def tell(self, what, steps):
        """Tell the other process, which is started first where there is none."""
        if self.helper is None:
            self.pipe, other = get_context("fork").Pipe()
            self.helper = get_context("fork").Process(target=serve, args=(self.path, other))
            self.helper.start()
            other.close()
        self.pipe.send((what, steps))

    def stop_the_process(self, *, kill):
        if self.helper is None:
            return
        if kill:
            self.helper.kill()
        else:
            self.pipe.send(None)
        self.helper.join()
        assert self.helper.exitcode == (-signal.SIGKILL if kill else 0)
        self.pipe.close()
        self.helper.close()
        self.helper = None

    @rule(steps=steps)
    def do_in_another_process(self, steps):
        self.tell("do", steps)
        assert [self.pipe.recv() for _ in steps] == list(range(1, len(steps) + 1))
        self.model = self.model.after(steps)

    @rule(steps=steps)
    def kill_another_process_in_a_transaction(self, steps):
        self.tell("hang", steps)
        assert self.pipe.recv() == "in the middle"
        self.stop_the_process(kill=True)

    @rule(steps=steps, acknowledged=st.integers(1, 5))
    def kill_another_process_that_acknowledges(self, steps, acknowledged):
        acknowledged = min(acknowledged, len(steps))
        self.tell("do", steps)
        for _ in range(acknowledged):
            self.pipe.recv()
        self.stop_the_process(kill=True)
        # What it had acknowledged is there, and of the rest a beginning.
        possible = [self.model.after(steps[:done]) for done in range(acknowledged, len(steps) + 1)]
        found = model_of(self.handle(0))
        assert found in possible
        self.model = found

    @rule(to=st.sampled_from(["json", "cbor", "msgpack"]))
    def migrate_in_another_process(self, to):
        self.tell("migrate", to)
        assert self.pipe.recv() == "migrated"

    @rule()
    def end_the_other_process(self):
        self.stop_the_process(kill=False)


@pytest.mark.parametrize("machine", [Stories, StoriesOnDisk])
def test_nothing_is_lost_and_nothing_is_half_done_whatever_the_story(machine):
    run_state_machine_as_test(
        machine, settings=settings(max_examples=EXAMPLES, stateful_step_count=25)
    )
