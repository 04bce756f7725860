"""The engine on LevelDB: one directory a store, many threads of one process.

engine         LevelDBEngine: who may open it, the writer lock, group commit
backing        what a transaction reads, and its commit as one batch
open_database  the open database, which is closed while no thread is inside of it
compaction     gives the room of removed entries back to the disk
place          is a database in a directory, can one be made there, and removing it
"""
