"""Indexes: the records of a collection in the order of other fields than the key.

definition    IndexDefinition: what an index is, and how the metadata holds it
entries       the entries that a record has in an index, and the ranges of a search
encoding      any value as ordered bytes, which end by themselves
numbers       numbers as ordered bytes
"""
