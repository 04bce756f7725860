"""Two programs with two versions of a class, at the same time: the old one reads while all moves.

The order of deployment is that of docs/how-to/rolling-upgrades.md: the old program takes unknown
fields, the new one migrates, the old one ends, and a last step takes away what it needed.
"""

import json

import pytest
from attrs import define

from stones import Collection, LmdbStore, Migration, SqliteStore, check, key, stone

from .processes import Follower

COUNT = 3000
KINDS = {"lmdb": LmdbStore, "sqlite": SqliteStore}

OLD_PROGRAM = """
import json, os, random, select, sys
from attrs import define
from stones import *

@define
class User:
    name: str = key()
    full: str
    team: int

store = stone(sys.argv[1].partition(':')[2], {'lmdb': LmdbStore, 'sqlite': SqliteStore}[
    sys.argv[1].partition(':')[0]])
users = Collection(store, User, unknown='keep')
count = %d

def looks_right(user):
    number = int(user.name)
    return user.full == f'First{number} Last{number}' and user.team == number %% 7

def read_all():
    # every way to read: by key, in order, by a query of an index, counted
    wrong, seen = [], 0
    for number in random.sample(range(count), 200):
        if not looks_right(users[f'{number:05}']):
            wrong.append(number)
    for name, user in users.items():
        seen += 1
        if name != user.name or not looks_right(user):
            wrong.append(name)
    team = random.randrange(7)
    found = [user.name for user in users.find(team=team)]
    if sorted(found) != [f'{n:05}' for n in range(team, count, 7)]:
        wrong.append(f'team {team}: {len(found)}')
    if users.find(team=team).count() != len(range(team, count, 7)):
        wrong.append('count')
    if (seen, len(users)) != (count, count):
        wrong.append((seen, len(users)))
    return wrong

def write():
    try:
        users.update('00001', team=1)
    except MigrationError:
        return 'refused'
    return 'written'

print('open', flush=True)
rounds, wrong = 0, []
while True:  # it reads all the time, and answers where it is asked
    if select.select([sys.stdin], [], [], 0)[0]:
        asked = os.read(0, 100).decode().strip()
        if not asked:
            break
        answer = write() if asked == 'write' else json.dumps([rounds, wrong[:5]])
        print(answer, flush=True)
        if asked == 'look':
            rounds = 0
    try:
        wrong += read_all()
    except Exception as error:
        wrong.append(repr(error))
    rounds += 1
"""


@define
class Old:
    name: str = key()
    full: str
    team: int


@define
class Both:
    """The class of the program that is deployed next: it has the old fields, and the new ones."""

    name: str = key()
    full: str
    team: int
    first: str
    last: str


@define
class New:
    """The class at the end."""

    name: str = key()
    team: int
    first: str
    last: str


def split(user):
    first, last = user["full"].split()
    return user | {"first": first, "last": last}


STEPS = [Migration(1, change=split), Migration(2, drop=["full"])]


@pytest.mark.parametrize("kind", KINDS)
def test_an_old_program_reads_rightly_all_the_time_while_the_new_one_migrates(kind, tmp_path):
    place = tmp_path / ("db" if kind == "lmdb" else "app.db")
    with stone(place, KINDS[kind], serialize="json") as store:
        old = Collection(store, Old, "User", indexes=["team"])
        old.add_many(Old(f"{n:05}", f"First{n} Last{n}", n % 7) for n in range(COUNT))
        with Follower(OLD_PROGRAM % COUNT, f"{kind}:{place}") as reader:
            assert reader.ask("write") == "written"

            users = Collection(store, Both, "User", migrations=STEPS[:1])
            assert users["00002"].last == "Last2"  # upgraded as it is read
            users.update("00002", last="Last2")  # the first write of the new shape
            assert reader.ask("write") == "refused"
            assert users.migrate().changed == COUNT - 1
            assert users["00003"] == Both("00003", "First3 Last3", 3, "First3", "Last3")
            assert reader.ask("write") == "refused"
            late = Collection(store, Old, "User", unknown="keep")  # an old program that starts late
            assert late["00003"] == Old("00003", "First3 Last3", 3)
            rounds, wrong = json.loads(reader.ask("look"))
            assert wrong == []
            assert rounds > 0

        users = Collection(store, New, "User", migrations=STEPS)
        users.migrate()
        assert store["User/00003"] == {
            "name": "00003",
            "team": 3,
            "first": "First3",
            "last": "Last3",
        }
        assert users.find(team=3).count() == len(range(3, COUNT, 7))
        assert check(store).findings == ()
