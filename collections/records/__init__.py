"""Records: an attrs class to a plain dict and back.

record_type   RecordType, and key()
classes       the fields of a class
annotations   the type of each field, with names resolved
converters    which conversion a type gets
plain_values  conversions of plain values and of containers
unions        conversions of enums, literals, and one of several classes
"""
