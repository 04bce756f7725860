"""The language of queries: JSONPath over records, its meaning and its syntax trees.

It knows no store: a record is a plain dict.

field_paths             FieldPath: a path inside a record
record_paths            RecordPaths: the paths of queries for the records of one class
field_types             FieldTypes: where a path leads in a class, and what a value there looks like
typed_conditions        conditions written as functions of a record, each() and known()
recording               what such a function is called with
jsonpath                parse_filter, parse_values, parse_search
bound_filter            BoundFilter: a filter with the caller's values in it
parsing                 text to a syntax tree, with {placeholders} and error positions
tokens                  tokens of a text, changed into ones that jsonpath-ng can parse
quoted                  texts in quotes, as RFC 9535 defines them
syntax_tree             the steps of a tree, and the caller's values in it
normal_form             the conditions of a filter, for lanes and plans to look through
nodes                   nodes that mean more than the ones of jsonpath-ng
predicates              paths and filters as functions of one record
comparisons             comparisons as functions of one value or two
pattern_search          how a text is searched for a regular expression
membership              `in` and `contains`
ordering                how any two values compare
arithmetic              numbers of all types: their order, and calculations
arrays                  lists, tuples and sets as one kind of value
failures                what cannot be evaluated for one record
jsonpath_ng_evaluation  paths that jsonpath-ng itself evaluates
"""
