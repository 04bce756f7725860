"""Imports: the entries of files that other programs have written, into a store or a collection.

importing      `import_from`: one transaction, and the report
kinds          the kinds of files, and which kind a file is of
sources        what all kinds share: the entries of a file, and errors in it
targets        where entries go: the raw keys of a store, or a collection
json_text      JSON of any program, and of `stones export`
json_lines     JSON Lines
json_folder    a folder of JSON files
csv_table      CSV with a header
tinydb         the file of TinyDB
nedb           the file of NeDB, which is a log
shelves        the files of `shelve` and `dbm`
sqlitedict     the tables of sqlitedict
diskcache      the folder of a `Cache` or a `FanoutCache` of diskcache
stones03       a database of stones 0.3
sqlite_file    a file of SQLite, opened so that it stays as it is
pickled        pickled values, for those who trust them
"""
