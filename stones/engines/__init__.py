"""Engines: ordered bytes in transactions, as `stones.engine` defines them.

memory         a sorted map in memory for each space
sorted_map     the map: ordered bytes, and copies that cost nothing
lmdb/          one LMDB file a store, for many threads and processes
sqlite/        one SQLite file a store
leveldb/       one LevelDB directory a store, for one process
redis/         a store on a Redis server, for many machines
postgres/      five tables a store, on a server that others reach over the network
json_file      one JSON file, which people can read and edit
json_keys      the keys and values as they stand in it
json_problems  where a text is no JSON, and why
dbm_files      the files of dbm and shelve
dbm_kinds      the kinds of such files: reading and writing all of a file
whole_file     the engine of these: all in memory, and files that each commit writes anew
file_contents  what that engine asks of its files
file_lock      the lock of the writers of all processes
replaced_file  writing files so that they are there whole or not at all
stones03       what an engine offers that may find a database of stones 0.3
buffered       transactions whose changes are in memory until the commit
buffer         these changes, and forks of them for savepoints
backing        what an engine writes itself below such transactions
merged_pages   pages of what is stored, with changes merged into them
sharing        one engine a file in a process
full_disk      has a write failed because there is no room?
processes      the name of another process, for errors
group_commit   threads that write at once share one commit
"""
