"""The folder in which the examples of `--help` run: stores, and files to read.

my-db         a store on LMDB: count, name and point, the namespace sessions, and the collections
              User, Note, Visit (whose key has two fields) and Task, for which a step is pending
secret-db     an encrypted store on LMDB, with its key in secret.key
app.db        a store on SQLite
models.py     the classes of the collections, as a program has them
migrations/   the step of the collection Task
people.jsonl, people.csv    files to import, of two people
"""

import subprocess
import sys
from pathlib import Path

MODELS = '''
"""The classes of the collections in my-db."""

from datetime import date

from attrs import define

from stones import index, key


@define
class User:
    name: str = key()
    email: str
    age: int = index()
    joined: date


@define
class Note:
    id: int = key()
    text: str
    tags: list[str]


@define
class Visit:
    city: str = key()
    number: int = key()
    rating: float | None = None


@define
class Task:
    id: int = key()
    text: str
'''
STEP = """
from stones import Migration

collection = "Task"
migration = Migration(1, rename={"title": "text"})
"""
PROGRAM = """
import secrets
from datetime import date
from pathlib import Path
from attrs import define
from models import Note, User, Visit
from stones import Collection, LmdbStore, key, key_from_file, stone

with stone('my-db', LmdbStore, serialize='msgpack') as store:
    store.update(count=7, name='Größe', point=(1, 2))
    store.namespace('sessions/')['ada'] = {'since': date(2024, 2, 29)}
    Collection(store, User).add_many([
        User('ada', 'ada@example.org', 36, date(2020, 1, 31)),
        User('bob', 'bob@example.org', 25, date(2023, 7, 1)),
        User('eve', 'eve@example.org', 41, date(2024, 2, 29)),
    ])
    Collection(store, Note).add_many([Note(1, 'hello', ['new']), Note(2, 'again', [])])
    Collection(store, Visit).add_many([Visit('New York', 7, 4.5), Visit('Paris', 1)])

    @define
    class Task:
        id: int = key()
        title: str

    Collection(store, Task).add_many([Task(1, 'wash'), Task(2, 'iron')])

Path('secret.key').write_text(secrets.token_hex(32))
with stone('secret-db', LmdbStore, serialize='json', encrypt=key_from_file('secret.key')) as store:
    store['diary'] = 'nobody reads this'
with stone('sqlite:app.db', serialize='json') as store:
    store.update(answer=42, color='green')
"""


def make_example_folder(folder: Path) -> None:
    """Fill an empty folder with what the examples name."""
    folder.joinpath("models.py").write_text(MODELS.lstrip())
    folder.joinpath("migrations").mkdir()
    folder.joinpath("migrations", "0001_task_rename_title.py").write_text(STEP.lstrip())
    folder.joinpath("people.jsonl").write_text(
        '{"name": "gil", "email": "gil@example.org", "age": 19, "joined": "2024-05-01"}\n'
        '{"name": "hal", "email": "hal@example.org", "age": 52, "joined": "2021-11-30"}\n'
    )
    folder.joinpath("people.csv").write_text(
        "name,email,age,joined\n"
        "gil,gil@example.org,19,2024-05-01\n"
        "hal,hal@example.org,52,2021-11-30\n"
    )
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=folder, check=True)
