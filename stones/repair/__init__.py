"""A store as a whole, damaged or not.

info              the formats, collections and sizes of a store; decodes no value
format_use        how much of a store is in which format
listing           the collections and indexes of a store, by its metadata
check             looks for damage in a store of any kind
file_check        looks for damage in an LMDB file, page by page
engine_check      looks for damage through an engine, in one transaction
examination       what was seen of a store, and what is to be mended
value_check       the values of a store, and what is derived from them
index_check       compares all entries of indexes with all records
mending           makes counts and indexes again from the records
salvage           writes what can be read of an LMDB file into a new store
salvaged_indexes  builds the indexes of a salvaged store
compacting        gives the free space of an LMDB file back to the disk
speed             how fast a store is on this machine
scratch           a store in the same place that is removed at the end
counted_entries   entries that are counted, to tell the progress
findings          what check and salvage report
contents          metadata and entries read with distrust, for check and salvage
file_entries      the entries in the pages of an LMDB file
index_metadata    the indexes that the metadata defines, read with distrust
step_metadata     how far records have come through migrations, read with distrust
held_snapshot     a child process that holds a snapshot of an LMDB file
"""
