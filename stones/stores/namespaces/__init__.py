"""Dicts of their own under a prefix of a store.

namespace    Namespace: the dict
database     a database as a namespace sees it
owner        which dict of a store writes a key: a namespace, or the store itself
transaction  a transaction as a namespace sees it, which keeps its claim and its count
"""
