"""Out of a store: JSON Lines, CSV, Arrow and Parquet.

exporting     `export_to`, and what it reports
sources       what can be exported: the rows of a store, a collection or a range
entry_pages   the entries of a store, a page at a time, with kept defaults
columns       rows as cells, for forms that have columns
json_lines    JSON Lines, which can be imported again without loss
csv_rows      CSV with a header
arrow_tables  Arrow's file format, and Parquet
whole_output  writes a file so that it is there whole or not at all
"""
