"""Engines: ordered bytes in transactions, as `stones.engine` defines them.

memory        a sorted map in memory for each space
sorted_map    the map: ordered bytes, and copies that cost nothing
lmdb/         one LMDB file a store, for many threads and processes
leveldb/      one LevelDB directory a store, for one process
redis/        a store on a Redis server, for many machines
stones03      what an engine offers that may find a database of stones 0.3
buffered      transactions whose changes are in memory until the commit
buffer        these changes, and forks of them for savepoints
backing       what an engine writes itself below such transactions
merged_pages  pages of what is stored, with changes merged into them
sqlite/       one SQLite file a store
postgres/     five tables a store, on a server that others reach over the network
sharing       one engine a file in a process
full_disk     has a write failed because there is no room?
processes     the name of another process, for errors
group_commit  threads that write at once share one commit
"""
