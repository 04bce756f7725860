"""Planning: how a selection is answered, through an index, the primary key, or a scan.

Answers and their order never depend on the plan.

plain_page        a page of all records in key order, without a plan
selection         Selection: which records a query wants in which order, as a value
sort_fields       SortField: what records are sorted by, and the place of a record in an order
execution         how a selection is answered
scanning          how a selection is answered by reading all records
ordered_scan      many matching records in an order, read again once they are sorted
choosing          the choice of a plan for one query: Choice
plan              the ways to find records through indexes, without a store
ranges            the values that fulfil a condition, as ranges of ordered bytes
key_ranges        the primary key as an index
same_conditions   whether two conditions are the same
usable_indexes    which indexes a query may use
probing           which way is the shortest: ask the indexes
index_reading     the keys of records, from the entries of an index
index_execution   how a selection is answered through indexes
ordered_walk      an index followed in its order
point_lookup      one record by a unique value
covering          values from the entries of an index alone
covered_values    the values of a selection from such entries
record_fetching   records read by their keys
explain           Plan: what a query does, in words
measured_reading  a reader that counts what is read
result_order      the records of a selection in its order, by sorting
"""
