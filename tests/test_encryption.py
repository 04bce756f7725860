"""Encrypted values: nobody reads, changes or moves one without the key; no nonce comes twice."""

import base64
import os
import pickle
import secrets
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from weakref import WeakSet

import pytest
from attrs import define, evolve
from hypothesis import given
from hypothesis import strategies as st

from stones import (
    Collection,
    CorruptValueError,
    EncryptionKeyError,
    FormatMismatchError,
    LmdbStore,
    MemoryStore,
    ValueTypeError,
    check,
    inspect,
    key,
    key_from_environment,
    key_from_file,
    migrate,
    salvage,
)
from stones.engine import Space
from stones.formats import encryption
from stones.formats.codec import Codec
from stones.formats.compression import train
from stones.formats.encryption import HEAD, EncryptionKey
from stones.formats.encryption_keys import KeyRing
from stones.formats.metadata import write_formats

from .processes import Follower, fork, in_child

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
SECRET = "a secret that nobody reads"


@define
class Person:
    name: str = key()
    diary: str = ""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "db")


def raw_values(store):
    return dict(store.database.engine.begin().scan(Space.DATA))


def put_raw(store, key, raw):
    store.database.engine.write(lambda txn: txn.put(Space.DATA, key, raw))


def change_formats(store, ended=False, **parts):
    """Let new values have another format, as a migration does."""
    database = store.database

    def change(txn):
        changed = database.read_codec(txn).metadata.migrating_to(
            **{"keys": database.request.keys, **parts}
        )
        write_formats(txn, changed.migrated() if ended else changed)
        database.reload(txn)

    database.write(change)


# -- a store -------------------------------------------------------------------------------------


@pytest.mark.needs("packed values")
def test_encrypted_values_come_back_and_are_not_in_what_is_stored(open_store):
    store = open_store(serialize="json", encrypt=KEY)
    store.update(a=SECRET, b=None, c=[SECRET])
    assert dict(store) == {b"a": SECRET, b"b": None, b"c": [SECRET]}
    assert store["a"] == store.get("a") == store.get_many(["a"])[b"a"] == SECRET
    stored = [*store.database.engine.begin().scan(Space.META), *raw_values(store).items()]
    assert not [raw for _, raw in stored if SECRET.encode() in raw or KEY in raw]


def test_neither_values_nor_the_key_are_in_the_file(path):
    with LmdbStore(path, serialize="json", encrypt=KEY, compress="zstd") as store:
        store["readable key"] = SECRET
        Collection(store, Person).add(Person("Ada", SECRET))
    content = Path(path, "data.mdb").read_bytes()
    assert b"readable key" in content
    for hidden in (SECRET.encode(), KEY, KEY.hex().encode(), base64.b64encode(KEY)):
        assert hidden not in content


@pytest.mark.parametrize("encrypt", [KEY, lambda: KEY, [KEY], [OTHER, lambda: KEY], (KEY, OTHER)])
def test_a_key_is_given_as_bytes_as_a_function_or_in_a_list(encrypt, path):
    with LmdbStore(path, encrypt=KEY) as store:
        store["a"] = SECRET
    with LmdbStore(path, encrypt=encrypt) as store:
        store["b"] = SECRET
        assert dict(store) == {b"a": SECRET, b"b": SECRET}


def test_the_function_is_called_once_for_each_opening(path):
    calls = []

    def ask():
        calls.append(1)
        return KEY

    store = LmdbStore(path, encrypt=ask)
    store.update(dict.fromkeys("abc", SECRET))
    assert (list(store.values()), len(calls)) == ([SECRET] * 3, 1)


def test_a_wrong_or_missing_key_is_one_error_at_opening(path):
    with LmdbStore(path, encrypt=KEY) as store:
        store["a"] = SECRET
    before = Path(path, "data.mdb").read_bytes()
    with pytest.raises(EncryptionKeyError, match="is encrypted: open it with encrypt=key"):
        LmdbStore(path)
    for wrong in (OTHER, [OTHER, OTHER[::-1]], lambda: OTHER):
        with pytest.raises(EncryptionKeyError, match="the key given does not decrypt"):
            LmdbStore(path, encrypt=wrong)
    with pytest.raises(EncryptionKeyError, match="is encrypted"):
        LmdbStore(path, encrypt=False)
    assert Path(path, "data.mdb").read_bytes() == before


def test_a_store_that_is_not_encrypted_refuses_a_key(path):
    LmdbStore(path, serialize="json").close()
    with pytest.raises(FormatMismatchError, match=r"is not encrypted: open it with encrypt=False"):
        LmdbStore(path, encrypt=KEY)
    LmdbStore(path, encrypt=False).close()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("k" * 32, ValueTypeError),
        (True, ValueTypeError),
        (7, ValueTypeError),
        ([], ValueTypeError),
        ([KEY, None], ValueTypeError),
        (lambda: "k" * 32, ValueTypeError),
        (b"short and secret", EncryptionKeyError),
        ([KEY, b"short and secret"], EncryptionKeyError),
        (KEY.hex().encode(), EncryptionKeyError),
    ],
)
def test_what_is_no_key_is_refused_and_not_shown(wrong, error):
    with pytest.raises(error) as raised:
        MemoryStore(encrypt=wrong)
    shown = str(raised.value)
    assert "secret" not in shown.replace("secrets", "")
    assert "kkk" not in shown


def test_keys_are_in_no_repr_and_in_no_pickle():
    store = MemoryStore(encrypt=KEY)
    ring = store.database.request.keys
    for shown in (repr(store), repr(store.database.request), repr(ring), repr([*ring])):
        assert repr(KEY)[2:20] not in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(ring)


# -- keys from elsewhere -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        KEY,
        KEY.hex().encode(),
        KEY.hex().upper().encode() + b"\n",
        base64.b64encode(KEY) + b"\r\n",
        base64.urlsafe_b64encode(bytes([251]) * 32).rstrip(b"="),
    ],
)
def test_a_key_file_has_bytes_or_digits_or_base64(content, tmp_path):
    file = tmp_path / "a.key"
    file.write_bytes(content)
    assert key_from_file(file)() in (KEY, bytes([251]) * 32)
    assert MemoryStore({"a": 1}, encrypt=key_from_file(str(file)))["a"] == 1


@pytest.mark.parametrize("content", [b"", KEY[:31], KEY + b"\n", b"zz" * 32, b"YWJj", b"\xff" * 64])
def test_a_file_without_a_key_is_named_and_its_content_is_not(content, tmp_path):
    file = tmp_path / "a.key"
    file.write_bytes(content)
    with pytest.raises(EncryptionKeyError, match=r"a\.key' holds no key") as raised:
        MemoryStore(encrypt=key_from_file(file))
    assert not content.strip() or content.strip().decode("latin1") not in str(raised.value)


def test_a_missing_key_file_or_variable_is_named(tmp_path, monkeypatch):
    with pytest.raises(EncryptionKeyError, match=r"none\.key' cannot be read"):
        MemoryStore(encrypt=key_from_file(tmp_path / "none.key"))
    monkeypatch.delenv("A_KEY", raising=False)
    with pytest.raises(EncryptionKeyError, match="variable A_KEY is not set"):
        MemoryStore(encrypt=key_from_environment("A_KEY"))
    monkeypatch.setenv("A_KEY", KEY.hex())
    assert key_from_environment("A_KEY")() == KEY


@pytest.mark.parametrize("digits", [KEY.hex(), base64.b64encode(KEY).decode()])
def test_a_key_that_is_given_for_a_path_or_a_name_is_not_shown(digits, path, run):
    LmdbStore(path, encrypt=KEY).close()
    for wrong in (key_from_file(digits), key_from_file(KEY), key_from_environment(digits)):
        with pytest.raises(EncryptionKeyError, match="looks like a key itself") as raised:
            MemoryStore(encrypt=wrong)
        assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert digits not in run("get", path, "a", "--key-file", digits, code=1)
    with pytest.raises(ValueTypeError, match=r"is a str, not bytes$"):
        key_from_environment(KEY)


def test_commands_take_the_key_from_a_file_or_from_the_environment(
    path, tmp_path, run, monkeypatch
):
    monkeypatch.delenv("STONES_KEY", raising=False)
    file = tmp_path / "a.key"
    file.write_text(KEY.hex())
    with LmdbStore(path, serialize="json", encrypt=KEY) as store:
        store["a"] = SECRET
    assert "--key-file" in run("get", path, "a", code=1)
    assert run("get", path, "a", "--raw", "--key-file", file) == SECRET
    assert "holds no key" in run("get", path, "a", "--key-file", __file__, code=1)
    monkeypatch.setenv("STONES_KEY", KEY.hex())
    run("put", path, "b", "7")
    assert run("check", path).endswith("is sound: 2 values\n")
    with LmdbStore(path + "-plain", serialize="json") as plain:
        plain["a"] = 1
    assert run("get", path + "-plain", "a") == "1\n"  # a key that is not needed is no error


# -- attacks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("checksums", [False, True])
def test_a_value_that_is_moved_to_another_key_is_named(checksums):
    store = MemoryStore({"a": "one", "b": "two"}, encrypt=KEY, checksums=checksums)
    raw = raw_values(store)
    put_raw(store, b"a", raw[b"b"])
    put_raw(store, b"b", raw[b"a"])
    for name in "ab":
        with pytest.raises(CorruptValueError, match=f"the value of b'{name}'"):
            store[name]
    assert [found.key for found in check(store).findings] == [b"a", b"b"]


@given(st.data())
def test_a_value_that_was_changed_anywhere_is_named(data):
    store = MemoryStore({"a": SECRET}, serialize="json", encrypt=KEY)
    raw = bytearray(raw_values(store)[b"a"])
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    put_raw(store, b"a", bytes(raw))
    with pytest.raises(CorruptValueError, match="the value of b'a'"):
        store["a"]


def test_a_value_with_the_first_byte_of_another_encrypted_format_is_refused():
    store = MemoryStore({"a": b"[7]"}, serialize="noop", encrypt=KEY)
    change_formats(store, name="json")
    store["b"] = 1
    formats = {name: raw[:1] for name, raw in raw_values(store).items()}
    put_raw(store, b"a", formats[b"b"] + raw_values(store)[b"a"][1:])
    with pytest.raises(CorruptValueError, match="cannot be decrypted: it was changed"):
        store["a"]


@pytest.mark.parametrize(
    ("serializer", "raw"),
    [("json", b'\x02"forged"'), ("pickle", b"\x01" + pickle.dumps("forged"))],
)
def test_a_value_that_is_not_encrypted_is_refused_once_all_values_are(serializer, raw, path):
    with LmdbStore(path, serialize=serializer) as store:
        store["a"] = 1
        migrate(store, encrypt=KEY)
        put_raw(store, b"a", raw)
        with pytest.raises(CorruptValueError, match=r"b'a' is not encrypted, as all values"):
            store["a"]
        with pytest.raises(CorruptValueError, match=r"b'a' is not encrypted, as all values"):
            list(store.items())
    for options in ({"encrypt": KEY}, {}):
        (finding,) = check(path, **options).findings
        assert "is not encrypted" in finding.what


@pytest.mark.parametrize("parts", [{"encryption": EncryptionKey(OTHER)}, {"name": "msgpack"}])
def test_a_value_that_is_not_encrypted_is_refused_while_encrypted_values_are_migrated(parts):
    store = MemoryStore({"a": 1, "b": 2}, serialize="json")
    plain = raw_values(store)[b"a"]
    migrate(store, encrypt=[KEY, OTHER])
    change_formats(store, **parts)
    put_raw(store, b"a", plain)
    with pytest.raises(CorruptValueError, match=r"b'a' is not encrypted, as all values"):
        store["a"]
    with pytest.raises(CorruptValueError, match=r"b'a' is not encrypted, as all values"):
        dict(store.items())
    store["c"] = 3
    assert (store["b"], store["c"]) == (2, 3)


def test_a_value_that_is_not_encrypted_is_read_while_the_store_is_encrypted():
    store = MemoryStore({"a": 1}, serialize="json", encrypt=KEY)
    change_formats(store, encryption=None)
    store["b"] = 2
    assert (store["a"], store["b"]) == (1, 2)
    change_formats(store, ended=True)
    change_formats(store, encryption=EncryptionKey(KEY))
    assert store["b"] == 2


def test_an_encrypted_value_is_not_decoded_by_another_serializer_or_dictionary():
    samples = [b'{"name": "row %d", "city": "Springfield"}' % number for number in range(3000)]
    first, second = train(samples, 5_000), train(samples[1000:], 4_000)
    store = MemoryStore(serialize="json", compress="zstd", encrypt=KEY)
    change_formats(store, dictionary=first)
    store["a"] = {"name": "row 1", "city": "Springfield"}
    number = store.database.metadata().write.id
    for parts in ({"serializer": "noop"}, {"compression": None}, {"dictionary": 9}):

        def forge(txn, parts=parts):
            metadata = store.database.read_codec(txn).metadata
            forged = evolve(metadata.formats[number], **parts)
            return evolve(
                metadata,
                write=forged,
                formats={**metadata.formats, number: forged},
                dictionaries={1: first, 9: second},
            )

        codec = Codec(store.database.engine.read(forge), store.database.request)
        with pytest.raises(CorruptValueError, match="cannot be decrypted"):
            codec.decode(b"a", raw_values(store)[b"a"])


def test_values_that_are_decrypted_are_read_by_programs_that_knew_all_as_encrypted(path):
    with LmdbStore(path, serialize="json", encrypt=KEY) as store:
        store.update(a=1, b=2)
        with store.snapshot() as before:
            assert in_child(lambda: decrypt(path)) == 0
            assert (store["a"], dict(store), before["b"]) == (1, {b"a": 1, b"b": 2}, 2)


def decrypt(path):
    with LmdbStore(path, encrypt=KEY) as store:
        migrate(store, encrypt=False)


def test_check_without_the_key_finds_what_it_can(path):
    with LmdbStore(path, serialize="json", encrypt=KEY) as store:
        Collection(store, Person).add(Person("Ada"))
        store["a"] = SECRET
    report = check(path)
    assert (report.sound, report.entries, report.unread) == (True, 2, 2)
    assert check(path, encrypt=KEY).unread == 0
    with pytest.raises(EncryptionKeyError):
        check(path, encrypt=OTHER)
    with LmdbStore(path, encrypt=KEY) as store:
        raw = raw_values(store)
        put_raw(store, b"a", raw[b"Person/Ada"])
    assert [found.key for found in check(path, encrypt=[OTHER, KEY]).findings] == [b"a"]
    assert inspect(path).entries == 2


def test_salvage_keeps_encrypted_values_and_names_those_that_were_changed(path):
    with LmdbStore(path, serialize="json", encrypt=KEY, compress="zstd") as store:
        store.update(good=SECRET, moved=SECRET)
        put_raw(store, b"moved", raw_values(store)[b"good"])
    report = salvage(path, path + "-new", encrypt=KEY)
    assert [lost.key for lost in report.lost] == [b"moved"]
    assert dict(LmdbStore(path + "-new", encrypt=KEY)) == {b"good": SECRET}
    unread = salvage(path, path + "-other")
    assert (unread.entries, unread.unread) == (2, 2)
    assert LmdbStore(path + "-other", encrypt=KEY)["good"] == SECRET


# -- rotation ------------------------------------------------------------------------------------


def test_values_under_an_older_key_are_read_until_the_rotation_has_ended(path):
    newest = EncryptionKey(OTHER)
    with LmdbStore(path, encrypt=KEY) as store:
        store["old"] = SECRET
    with LmdbStore(path, encrypt=[OTHER, KEY]) as store:
        change_formats(store, encryption=newest)
        store["new"] = SECRET
        assert dict(store) == {b"old": SECRET, b"new": SECRET}
    with pytest.raises(EncryptionKeyError, match=r"left under an older key.*\[newest, \*older\]"):
        LmdbStore(path, encrypt=OTHER)
    with LmdbStore(path, encrypt=[OTHER, KEY]) as store:
        store["old"] = SECRET
        store.database.write(
            lambda txn: write_formats(txn, store.database.read_codec(txn).metadata.migrated())
        )
    assert dict(LmdbStore(path, encrypt=OTHER)) == {b"old": SECRET, b"new": SECRET}
    with pytest.raises(EncryptionKeyError):
        LmdbStore(path, encrypt=KEY)


FOLLOWER = """
import sys
from stones import LmdbStore, EncryptionKeyError
store = LmdbStore(sys.argv[1])
print("open", flush=True)
for line in sys.stdin:
    act, key = line.split()
    try:
        print(store[key] if act == "get" else store.put(key, "mine"), flush=True)
    except EncryptionKeyError as error:
        print("no key:", "encrypt=" in str(error), flush=True)
"""


def test_a_program_without_the_key_reads_what_is_left_and_is_told_about_the_rest(path):
    with LmdbStore(path) as store:
        store.update(a="plain", b="plain", **{"hidden/a": "plain"})
        with Follower(FOLLOWER, path) as other:
            store.database.request = LmdbStore(path + "2", encrypt=KEY).database.request
            change_formats(store, encryption=EncryptionKey(KEY), prefix=b"hidden/")
            store["hidden/b"] = SECRET
            assert other.ask("get hidden/b") == "no key: True"
            assert other.ask("get hidden/a") == "plain"
            assert other.ask("put a") == "True"
            assert other.ask("put hidden/a") == "no key: True"
            assert other.ask("get a") == "mine"
    with pytest.raises(EncryptionKeyError):
        LmdbStore(path)


# -- nonces --------------------------------------------------------------------------------------


def test_no_two_values_have_the_same_nonce_whatever_is_opened_and_restored(path):
    seen = []

    def write(store, times=20):
        for _ in range(times):
            store["a"] = SECRET
            codec = store.database.codec
            seen.append(raw_values(store)[b"a"][1 : 1 + HEAD])
            seen.append(codec.encode(b"rolled back", SECRET)[1 : 1 + HEAD])

    for _ in range(3):
        with LmdbStore(path, encrypt=KEY, durability="none") as store:
            store.backup(path + "-saved")
            write(store)
        shutil.rmtree(path)
        shutil.move(path + "-saved", path)
    with LmdbStore(path, encrypt=KEY) as one, LmdbStore(path, encrypt=KEY) as other:
        for store in (one, other, one.copy(), one):
            write(store)
    assert len(set(seen)) == len(seen) == 2 * 20 * 7


def test_threads_never_share_a_nonce():
    key = EncryptionKey(KEY)
    barrier = threading.Barrier(8)

    def work(_):
        barrier.wait()
        return [key.encryptor(b"32").encrypt(b"a", b"")[:HEAD] for _ in range(5000)]

    with ThreadPoolExecutor(8) as threads:
        found = [nonce for part in threads.map(work, range(8)) for nonce in part]
    assert len(set(found)) == len(found) == 40_000


@pytest.mark.parametrize("with_hook", [True, False])
def test_parents_and_forks_never_share_a_nonce(with_hook, tmp_path, monkeypatch):
    """Each process appends its nonces to one file; a child has children of its own."""
    if not with_hook:  # a program that forks by a C library
        monkeypatch.setattr(encryption, "_encryptors", WeakSet())
    encryptor = EncryptionKey(KEY).encryptor(b"32")
    file = os.open(tmp_path / "nonces", os.O_CREAT | os.O_APPEND | os.O_RDWR)

    def write():
        os.write(file, b"".join(encryptor.encrypt(b"a", b"")[:HEAD] for _ in range(50)))

    def generation(depth):
        write()
        if depth:
            children = [fork(lambda: generation(depth - 1)) for _ in range(3)]
            write()
            assert all(os.waitpid(child, 0)[1] == 0 for child in children)
        write()

    generation(2)
    found = os.pread(file, 10**7, 0)
    heads = [found[start : start + HEAD] for start in range(0, len(found), HEAD)]
    assert len(set(heads)) == len(heads) == 50 * (4 * 3 + 9 * 2)


def test_a_session_ends_before_its_numbers_are_used_up(monkeypatch):
    monkeypatch.setattr(encryption, "LAST_NUMBER", 9)
    store = MemoryStore(encrypt=KEY)
    store.update((f"{n}", n) for n in range(35))
    heads = [raw[1 : 1 + HEAD] for raw in raw_values(store).values()]
    assert len({head[:12] for head in heads}) == 4
    assert len(set(heads)) == 35
    assert {int.from_bytes(head[12:], "big") for head in heads} == set(range(10))
    assert list(store.values()) == [store[f"{n}"] for n in sorted(map(str, range(35)))]


def test_values_that_are_encrypted_at_once_have_numbers_of_their_own(monkeypatch):
    monkeypatch.setattr(encryption, "LAST_NUMBER", 9)
    store = MemoryStore(encrypt=KEY)
    codec, found = store.database.codec, []
    writer = codec.writer(b"")
    for size in (4, 4, 4, 0, 1, 25):
        keys = [b"%d" % number for number in range(size)]
        values = writer.wrap_many(keys, list(map(writer.dumps, keys)))
        assert list(map(codec.decode, keys, values)) == keys
        found += [value[1 : 1 + HEAD] for value in values]
    assert len(set(found)) == len(found) == 38
    assert max(int.from_bytes(head[12:], "big") for head in found) <= 9


@pytest.mark.parametrize("compress", [None, "zstd"])
@pytest.mark.parametrize("encrypt", [None, KEY])
@pytest.mark.parametrize("checksums", [False, True])
def test_many_values_are_wrapped_as_each_of_them_is(compress, encrypt, checksums):
    codec = MemoryStore(compress=compress, encrypt=encrypt, checksums=checksums).database.codec
    writer, keys, values = codec.writer(b""), [b"a", b"b"], ["x" * 500, 7]
    wrapped = writer.wrap_many(keys, list(map(writer.dumps, values)))
    assert list(map(codec.decode, keys, wrapped)) == values
    if encrypt is None:
        assert wrapped == list(map(writer.encode, keys, values))


def test_a_signal_handler_that_writes_takes_a_number_of_its_own():
    store = MemoryStore(encrypt=KEY)
    written = []

    def handler(*_):
        written.append(store.database.codec.encode(b"a", 1)[1 : 1 + HEAD])

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        found = [store.database.codec.encode(b"a", 1)[1 : 1 + HEAD] for _ in range(20_000)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len({*found, *written}) == len(found) + len(written)


def test_readers_keep_the_keys_of_a_bounded_number_of_sessions(monkeypatch):
    monkeypatch.setattr(encryption, "_MOST_SESSIONS", 5)
    monkeypatch.setattr(encryption, "LAST_NUMBER", 0)
    store = MemoryStore(encrypt=KEY)
    store.update((f"{n}", n) for n in range(30))
    assert sorted(store.values()) == list(range(30))
    key = store.database.request.keys.newest
    assert [len(sessions) <= 5 for sessions in key._decrypts.values()] == [True]


def test_the_check_of_a_key_does_not_tell_the_key_of_a_session():
    key = EncryptionKey(KEY)
    salt = secrets.token_bytes(16).hex()
    assert key.check(salt) == key.check(salt) != EncryptionKey(OTHER).check(salt)
    assert len({key.check(secrets.token_bytes(16).hex()) for _ in range(50)}) == 50
    assert KeyRing.of(KEY).find(salt, key.check(salt)) is not None
    assert KeyRing.of(OTHER).find(salt, key.check(salt)) is None


def test_a_child_writes_what_its_parent_reads(path):
    store = LmdbStore(path, encrypt=KEY)
    store["a"] = 1
    assert in_child(lambda: store.update(b=store["a"] + 1)) == 0
    assert dict(store) == {b"a": 1, b"b": 2}
