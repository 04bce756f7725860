"""Stores: the dict face of an engine.

opening       stone(), which opens a store of any kind
store         Store, Snapshot
reader        the half of the dict that reads
views         keys(), values(), items(), range()
containers    deep_add() and deep_remove()
lmdb          LmdbStore and its options
transactions  the transaction that a thread or an asyncio task is in
claims        which keys belong to which collection, and how many records it has
"""
