"""Fields of odd types, and filters with odd names: what is refused, and what is found."""

from enum import Enum
from typing import Any, Literal

import pytest
from attrs import define, field, make_class

from stones import Collection, CollectionError, MemoryStore, RecordError, key


def test_an_option_of_a_literal_without_a_hash_is_refused():
    cls = make_class("Row", {"name": key(type=str)} | {"value": field(type=Literal[[1]])})
    with pytest.raises(CollectionError, match="has no hash"):
        Collection(MemoryStore(), cls)


class Grade(Enum):
    """Makes a member of its own for each text that it does not know."""

    GOOD = "good"

    @classmethod
    def _missing_(cls, value):
        made = object.__new__(cls)
        made._name_, made._value_ = "OTHER", value
        return made


def test_a_member_that_would_come_back_as_another_object_is_refused():
    @define
    class Row:
        name: str = key()
        grade: Grade = Grade.GOOD

    rows = Collection(MemoryStore(), Row)
    rows.add(Row("a"))
    with pytest.raises(RecordError, match="a Grade that comes back from its value"):
        rows.add(Row("b", Grade("odd")))
    assert rows["a"].grade is Grade.GOOD
    assert len(rows) == 1


@pytest.mark.parametrize("serializer", ["json", "msgpack", "cbor", "pickle"])
@pytest.mark.parametrize(
    "filter",
    [
        '@.tags[*] == "navy" && @.more.*[*] == "deep"',
        '@.tags[0] == "navy" && @.tags[1] == "tall"',
        '@..place == "Rome" && @.tags[*] == "navy"',
        '@.more["\ud800"] == "navy" || @.tags[*] == "navy"',
    ],
)
def test_texts_on_paths_through_lists_and_odd_names_are_found(serializer, filter):
    @define
    class Row:
        name: str = key()
        tags: list[str]
        more: dict[str, Any]

    store = MemoryStore(serialize=serializer)
    rows = Collection(store, Row, unknown="keep")
    fitting = Row("fits", ["navy", "tall"], {"in": ["deep"], "at": {"place": "Rome"}})
    rows.add_many([Row(f"{n}", ["x", "y"], {"in": ["z"]}) for n in range(50)])
    rows.add(fitting)
    assert list(rows.find(f"$[?({filter})]")) == [fitting]
