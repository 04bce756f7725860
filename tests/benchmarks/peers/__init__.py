"""The peers of collections: other ways to keep records in a file with Python.

One module has one peer, and its class `Peer` has the verbs of `peer.Peer`. `without_indexes` has
the queries of those that only know keys. A module imports its package, so it cannot be imported
where the package is not installed.
"""
