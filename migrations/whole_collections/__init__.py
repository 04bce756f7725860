"""Collections as a whole: renamed, copied, split, merged and dropped, each in one transaction.

`moving_work` has the methods that `Collection` calls. `renaming`, `copying` (also for `split`),
`merging` and `dropping` have one of them each. `stored_collection` knows all that the store keeps
of a collection, and `stored_values` gives a stored value another key.
"""
