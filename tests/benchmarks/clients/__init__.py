"""Each engine's own client by hand: the floor of a store on that engine.

One module has one engine. Its `sides` is a context manager that gives a `Client` and a new store
beside it, in the same file system or on the same server. A module imports the client of its engine,
so it cannot be imported where that is not installed.
"""
