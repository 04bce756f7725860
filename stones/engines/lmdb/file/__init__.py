"""An LMDB file, read page by page with distrust, never through LMDB.

pages       one page: its kind, its entries, its numbers
trees       a walk through a tree, and what of it is lost
survey      the whole file: its trees, its free pages, its stray pages
truncation  is the file as long as what is in it?
"""
