"""Records: an attrs class to a plain dict, and back.

record_type   RecordType, what a collection knows of its class; and key()
classes       Schema, the fields of a class, and how its instances are stored
field_classes the fields of a dataclass or a NamedTuple, as the type of a field
annotations   the type of each field, with names resolved
converters    ConversionBuilder, which chooses the conversion of a type
plain_values  conversions of plain values and of containers
unions        conversions of enums, literals, and one of several classes
unordered     values with a set inside that is stored as a list, in any order
registered    conversions of the types of `register_type`
messages      how error messages show an annotation
"""
