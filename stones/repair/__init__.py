"""A store as a whole, damaged or not.

info           what is in a store, decoding nothing
check          looks for damage
salvage        writes what can be read into a new store
contents       what check and salvage share: metadata and entries, read with distrust
held_snapshot  a child process that holds one state of the file
"""
