"""Queries: JSONPath over the records of a collection.

query                   Query: the matching records, as find() returns them
query_reader            the half of it that reads
bulk_changes            update() and delete() of all records of a query
grouping                GroupedQuery: the records of a query in groups
aggregates              sum, mean, min, max, count, and distinct values
exact_sums              sums that do not depend on the order of the numbers
cursors                 the place where a page ends, as text
tables                  the records of a query as a table of pyarrow or pandas
queried_records         QueriedRecords: the records, with all that a query needs to ask for them
selection               Selection: which records a query wants in which order, as a value
field_paths             FieldPath: a path inside a record
sort_fields             SortField: what records are sorted by, and the place of a record in an order
execution               how a selection is answered
scanning                how a selection is answered by reading all records
ordered_scan            many matching records in an order, read again once they are sorted
choosing                the choice of a plan for one query: Choice
plan                    the ways to find records through indexes, without a store
ranges                  the values that fulfil a condition, as ranges of ordered bytes
key_ranges              the primary key as an index
same_conditions         whether two conditions are the same
usable_indexes          which indexes a query may use
probing                 which way is the shortest: ask the indexes
index_reading           the keys of records, from the entries of an index
index_execution         how a selection is answered through indexes
ordered_walk            an index followed in its order
point_lookup            one record by a unique value
covering                values from the entries of an index alone
covered_values          the values of a selection from such entries
record_fetching         records read by their keys
explain                 Plan: what a query does, in words
measured_reading        a reader that counts what is read
result_order            the records of a selection in its order, by sorting
record_paths            RecordPaths: the paths of queries for the records of one class
field_types             FieldTypes: where a path leads in a class, and what a value there looks like
typed_conditions        conditions written as functions of a record, each() and known()
recording               what such a function is called with
jsonpath                parse_filter, parse_values, parse_search
parsing                 text to a syntax tree, with {placeholders} and error positions
tokens                  tokens of a text, changed into ones that jsonpath-ng can parse
quoted                  texts in quotes, as RFC 9535 defines them
syntax_tree             the steps of a tree, and the caller's values in it
normal_form             the conditions of a filter, for lanes and plans to look through
nodes                   nodes that mean more than the ones of jsonpath-ng
predicates              paths and filters as functions of one record
comparisons             comparisons as functions of one value or two
membership              `in` and `contains`
ordering                how any two values compare
arithmetic              numbers of all types: their order, and calculations
arrays                  lists, tuples and sets as one kind of value
failures                what cannot be evaluated for one record
jsonpath_ng_evaluation  paths that jsonpath-ng itself evaluates
"""
