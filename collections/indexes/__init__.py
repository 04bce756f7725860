"""Indexes: the records of a collection in the order of other fields than the key.

encoding      any value as ordered bytes, which end by themselves
numbers       numbers as ordered bytes
"""
