"""What the pages show, computed from a store or a collection, without HTML and without a request.

store_page      the first page: collections, namespaces, prefixes, sizes, growth
growth          how a store has grown while it was served
plots           small plots, as numbers for SVG
prefixes        the prefixes of keys, found by jumping from one to the next
records_page    a page of the table of records: rows, columns, orders, and where to go on
page_reading    the records of a page, and the cursors that lead to the pages around it
filter_error    why a filter cannot be used, with the place in its text
cells           a value in a cell of the table
record_page     one record as a tree
value_tree      a value as a tree: each part with its type
value_text      one value as text, with the name of its type
keys_page       a page of the keys of the store, with the sizes and formats of their values
entry_page      one entry of the store: its bytes, and its value as a tree
stored_value    the stored bytes of a value: their size and format
texts           texts made printable and cut, sizes, ages
"""
