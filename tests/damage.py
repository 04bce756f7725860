"""Stores for tests to damage, and the pages that each of their entries is on."""

import random
from contextlib import closing
from pathlib import Path

from attrs import define

from stones import Collection, LmdbStore, key, stone
from stones.engine import Space
from stones.engines.lmdb.databases import SPACES
from stones.engines.lmdb.file.pages import LEAF, LONG, File
from stones.engines.lmdb.file.survey import Survey

DATA, META = SPACES[Space.DATA], SPACES[Space.META]
PAGE = 4096


@define
class Item:
    number: int = key()
    text: str


def make(path, *, entries, seed=0):
    """Make a store with old copies of pages, long values and a collection. Gives its content."""
    draw = random.Random(seed)
    with stone(path, LmdbStore, "msgpack") as store:
        items = Collection(store, Item)
        items.add_many(Item(n, f"item {n}") for n in range(entries // 3))
        keys = [f"{draw.randrange(10**9):09}".encode() for _ in range(entries)]
        for round in range(4):
            with store.transaction():
                for stored in draw.sample(keys, len(keys) if round == 0 else len(keys) // 4):
                    size = draw.choice([3, 30, 300, 3000, 9000])
                    store[stored] = f"{round} {stored.decode()} " + draw.choice("abc") * size
                for stored in draw.sample(keys, len(keys) // 10):
                    store.delete(stored)
        store["last"] = "written"
        return dict(store)


class Places:
    """The pages of a sound file, by their use."""

    def __init__(self, path):
        with closing(File(str(Path(path, "data.mdb")))) as file:
            metas, wrong = file.metas()
            assert not wrong
            assert file.page_size == PAGE
            survey = Survey(file, metas[0])
            assert not list(survey.problems())
            self.meta = [metas[0].txnid % 2]
            self.roots = {name: tree.root for name, tree in survey.trees.items()}
            self.main = survey.main.root
            self.leaves, self.long = [], []
            self.nodes = {}
            reached = {page for page, mark in enumerate(survey.marks) if mark & 1}
            for leaf in survey.walk(DATA).leaves():
                self.leaves.append(leaf.page)
                for entry in leaf.entries:
                    pages = {leaf.page}
                    if entry.flags & LONG:
                        run = range(entry.page, entry.page + file.long_pages(entry.size))
                        self.long.append(entry.page)
                        pages |= set(run)
                    self.nodes[entry.key] = pages
            self.branches = [
                page
                for page in sorted(reached - {0, 1})
                if file.read(page)[10:12] == b"\1\0" and page not in self.long
            ]
            self.free = metas[0].free.root
            assert file.read(self.free)[10] == LEAF
            self.stale = [page for page, mark in enumerate(survey.marks) if mark & 4]

    def on(self, pages):
        """The keys of the entries that have bytes on any of these pages."""
        return {key for key, own in self.nodes.items() if own & set(pages)}
