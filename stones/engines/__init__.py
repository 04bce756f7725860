"""Engines: ordered bytes in transactions, as `stones.engine` defines them.

memory           a sorted map in memory for each space
sorted_map       the map: ordered bytes, and copies that cost nothing
lmdb/            one LMDB file a store, for many threads and processes
sqlite/          one SQLite file a store
leveldb/         one LevelDB directory a store, for one process
redis/           a store on a Redis server, for many machines
postgres/        five tables a store, on a server that others reach over the network
json_file/       one JSON file, which people can read and edit
dbm/             the files of dbm and shelve
whole_file/      what these two have in common: all in memory, written anew by each commit
buffered/        transactions whose changes are in memory until the commit
stones03         what an engine offers that may find a database of stones 0.3
compared_states  what an engine offers that can tell where two of its states differ
frozen_copies    what an engine without snapshots may offer in their place
sharing          one engine a file in a process
full_disk        has a write failed because there is no room?
processes        the name of another process, for errors
nested_write     the error for a second write transaction of a thread
group_commit     threads that write at once share one commit
"""
