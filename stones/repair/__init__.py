"""A store as a whole, damaged or not.

info              the formats, collections and sizes of a store; decodes no value
check             looks for damage
value_check       the values of a store, and what is derived from them
index_check       compares all entries of indexes with all records
sorted_entries    sorts more entries than memory should hold
mending           makes counts and indexes again from the records
salvage           writes what can be read into a new store
salvaged_indexes  builds the indexes of a salvaged store
findings          what check and salvage report
contents          metadata and entries read with distrust, for check and salvage
index_metadata    the indexes that the metadata defines, read with distrust
held_snapshot     a child process that holds a snapshot of the file
"""
