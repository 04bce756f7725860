"""Values in another format: by another serializer, compressed, encrypted, or with checksums.

reencode        `migrate`: the check, the beginning, the batches, the end
target          what a migration makes of every value
recoding        one value, from the format that it has to the target
samples         takes samples of values, for a dictionary
listed_formats  the formats that a migration lists at its end
"""
