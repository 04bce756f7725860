"""The dictionaries of encrypted values: no part of a value is stored where it can be read."""

from pathlib import Path

import pytest
from attrs import define
from cryptography.exceptions import InvalidTag

from stones import (
    Collection,
    CorruptValueError,
    EncryptionKeyError,
    LmdbStore,
    check,
    compact,
    copy,
    inspect,
    key,
    migrate,
    salvage,
)
from stones.engine import Space
from stones.formats.dictionaries import PREFIX, is_sealed, unsealed, write_dictionaries
from stones.formats.dictionaries import sealed as sealed_bytes
from stones.formats.encryption import EncryptionKey
from stones.formats.generation import next_generation
from stones.migrations import batches

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
SECRET = "the patient has a secret illness"
COUNT = 1500


@define
class Patient:
    number: int = key()
    note: str = ""


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "db")


def values(text=SECRET, count=COUNT, prefix=""):
    return {
        f"{prefix}{n:05}".encode(): {"note": f"{text}, case {n}", "n": n / 7} for n in range(count)
    }


def filled(path, *parts, **options):
    store = LmdbStore(path, serialize="json", **options)
    for part in parts or (values(),):
        store.update(part)
    return store


def metadata(store):
    return dict(store.database.engine.begin().scan(Space.META))


def dictionaries(store):
    """The dictionaries of a store by their numbers, as they are stored after their checksums."""
    found = [each for each in metadata(store).items() if each[0].startswith(PREFIX)]
    return {int(name.removeprefix(PREFIX)): raw[4:] for name, raw in found}


def put_dictionaries(txn, contents):
    write_dictionaries(txn, contents)
    next_generation(txn)


def in_file(path, text=SECRET):
    compact(path)
    return text.encode() in Path(path, "data.mdb").read_bytes()


def in_metadata(store, text=SECRET):
    return any(text.encode() in raw for raw in metadata(store).values())


def formats(store, prefix=b""):
    found = store.database.metadata()
    used = {
        raw[0] for k, raw in store.database.engine.begin().scan(Space.DATA) if k.startswith(prefix)
    }
    return {
        (found.formats[id].dictionary is not None, found.formats[id].encryption is not None)
        for id in used
    }


class StopHereError(Exception):
    pass


def interrupted(store, **options):
    def stop(done, steps):
        if done >= 0.75 * steps:
            raise StopHereError

    with pytest.raises(StopHereError):
        migrate(store, **options, progress=stop)


@pytest.fixture
def short_batches(monkeypatch):
    monkeypatch.setattr(batches, "ENTRIES", 100)


@pytest.fixture
def sealed(path):
    with filled(path) as store:
        migrate(store, compress="zstd", encrypt=KEY)
    return path


def test_a_plain_dictionary_has_parts_of_values(path):
    with filled(path) as store:
        migrate(store, compress="zstd")
        assert in_metadata(store)
    assert in_file(path)


def test_the_dictionary_of_encrypted_values_is_encrypted(path):
    with filled(path) as store:
        migrate(store, compress="zstd", encrypt=KEY)
        assert not in_metadata(store)
        assert [is_sealed(each) for each in dictionaries(store).values()] == [True]
        assert formats(store) == {(True, True)}
        store["new"] = SECRET
    assert not in_file(path)
    with LmdbStore(path, encrypt=KEY) as store:
        assert dict(store) == {**values(), b"new": SECRET}
        assert migrate(store, compress="zstd", encrypt=KEY).values == 0
        assert check(store).sound


@pytest.mark.parametrize("order", [1, -1])
def test_no_plain_dictionary_is_left_at_the_end_of_a_migration(path, order):
    with filled(path) as store:
        for options in [{"compress": "zstd"}, {"encrypt": KEY}][::order]:
            migrate(store, **options)
        assert not in_metadata(store)
        assert [is_sealed(each) for each in dictionaries(store).values()] == [True]
        assert formats(store) == {(True, True)}
        assert dict(store) == values()
    assert not in_file(path)
    with LmdbStore(path, encrypt=KEY) as store:
        assert dict(store) == values()


def test_another_serializer_gets_an_encrypted_dictionary_too(path):
    with filled(path) as store:
        migrate(store, compress="zstd", encrypt=KEY)
        migrate(store, "msgpack")
        assert formats(store) == {(True, True)}
        assert [is_sealed(each) for each in dictionaries(store).values()] == [True]
    assert not in_file(path)
    with LmdbStore(path, encrypt=KEY) as store:
        assert dict(store) == values()


def test_a_new_key_gets_a_dictionary_of_its_own(path):
    with filled(path) as store:
        migrate(store, compress="zstd", encrypt=KEY)
        before = dictionaries(store)
        assert migrate(store, encrypt=[OTHER, KEY]).values == COUNT
        after = dictionaries(store)
        assert len(after) == 1
        assert not after.keys() & before.keys()
        assert not in_metadata(store)
    assert not in_file(path)
    with LmdbStore(path, encrypt=OTHER) as store:  # the old key is not needed any more
        assert dict(store) == values()
        assert formats(store) == {(True, True)}
        store["new"] = SECRET
        assert store["new"] == SECRET
    with pytest.raises(EncryptionKeyError, match="does not decrypt"):
        LmdbStore(path, encrypt=KEY)
    with pytest.raises(EncryptionKeyError, match="is encrypted"):
        LmdbStore(path)


@pytest.mark.parametrize("options", [{"encrypt": KEY}, {"encrypt": KEY, "to": "msgpack"}])
def test_an_interrupted_encryption_goes_on_with_its_dictionary(path, options, short_batches):
    with filled(path) as store:
        migrate(store, compress="zstd")
        interrupted(store, **options)
        assert dict(store) == values()
        begun = {number for number, each in dictionaries(store).items() if is_sealed(each)}
    with LmdbStore(path, encrypt=KEY) as store:
        assert dict(store) == values()
        assert 0 < migrate(store, **options).values < COUNT
        assert {*dictionaries(store)} == begun
        assert dict(store) == values()
    assert not in_file(path)


def test_decrypted_values_get_a_plain_dictionary(sealed):
    with LmdbStore(sealed, encrypt=KEY) as store:
        assert migrate(store, encrypt=False).values == COUNT
        assert [is_sealed(each) for each in dictionaries(store).values()] == [False]
    with LmdbStore(sealed) as store:
        assert dict(store) == values()
        assert formats(store) == {(True, False)}


# -- a part of a store ---------------------------------------------------------------------------

PUBLIC = "everybody may read this sentence"


def test_a_collection_alone_is_encrypted_with_its_dictionary(path):
    records = [Patient(n, f"{SECRET}, case {n}") for n in range(COUNT)]
    with filled(path, values(PUBLIC)) as store:
        patients = Collection(store, Patient)
        patients.add_many(records)
        migrate(patients, compress="zstd", encrypt=KEY)
        assert not in_metadata(store)
        assert formats(store, b"Patient/") == {(True, True)}
    assert not in_file(path)
    with LmdbStore(path, encrypt=KEY) as store:
        assert list(Collection(store, Patient)) == list(range(COUNT))
        assert list(Collection(store, Patient).values()) == records


@pytest.mark.parametrize("order", [1, -1])
def test_a_plain_dictionary_has_no_part_of_values_that_are_encrypted_by_a_rule(path, order):
    public, secret = values(PUBLIC, prefix="public/"), values(prefix="secret/")
    steps = [{"encrypt": KEY, "prefix": "secret/"}, {"compress": "zstd"}]
    with filled(path, public, secret) as store:
        for options in steps[::order]:  # -1: the first dictionary has parts of all values
            migrate(store, **options)
        assert not in_metadata(store)
        assert in_metadata(store, PUBLIC)
        assert formats(store, b"secret/") == {(True, True)}
        assert formats(store, b"public/") == {(True, False)}
        assert dict(store) == {**public, **secret}
    assert not in_file(path)
    with LmdbStore(path, encrypt=KEY) as store:
        assert dict(store) == {**public, **secret}
        assert migrate(store, compress="zstd").values == 0


def test_the_decryption_of_a_part_shows_no_other_part(path):
    public, secret = values(PUBLIC, prefix="public/"), values(prefix="secret/")
    with filled(path, public, secret) as store:
        migrate(store, compress="zstd", encrypt=KEY)
        migrate(store, encrypt=False, prefix="public/")
        assert not in_metadata(store)
        assert formats(store, b"secret/") == {(True, True)}
        assert formats(store, b"public/") == {(True, False)}
    assert not in_file(path)
    with LmdbStore(path, encrypt=KEY) as store:
        assert dict(store) == {**public, **secret}


def test_two_keys_of_one_store_have_two_dictionaries(path):
    one, other = values(prefix="one/"), values(PUBLIC, prefix="other/")
    with filled(path, one, other) as store:
        migrate(store, encrypt=KEY, prefix="one/")
        migrate(store, encrypt=OTHER, prefix="other/")
        migrate(store, compress="zstd")
        assert [is_sealed(each) for each in dictionaries(store).values()] == [True, True]
        assert formats(store) == {(True, True)}
    assert not in_file(path)
    assert not in_file(path, PUBLIC)
    with LmdbStore(path, encrypt=[KEY, OTHER]) as store:
        assert dict(store) == {**one, **other}


# -- stores of earlier versions ------------------------------------------------------------------


def with_a_plain_dictionary(path):
    """A store as earlier versions made it: encrypted, with a dictionary that is not."""
    with filled(path) as store:
        migrate(store, compress="zstd")
        (plain,) = dictionaries(store).values()
        migrate(store, encrypt=KEY)
        (number,) = dictionaries(store)

        def expose(txn):
            put_dictionaries(txn, {number: plain})
            store.database.reload(txn)
            for each, value in values().items():
                txn.put(Space.DATA, each, store.database.codec.encode(each, value))

        store.database.write(expose)
        assert in_metadata(store)


@pytest.mark.parametrize("options", [{"encrypt": KEY}, {"compress": "zstd"}, {"to": "msgpack"}])
def test_the_plain_dictionary_of_an_encrypted_store_is_read_until_it_is_migrated(path, options):
    with_a_plain_dictionary(path)
    with LmdbStore(path, encrypt=KEY) as store:
        assert dict(store) == values()
        assert migrate(store, **options).values == COUNT
        assert [is_sealed(each) for each in dictionaries(store).values()] == [True]
        assert migrate(store, **options).values == 0
    assert not in_file(path)
    with LmdbStore(path, encrypt=KEY) as store:
        assert dict(store) == values()


def test_a_dictionary_that_earlier_versions_have_left_goes_with_the_next_migration(path):
    with filled(path) as store:
        migrate(store, compress="zstd")
        old = dictionaries(store)
        migrate(store, encrypt=KEY)
        both = {**old, **dictionaries(store)}
        store.database.engine.write(lambda txn: put_dictionaries(txn, both))
        assert in_metadata(store)
        assert migrate(store, encrypt=KEY).values == 0
        assert not in_metadata(store)
        assert dict(store) == values()


# -- without the key, copies, damage -------------------------------------------------------------


def test_inspect_check_and_salvage_need_no_key(sealed):
    with LmdbStore(sealed, encrypt=KEY) as store:
        (stored,) = dictionaries(store).values()
    (found,) = inspect(sealed).formats
    assert (found.encrypted, found.dictionary_size) == (True, len(stored))
    report = check(sealed)
    assert (report.sound, report.unread) == (True, COUNT)
    assert check(sealed, encrypt=KEY).unread == 0
    assert salvage(sealed, sealed + "-new").unread == COUNT
    with LmdbStore(sealed + "-new", encrypt=KEY) as store:
        assert dict(store) == values()
    assert not in_file(sealed + "-new")


def test_copies_carry_the_encrypted_dictionary(sealed):
    copy(sealed, sealed + "-copy")
    with LmdbStore(sealed, encrypt=KEY) as store:
        store.backup(sealed + "-saved")
        store.namespace("n/").update(values())
        with store.copy() as twin, store.namespace("n/").copy() as inside:
            assert dict(twin) == dict(store)
            assert dict(inside) == values()
            for each in (twin, inside):
                assert dictionaries(each) == dictionaries(store)
    for name in ("-copy", "-saved"):
        assert not in_file(sealed + name)
        with LmdbStore(sealed + name, encrypt=KEY) as store:
            assert dict(store) == values()


def test_a_copy_during_an_encryption_has_no_plain_dictionary(path, short_batches):
    with filled(path) as store:
        migrate(store, compress="zstd")
        interrupted(store, encrypt=KEY)
        with store.copy() as twin:
            assert not in_metadata(twin)
            assert dict(twin) == values()


def test_a_snapshot_from_before_the_end_reads_by_the_old_dictionary(path):
    with filled(path) as store:
        migrate(store, compress="zstd")
        with store.snapshot() as view:
            migrate(store, encrypt=KEY)
            assert dict(view) == values() == dict(store)


def test_a_value_that_was_read_before_the_end_of_a_migration_is_decoded_after_it(path):
    with filled(path) as store:
        migrate(store, compress="zstd")
        name, raw = next(iter(store.database.engine.begin().scan(Space.DATA)))
        migrate(store, encrypt=KEY)
        for _ in range(2):
            assert store.database.decode(name, raw) == values()[name]
            migrate(store, encrypt=[OTHER, KEY])


@pytest.mark.parametrize("damage", [lambda raw: raw[:5], lambda raw: raw[:-1] + b"x", bytes.lower])
def test_a_dictionary_that_was_changed_is_told(sealed, damage):
    with LmdbStore(sealed, encrypt=KEY) as store:
        ((number, stored),) = dictionaries(store).items()
        assert damage(stored) != stored
        store.database.engine.write(lambda txn: put_dictionaries(txn, {number: damage(stored)}))
    with (
        LmdbStore(sealed, encrypt=KEY) as store,
        pytest.raises(CorruptValueError, match=r"dictionary 1.*cannot be decrypted"),
    ):
        store["00001"]


def test_an_encrypted_dictionary_has_one_number_and_one_key():
    one, other = EncryptionKey(KEY), EncryptionKey(OTHER)
    stored = sealed_bytes(b"of values", 1, one)
    assert unsealed(stored, 1, one) == unsealed(stored, 1, EncryptionKey(KEY)) == b"of values"
    for number, key_of_values in [(2, one), (1, other)]:
        with pytest.raises(InvalidTag):
            unsealed(stored, number, key_of_values)
    assert len({sealed_bytes(b"of values", 1, one) for _ in range(50)}) == 50
