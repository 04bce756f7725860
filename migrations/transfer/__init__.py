"""A store in another place: `copy`, between any two engines, while programs use the store.

copying      `copy`, and what it reports
rounds       one run of a copy: its rounds, from the lock of the target to its end
places       opens the two stores, and says which place a store has
source       the store that is copied: its states, its sums, its formats
target       the store that is written: the note of an unfinished copy, batches, the end
readability  whether the named serializer reads values that do not note theirs
differences  what differs between two states, by pages of entries
conversion   the stored bytes in the target: as they are, or encoded anew
sameness     whether two values are the same, with the types of their parts
limits       what the engine of the target cannot hold
"""
