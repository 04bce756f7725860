"""The engine on SQLite: one file a store, for many threads and processes.

engine       SqliteEngine: begins transactions, reads, writes, closes
transaction  SqliteTransaction: put, delete, many entries, savepoints, counts, its end
reading      the half of it that reads: get, many keys, scans
refusals     what a transaction refuses: use after its end, values that are too large
rows         the entries of a scan, in pages
connections  the connections of a process to a file: kept, closed, left at a fork
opening      opens a connection, and makes or checks the tables
statements   the SQL, and the tables
place        the three files: do the paths still lead to them, and removing them
compaction   gives free pages back to the disk
waiting      waits for the writers of other processes, and names them
errors       SQLite's errors as ours
"""
