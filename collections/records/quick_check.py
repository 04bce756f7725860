"""The stored dict of a dict, without an instance of the class: for many dicts of a file.

`Schema.load` makes an instance of a dict, and `Schema.dump` the stored dict of the instance. Where
the class cannot change a field or refuse it, the way over the instance shows nothing new.
"""

from .classes import Schema
from .constructors import makes_instances_itself
from .conversion import Conversion, Convert
from .generated import generated_check


def quick_check(schema: Schema, around: tuple[Schema, ...] = ()) -> Convert | None:
    """What makes of a dict what `load` and then `dump` make of it, or None if they must do it.

    None instead of the function if the class may change fields, or refuse them, or if a field needs
    its conversion. `around` are the classes that this one is in. The dict must be the caller's own:
    its containers become those of the stored dict.
    """
    if schema.is_reread or schema.non_arguments or makes_instances_itself(schema.cls):
        return None
    inside: dict[str, Convert] = {}
    for field in schema.fields.values():
        conversion = field.conversion
        part = _class_of(conversion) or _class_of_items(conversion)
        if part is not None:
            check = None if part in (*around, schema) else quick_check(part, (*around, schema))
            if check is None:
                return None
            inside[field.name] = check
        elif not conversion.exact_types and conversion.copied is None:
            return None
    return generated_check(schema.cls, [*schema.fields.values()], inside)


def _class_of(conversion: Conversion) -> Schema | None:
    """The class of a field that is a class, or None beside it."""
    part = conversion.part
    is_class = isinstance(part, Schema) and conversion.of_class is part.functions
    return part if is_class and isinstance(part, Schema) else None


def _class_of_items(conversion: Conversion) -> Schema | None:
    """The class of the items of a list."""
    if conversion.stored_types != {list} or len(conversion.items) != 1 or conversion.has_forms:
        return None
    item = conversion.items[0]
    return None if item.members else _class_of(item)
