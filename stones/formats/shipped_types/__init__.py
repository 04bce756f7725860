"""The types of other packages that json, cbor and msgpack hold, without a call of `register_type`.

paths       the paths of pathlib
addresses   the addresses, networks and interfaces of ipaddress
fraction    fractions.Fraction
arrays      the arrays and scalars of numpy

`stones.formats.registered_types` imports each module when the package is used. A module has a list
`TYPES`. The functions for unpacking check what they get, because a stored value may be hostile.
"""
