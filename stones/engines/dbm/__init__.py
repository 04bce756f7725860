"""The engine in the files of dbm and shelve.

engine  DbmEngine: the entries of such files, ours and those of other programs
kinds   the kinds of files: reading and writing all of a file
"""
