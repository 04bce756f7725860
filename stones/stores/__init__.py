"""Stores: the dict face of an engine, and the database below it.

opening          stone(), which opens a store of any kind
schemes          the class that a URL stands for, ours or that of another package
existing         opens what is there, by path or URL, for check and the command line
store            Store, Snapshot, MemoryStore: a store as a whole
reader           the half of the dict that reads
writer           the half of the dict that writes
many_values      writes many values in one transaction: what update() does
namespaces/      dicts of their own under a prefix of a store
tiered           Tiered: a small store in front of a large one
fast_tier        the store in front: its bound, and who may put a value into it
tier_mark        whose the store in front is, and what is left in it after a crash
transacting      transaction() and transact()
views            keys(), values(), items(), range()
read_only        a database as somebody may read it who watches over each read
spans            the keys between two bounds, and the arguments of range()
dict_keys        the keys of the dict: bytes, or str
missing_keys     the KeyError for a key that is not there
key_text         how a key is shown and typed, with escapes for bytes that are no text
copying          takes the entries of a store into another one, with its collections
copied_indexes   what a copy asks of the indexes of collections, and who answers
spelling         refuses a misspelled option where a store takes entries as keyword arguments
record_work      who does the work on all records of a collection at once
edited_records   what is made again after somebody has edited the records, and who does it
bound_to_store   refuses deep copies of what works on an open store
containers       deep_add() and deep_remove()
options          the options that every class has
figures          what stats() gives
shown_counts     the count of entries in a repr, if it can be had
lmdb             LmdbStore and its options
sqlite           SqliteStore and its options
postgres         PostgresStore and its options
leveldb          LevelDBStore and its options
redis            RedisStore and its options
json_file        JsonFileStore and its options
dbm              DbmStore and its options
whole_file       what these two have in common
timeout          the option that limits how long a write waits for other writers
backup           a copy of a whole store

database         an engine, its formats and the open transaction; collections work on it too
database_reader  what a database and a snapshot of it have in common
transactions     the transaction that a thread or an asyncio task is in
sorted_entries   sorts more entries than memory should hold
claims           which keys belong to which collection, and how many records it has
step_keys        where the metadata keeps how far records have come through migrations
"""
