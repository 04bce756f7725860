"""Queries: JSONPath over the records of a collection.

query                   Query, what find() returns
jsonpath                parses a path; jsonpath-ng says what it means
predicates              paths and filters as functions of one record
comparisons             comparisons as functions
jsonpath_ng_evaluation  what is left to jsonpath-ng to evaluate
prefilter               bytes that a matching record must contain
"""
