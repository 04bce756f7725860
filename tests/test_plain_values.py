"""The fast decoders of plain values never give another answer than the full decoders.

A full decoder is the slow twin. Values, types, the order of keys, and the errors of damaged bytes
have to be the same.
"""

import json
import math
import struct
import sys

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stones import CorruptValueError, LmdbStore, stone
from stones.engine import Space
from stones.formats import json_serializer, msgpack_serializer
from stones.formats.msgpack_serializer import encode
from stones.formats.plain_values import plain_first


def outcome(decoder, raw):
    """What a decoder gives: the value with the types of all its parts, or the error."""
    try:
        return shown(decoder(raw))
    except Exception as error:  # noqa: BLE001  # whatever it is, both must raise it
        return type(error), str(error)


def shown(value):
    """A form of a value that is equal only for the same types, signs and order."""
    if isinstance(value, dict):
        return dict, [(shown(key), shown(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [shown(item) for item in value]
    if isinstance(value, float):
        return float, "nan" if math.isnan(value) else struct.pack(">d", value)
    return type(value), repr(value)


def full_decoder(raw):
    """`decode` of MessagePack without its fast way."""
    return msgpack_serializer._decode_any(raw)


def fast_decoder(raw):
    """`decode` of MessagePack, which tries the fast way whatever it has met before."""
    return plain_first(msgpack_serializer.decode_plain, full_decoder)(raw)


def full_json_decoder(raw):
    """`decode` of JSON without its fast way."""
    text = str(raw, "utf-8")
    return json_serializer._loads_tagged(text) if '"$' in text else json_serializer._loads(text)


def fast_json_decoder(raw):
    """`decode` of JSON, which tries the fast way whatever it has met before."""
    with pytest.MonkeyPatch.context() as patch:
        fresh = plain_first(json_serializer._decode_plain, full_json_decoder)
        patch.setattr(json_serializer, "_decode_untagged", fresh)
        return json_serializer.decode(raw)


def sized(codes, payload, forms):
    """The forms of a string or extension: `codes`, with the length in 1, 2 or 4 bytes."""
    size = len(payload)
    form = next(number for number in range(forms, 3) if size < 1 << (8 << number))
    return bytes([codes[form]]) + size.to_bytes(1 << form, "big")


def packed_text(payload, form):
    if form is None and len(payload) < 32:
        return bytes([0xA0 | len(payload)]) + payload
    return sized((0xD9, 0xDA, 0xDB), payload, form or 0) + payload


def packed_extension(code, payload, form):
    fixed = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}
    if form is None and len(payload) in fixed:
        return bytes([fixed[len(payload)], code]) + payload
    return sized((0xC7, 0xC8, 0xC9), payload, form or 0) + bytes([code]) + payload


def packed_container(short, codes, count, items, form):
    """An array or a map of `count` items, whose bytes are joined in `items`."""
    if form is None and count < 16:
        return bytes([short | count]) + items
    form = form or 0
    return bytes([codes[form]]) + count.to_bytes(2 << form, "big") + items


forms = st.sampled_from([None, None, 0, 1])
contents = st.one_of(
    st.text(max_size=6).map(str.encode),
    st.text(st.characters(exclude_categories=()), max_size=3).map(
        lambda text: text.encode("utf-8", "surrogatepass")
    ),
    st.binary(max_size=20),
)
SIZES = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
"""The bytes that follow the first byte of a number."""
numbers = st.builds(
    lambda form, payload: bytes([form[0]]) + payload[: form[1]],
    st.sampled_from(list(SIZES.items())),
    st.one_of(
        st.binary(min_size=8, max_size=8),
        st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\x80" + b"\0" * 7, b"\x7f\xf8" + b"\0" * 6]),
    ),
)
texts = st.builds(packed_text, contents, st.sampled_from([None, 0, 1, 2]))
others = st.one_of(
    st.builds(lambda payload: sized((0xC4, 0xC5, 0xC6), payload, 0) + payload, contents),
    st.builds(packed_extension, st.sampled_from([0xFF, *range(18)]), st.binary(max_size=16), forms),
)
scalars = st.one_of(
    st.sampled_from([b"\xc0", b"\xc2", b"\xc3", b"\x00", b"\x7f", b"\xe0", b"\xff"]),
    numbers,
    texts,
    texts,
)


def containers(inner):
    keys = st.one_of(texts, texts, texts, inner)
    return st.one_of(
        st.builds(
            lambda items, form: packed_container(
                0x90, (0xDC, 0xDD), len(items), b"".join(items), form
            ),
            st.lists(inner, max_size=4),
            forms,
        ),
        st.builds(
            lambda items, form: packed_container(
                0x80, (0xDE, 0xDF), len(items), b"".join(map(b"".join, items)), form
            ),
            st.lists(st.tuples(keys, inner), max_size=4),
            forms,
        ),
    )


plain_bytes = st.recursive(scalars, containers, max_leaves=15)
any_bytes = st.recursive(st.one_of(scalars, scalars, others), containers, max_leaves=15)
damaged_bytes = st.builds(
    lambda raw, cut, place, changed, more: (
        bytes(byte ^ changed if number == place else byte for number, byte in enumerate(raw[cut:]))
        + more
    ),
    any_bytes,
    st.integers(0, 2),
    st.integers(0, 60),
    st.integers(0, 255),
    st.binary(max_size=2),
)


@given(st.one_of(plain_bytes, any_bytes, damaged_bytes, st.binary(max_size=12)))
@example(b"\x81\x91\x01\x02")  # a list as a key
@example(b"\x81\x80\x02")  # a dict as a key
@example(b"\x81\xa1a\x81\x91\x01\x02")
@example(b"\x81\xc4\x01a\x02")  # bytes as a key
@example(b"\x84\xc0\x01\xc3\x02\x05\x03\xca\x3f\x80\x00\x00\x04")  # None, True, 5 and 1.0 as keys
@example(b"\x82\xa1a\x01\xa1a\x02")  # a key twice
@example(b"\x83\xa1a\x01\xa1b\x03\xa1a\x02")
@example(b"\xa3\xed\xa0\x80")  # a lone surrogate
@example(b"\xa2\xc0\x80")  # no UTF-8
@example(b"\xca\x7f\xc0\x00\x00")  # nan of 4 bytes
@example(b"\xca\x3d\xcc\xcc\xcd")  # 0.1 of 4 bytes
@example(b"\xcb\x80" + bytes(7))  # -0.0
@example(b"\xcb\x40\x08" + bytes(6))  # 3.0, which is no int
@example(b"\xcf" + b"\xff" * 8)
@example(b"\xd3\x80" + bytes(7))
@example(b"\x01\x01")  # a byte too many
@example(b"\x92\x01")  # a byte too few
@example(b"")
@example(b"\xc1")
@example(b"\xdd\xff\xff\xff\xff\x01")  # a list of four billion items in six bytes
@example(b"\xdf\xff\xff\xff\xff\xa1a\x01")
@example(b"\xdb\xff\xff\xff\xffabc")
@example(b"\xd7\xff" + (999_999_999 << 34 | 5).to_bytes(8, "big"))  # a timestamp of nanoseconds
@example(b"\xd6\xff\x00\x00\x00\x05")
@example(b"\x92\xc7\x00\x01\x05")  # a tuple
@example(b"\x91" * 5 + b"\x90")
@example(b"\x91" * 7 + b"\x90")  # deeper than the fast way goes
@example(b"\x91" * 5000)
@example(b"\x81\xa1a" * 5000)
def test_the_fast_way_gives_what_the_full_decoder_gives(raw):
    assert outcome(fast_decoder, raw) == outcome(full_decoder, raw)


plain_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(st.characters(exclude_categories=())),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.text(), st.integers(0, 9), st.none()), inner, max_size=4),
    ),
    max_leaves=20,
)


@given(plain_values)
def test_a_plain_value_comes_back_by_either_way(value):
    raw = encode(value)
    assert outcome(fast_decoder, raw) == outcome(full_decoder, raw) == shown(value)
    raw = json_serializer.encode(value)
    assert outcome(fast_json_decoder, raw) == outcome(full_json_decoder, raw) == shown(value)


json_tokens = st.one_of(
    st.sampled_from(
        ["null", "true", "false", "NaN", "-Infinity", "[", "]", "{", "}", ",", ":", " ", "\n", "\f"]
    ),
    st.sampled_from(
        ['"a"', '"$tuple"', '"\\u0024tuple"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\x"']
    ),
    st.from_regex(r"-?[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.floats().map(repr),
    st.integers().map(str),
    st.text(max_size=5).map(json.dumps),
    st.text(max_size=5),
)
json_texts = st.one_of(
    st.lists(json_tokens, max_size=6).map("".join),
    st.lists(json_tokens, max_size=4).map(lambda tokens: f"[{','.join(tokens)}]"),
    st.lists(st.tuples(json_tokens, json_tokens), max_size=3).map(
        lambda items: "{" + ",".join(map(":".join, items)) + "}"
    ),
    plain_values.map(lambda value: json.dumps(value, ensure_ascii=False)),
    plain_values.map(lambda value: json.dumps(value, indent=1)),
)


@given(
    st.builds(
        lambda text, place, more: (
            (raw := text.encode("utf-8", "surrogatepass"))[:place] + more + raw[place:]
        ),
        json_texts,
        st.integers(0, 40),
        st.one_of(st.just(b""), st.just(b""), st.binary(max_size=1)),
    )
)
@example(b"-0")
@example(b"-0.0")
@example(b"1e400")
@example(b"-1e-400")
@example(b"18446744073709551616")
@example(b"-9223372036854775809")
@example(b"9007199254740993.0")
@example(b"1" * 5000)
@example(b"01")
@example(b"1.")
@example(b'{"a":1,"a":2}')
@example(b'{"b":1,"a":2,"b":3}')
@example(b"{1:2}")
@example(b'{"$tuple":[1]}')
@example(b'{"\\u0024tuple":[1]}')
@example(b'{"$no":1}')
@example(b'"\xed\xa0\x80"')
@example(b'"\xff"')
@example(b'"a\tb"')
@example(b'"\\ude00\\ud83d"')
@example(b"\xef\xbb\xbf1")
@example(b"\x0c1")
@example(b"1 2")
@example(b"[1,]")
@example(b"[" * 5000)
@example(b'{"a":' * 5000)
def test_the_fast_way_gives_what_the_full_decoder_of_json_gives(raw):
    assert outcome(fast_json_decoder, raw) == outcome(full_json_decoder, raw)


def test_a_limit_for_the_digits_of_ints_holds_for_json():
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        raw = b"1" * 1000
        assert outcome(fast_json_decoder, raw) == outcome(full_json_decoder, raw)
    finally:
        sys.set_int_max_str_digits(before)


@pytest.mark.parametrize("module", [json_serializer, msgpack_serializer])
def test_plain_values_do_take_the_fast_way(module):
    value = {"a": [1, 2.5, None, {"b": True}]}
    assert module.decode_plain(module.encode(value)) == value


def test_values_that_are_not_plain_are_seldom_tried_in_vain():
    tried = []

    def decode_plain(raw):
        tried.append(raw)
        raise ValueError

    decoder = plain_first(decode_plain, bytes.decode)
    assert [decoder(b"a") for _ in range(1000)] == ["a"] * 1000
    assert len(tried) < 50


@pytest.mark.parametrize("module", [json_serializer, msgpack_serializer])
def test_plain_values_among_others_are_decoded_all_the_same(module):
    values = [(1,), {"a": 1}, {"b": b"x"}, [2.5], {3: 4}] * 40
    assert [module.decode(module.encode(value)) for value in values] == values


@pytest.mark.parametrize(
    "part", [bytearray(b"a"), memoryview(b"a"), msgpack.ExtType(1, b"a"), msgpack.Timestamp(1)]
)
def test_what_the_encoder_would_write_as_something_else_is_refused_beside_any_float(part):
    for number in range(300):
        with pytest.raises(Exception, match="convert it first"):
            encode({"plain": number / 7, "parts": [number / 3, {"part": part}]})


@pytest.mark.parametrize(
    ("name", "raw"),
    [("msgpack", raw) for raw in (b"\x81\x91\x01\x02", b"\x92\x01", b"\x01\x01", b"\xa1\xff")]
    + [("json", raw) for raw in (b"[1", b"1 2", b'"\xff"', b'{"$no":1}')],
)
def test_damaged_bytes_are_the_same_error_in_a_store(tmp_path, name, raw):
    with stone(tmp_path / "db", LmdbStore, serialize=name) as store:
        store["a"] = 1
        prefix = store.database.codec.prefix
        store.database.engine.write(lambda txn: txn.put(Space.DATA, b"b", prefix + raw))
        for read in (lambda: store["b"], lambda: list(store.items()), lambda: store.get("b")):
            with pytest.raises(CorruptValueError, match="b'b'"):
                read()
