"""Queries: what `find()` returns, and what can be asked of it.

query            Query: the matching records, as find() returns them
query_reader     the half of it that reads
bulk_changes     update() and delete() of all records of a query
grouping         GroupedQuery: the records of a query in groups
aggregates       sum, mean, min, max, count, and distinct values
exact_sums       sums that do not depend on the order of the numbers
cursors          the place where a page ends, as text
tables           the records of a query as a table of pyarrow or pandas
queried_records  QueriedRecords: the records, with all that a query needs to ask for them
"""
