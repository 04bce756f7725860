"""The engine on Redis: optimistic transactions, and what Redis cannot promise told.

engine   RedisEngine: runs changes again that are in conflict
backing  what a transaction has read, and its commit by one script
frozen   a copy of a store on its server, which a program reads while others write
scripts  the scripts that run inside of the server
places   the names of a store's keys, and whether they are its own
server   connections, commands and their errors
address  the URL of a store: its parts, and how messages show it
"""
