"""Scans: the records that match a filter, found by looking at all of them, in three lanes.

Each lane leaves to the next one what it is not sure of. Answers never depend on the lane.

scan             matches(), keys(), field_values(), count(): what a query asks for
page_filter      PageFilter: which lane looks at a page, and what remains for the value lane
conditions       the conditions of a filter, as the lanes need them
page             the stored bytes of a page, and which of them the fast lanes can read
unpacking        compressed and encrypted values, unpacked for the fast lanes
notations        how each serializer writes names and values
number_patterns  patterns for the bytes of all numbers that compare so with a number
byte_patterns    the bytes lane: what the bytes of every match contain
byte_search      the bytes lane: the values of a page that contain it
field_lane       the fields lane: msgspec decodes only the fields of a filter, a page in one call
documents        the fields lane: pages as documents for msgspec
field_source     the fields lane: generated source that tests these fields
"""
