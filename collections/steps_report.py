"""The results of running the steps of a collection: `StepsReport` and `StepFailure`."""

from typing import Any

from attrs import field, frozen


@frozen
class StepFailure:
    """A record that a step cannot change, or whose changed dict the class does not take.

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, Migration, key
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     age: str
    >>> store = MemoryStore()
    >>> Collection(store, User).add(User('ada', 'old'))
    'ada'
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     age: int
    >>> users = Collection(store, User, migrations=[Migration(1, convert={'age': int})])
    >>> (failure,) = users.migrate(dry_run=True).failures
    >>> failure.key, failure.step
    ('ada', 1)
    >>> print(failure)
    User['ada']: step 1: 'age': 'old' cannot be converted: ValueError: invalid literal ...
    """

    key: Any
    """The primary key of the record."""
    step: int
    """The number of the step. The last one, if the class does not take the result of all steps."""
    message: str
    """What is wrong, with the path of the field."""

    def __str__(self) -> str:
        return self.message


@frozen
class StepsReport:
    """The result of `Collection.migrate` and `Collection.undo`.

    >>> from attrs import define
    >>> from stones import Collection, MemoryStore, Migration, key
    >>> @define
    ... class User:
    ...     name: str = key()
    ...     age: int
    >>> store = MemoryStore()
    >>> Collection(store, User).add(User('ada', 36))
    'ada'
    >>> step = Migration(1, convert={'age': lambda age: age + 1})
    >>> report = Collection(store, User, migrations=[step]).migrate()
    >>> report.steps, report.records, report.changed, report.failures
    ((1,), 1, 1, ())
    """

    steps: tuple[int, ...]
    """The numbers of the steps that ran, or would run. Empty if there was nothing to do."""
    records: int
    """The records that were looked at."""
    changed: int = 0
    """The records that were written anew. The rest had been written by newer programs already."""
    removed: int = 0
    """The records that a step has removed."""
    failures: tuple[StepFailure, ...] = ()
    """What would fail, the first 1,000 of `failed`. Not empty only after a dry run."""
    failed: int = 0
    """How many records would fail."""
    edited: tuple[int, ...] = ()
    """The steps that ran before, and whose code has changed since then."""
    seconds: float = field(default=0.0, eq=False)
    """How long it took."""
