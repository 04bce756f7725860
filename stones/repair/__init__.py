"""A store as a whole, damaged or not.

info           the formats, collections and sizes of a store; decodes no value
check          looks for damage
salvage        writes what can be read into a new store
contents       metadata and entries read with distrust, for check and salvage
held_snapshot  a child process that holds a snapshot of the file
"""
