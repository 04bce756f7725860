"""The engine on disk: one LMDB file in a directory.

engine               LmdbEngine: reads, writes, copies, closes
begins               begins transactions: the locks that they wait for
open_file            the file as this process has it open: environment and databases
place                does the path still lead to the files that are open?
transaction          LmdbTransaction: get, put, delete, scan, savepoints
scans                the entries in key order, one by one and in pages
batches              many entries to put, in lists for one call of LMDB
writer_lock          which thread has the one write transaction, and who may end it
process_lock         which process has it; waits no longer than it is told
lock_holder          the thread that has LMDB's lock, for errors
page_reader          reads while another process writes, before the databases are open
unregistered_reader  reads where lock.mdb cannot be written
databases            the named database of each space; the layout of stones 0.3
environment          opens the LMDB environment: map size, table of readers, fork
directory            is a store there, is the place free, remove it, wait for the disk
other_kinds          the URL of a store of another kind at the path, for errors
utf8_path            paths that are not UTF-8
errors               LMDB's errors as ours
growth               grows the map where addresses are scarce
file_copy            a copy of the file at one moment
changed_spans        where two states of the file differ
repacking            writes the entries of a snapshot into a fresh file
compaction           compact(): repacks the file in its place
sole_use             keeps all other programs away while the file is replaced
new_directory        a directory that appears whole or not at all
file/                the file, read page by page without LMDB
"""
