"""Blocks, functions and snapshots at once, in several processes, on a few accounts.

No transaction may fail, no sum may be wrong, every snapshot must be consistent, and each change
must be made exactly once. There is no error that a program has to expect here.
"""

import json
import os
import shutil
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from attrs import evolve, frozen

from stones import Collection, Store, index, key, stone
from tests.processes import fork
from tests.servers.postgres import PostgresServer

from .workload import Undo, Violation

ACCOUNTS = 10
BALANCE = 1_000
TABLE = "mixed"


@frozen
class Account:
    """Also an entry of the store has the balance. A transfer changes both."""

    number: int = key()
    balance: int = index()
    touched: int = 0


def mixed(processes: int, seconds: float) -> None:
    """Raises Violation. Prints how much was done."""
    folder = Path(tempfile.mkdtemp(prefix="stones-mixed-"))
    reports = [folder / str(number) for number in range(processes)]
    try:
        with PostgresServer() as server:
            with stone(server.url(), table=TABLE) as store:
                store.update({entry(number): BALANCE for number in range(ACCOUNTS)})
                Collection(store, Account).add_many(
                    Account(number, BALANCE) for number in range(ACCOUNTS)
                )
            pids = [
                fork(lambda number=number: take_part(server.url(), number, reports, seconds))
                for number in range(processes)
            ]
            for pid in pids:
                os.waitpid(pid, 0)
            done = Counter[str]()
            for report in reports:
                if not report.exists():
                    raise Violation("a process has died")
                found = json.loads(report.read_text())
                if isinstance(found, str):
                    raise Violation(found)
                done.update(found)
            with stone(server.url(), table=TABLE) as store:
                Member(store, 0).snapshot()
                counts = {
                    kind: sum(store.range(prefix=f"made/{kind}/").values())
                    for kind in ("block", "function")
                }
                touched = sum(each.touched for each in Collection(store, Account).values())
    finally:
        shutil.rmtree(folder)
    counts["modify"] = touched
    for kind, count in counts.items():
        if count != done[kind]:
            raise Violation(f"{done[kind]} of {kind} were made, and {count} are there")
    print(", ".join(f"{count} of {kind}" for kind, count in sorted(done.items())) + ": no error")


def take_part(url: str, number: int, reports: list[Path], seconds: float) -> None:
    """Do one after the other for some time, and report how many of each, or what went wrong."""
    try:
        with stone(url, table=TABLE) as store:
            report: object = Member(store, number).run(seconds)
    except BaseException:  # noqa: BLE001  # the runner tells of it
        report = traceback.format_exc()
    reports[number].write_text(json.dumps(report))


class Member:
    """One of those who take part."""

    def __init__(self, store: Store[Any, Any], number: int) -> None:
        self.store, self.number = store, number
        self.accounts = Collection(store, Account)
        self.rng = Random(number)

    def run(self, seconds: float) -> dict[str, int]:
        done = Counter[str]()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            kind = self.rng.choices(["block", "function", "modify", "snapshot"], [4, 4, 2, 1])[0]
            getattr(self, kind)()
            done[kind] += 1
        return done

    def block(self) -> None:
        with self.store.transaction():
            self._transfer("block")
            if self.rng.random() < 0.3:
                self._undone()
            if self.rng.random() < 0.2:
                self._compare(self.store, self.accounts)

    def function(self) -> None:
        looking = self.rng.random() < 0.1
        undoing = self.rng.random() < 0.2
        rng = self.rng.getstate()

        def change() -> None:
            self.rng.setstate(rng)  # it does the same, however often it runs
            self._transfer("function")
            if undoing:
                self._undone()
            if looking:
                self._compare(self.store, self.accounts)

        self.store.transact(change)

    def modify(self) -> None:
        number = self.rng.randrange(ACCOUNTS)
        self.accounts.modify(number, lambda account: evolve(account, touched=account.touched + 1))

    def snapshot(self) -> None:
        with self.store.snapshot() as view:
            self._compare(view, Collection(view, Account))

    def _transfer(self, kind: str) -> None:
        source, target = self.rng.sample(range(ACCOUNTS), 2)
        amount = self.rng.randrange(1, 10)
        for number, change in ((source, -amount), (target, amount)):
            self.store[entry(number)] += change
            account = self.accounts[number]
            self.accounts.update(number, balance=account.balance + change)
        counted = f"made/{kind}/{self.number}"
        self.store[counted] = self.store.get(counted, 0) + 1

    def _undone(self) -> None:
        try:
            with self.store.transaction():
                self.store[entry(self.rng.randrange(ACCOUNTS))] = -1
                del self.accounts[self.rng.randrange(ACCOUNTS)]
                list(self.store.range(prefix="made/"))  # which needs what was written so far
                raise Undo
        except Undo:
            pass

    def _compare(self, store: Any, accounts: Any) -> None:
        balances = list(store.range(prefix="account/").values())
        if sum(balances) != ACCOUNTS * BALANCE or len(balances) != ACCOUNTS:
            raise Violation(f"the accounts have {balances}")
        records = [account.balance for account in accounts.values()]
        by_index = sorted(account.balance for account in accounts.find().order_by("balance"))
        if records != balances or by_index != sorted(balances) or len(accounts) != ACCOUNTS:
            raise Violation(f"the records have {records}, the index {by_index}, for {balances}")


def entry(number: int) -> str:
    return f"account/{number:02}"
