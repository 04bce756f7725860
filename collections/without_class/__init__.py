"""Collections without their class: records as dicts, by what the store says of them.

opening         `Collection.without_class`: the records of a collection as dicts
dict_schema     the fields of records, and of the dicts inside, by the stored description
observed        which types the fields have in some of the stored records
key_fields      which fields of the stored records are their key
field_values    the values of fields, as people type them and as JSON has them
"""
