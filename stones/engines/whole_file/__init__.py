"""What the engines of JSON and dbm have in common: all in memory, written anew by each commit.

engine    WholeFileEngine: begins transactions, reads files again, commits
contents  what it asks of its files
lock      the lock of the writers of all processes
replaced  writing files so that they are there whole or not at all
"""
