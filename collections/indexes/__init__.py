"""Indexes: the records of a collection in the order of other fields than the key.

definition    IndexDefinition: what an index is, and how the metadata holds it
entries       the entries that a record has in an index, and the ranges of a search
maintenance   keeps the entries with the records, in the transaction of each change
generated     the same entries for the usual values, by generated source
verification  compares every entry with every record
encoding      any value as ordered bytes, which end by themselves
numbers       numbers as ordered bytes

A program declares an index with `stones.collections.index_declarations`.
`stones.collections.stored_indexes` reads the indexes of one collection, and
`stones.collections.index_building` builds them.
"""
