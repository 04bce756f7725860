"""Out of a store: JSON Lines, CSV, Arrow and Parquet. See `export_to`.

`exporting` has `export_to`. `sources` gives the rows of a store, a collection or a range, and
`columns` turns rows into cells. `json_lines`, `csv_rows` and `arrow_tables` write one form each.
`whole_output` writes a file so that it is there whole or not at all.
"""
