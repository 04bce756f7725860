"""Records: an attrs class to a plain dict, and back.

record_type   RecordType, what a collection knows of its class; and key()
class_tag     the key of a stored dict that names its class
classes       Schema, the fields of a class, and how its instances are stored
fields        Field, a field of such a class
constructors  what the constructor of a class takes
generated     the source of the functions that convert the instances of a class
field_classes the fields of a dataclass or a NamedTuple, as the type of a field
annotations   the type of each field, with names resolved
conversion    Conversion, the two functions that store and read a type's values
converters    ConversionBuilder, which chooses the conversion of a type
plain_values  conversions of plain values and of containers
plain_forms   values of JSON, as the class stores them
text_forms    cells of CSV, as the class stores them
quick_check   the stored dict of a dict, without an instance
simple_values which annotations have stored values that are encoded faster
unions        conversions of enums, literals, and one of several types
stored_forms  values with several stored forms that are read as the same value
registered    conversions of the types of `register_type`
tagged_unions one of several attrs classes
parts         where the dicts of classes lie inside a stored value
reading_rules how dicts are read that have other fields than their class
defaults      the defaults of fields that a collection keeps
messages      how error messages show an annotation, and a value of another class
"""
