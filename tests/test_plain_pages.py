"""Neighbouring plain values are decoded at once, and all others are left to the full decoder."""

import pytest

from stones import MemoryStore
from stones.migrations.plain_pages import UNKNOWN, decoder_of_pages, plain_decoder

PLAIN = [None, 7, 1.5, "text", [True, {"a": []}], {"a": {"b": 2}}]


def stored(values, **options):
    codec = MemoryStore(**options).database.codec
    return codec, [codec.encode(b"key", value) for value in values]


@pytest.mark.parametrize("serializer", ["json", "msgpack"])
def test_plain_values_are_decoded_at_once(serializer):
    codec, raws = stored(PLAIN, serialize=serializer)
    assert plain_decoder(codec)(raws) == PLAIN
    assert decoder_of_pages(codec)(raws) == PLAIN


@pytest.mark.parametrize("other", [(1, 2), {1}, b"bytes", {1: 2}, 1 << 80])
def test_a_value_that_is_not_plain_leaves_its_neighbours_to_the_full_decoder(other):
    codec, raws = stored([*PLAIN, other], serialize="msgpack")
    assert plain_decoder(codec)(raws) is None
    assert decoder_of_pages(codec)(raws) == [UNKNOWN] * len(raws)


@pytest.mark.parametrize(
    "options",
    [{"serialize": "pickle"}, {"checksums": True}, {"compress": "zstd"}, {"encrypt": bytes(32)}],
)
def test_pickled_checked_and_packed_values_are_left_to_the_full_decoder(options):
    codec, raws = stored(PLAIN, **{"serialize": "msgpack", **options})
    assert plain_decoder(codec)(raws) is None


@pytest.mark.parametrize("damaged", [b"", b"\x7f", b"\xff\xff"])
def test_damaged_bytes_are_not_taken_for_plain(damaged):
    codec, raws = stored(PLAIN, serialize="msgpack")
    assert plain_decoder(codec)([*raws, damaged]) is None
    assert plain_decoder(codec)([*raws, raws[-1][:-1]]) is None


def test_after_values_that_are_not_plain_some_pages_are_not_tried():
    codec, raws = stored([1], serialize="msgpack")
    decode = plain_decoder(codec)
    assert decode([codec.encode(b"key", (1, 2))]) is None
    assert [decode(raws) for _ in range(2)] == [None, [1]]
