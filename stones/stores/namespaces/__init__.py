"""Dicts of their own under a prefix of a store.

namespace    Namespace: the dict
database     a database as a namespace sees it
transaction  a transaction as a namespace sees it, which keeps its claim and its count
"""
