"""Collections as a whole: renamed, copied, split, merged and dropped, each in one transaction.

moving_work        the methods that `Collection` calls
renaming           another name
copying            a copy, and the records that `split` moves
merging            the records of another collection
dropping           removes a collection
stored_collection  all that the store keeps of a collection, beside its records
stored_values      a stored value under another key
"""
