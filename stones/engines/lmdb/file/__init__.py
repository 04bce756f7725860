"""An LMDB file, read page by page with distrust and without LMDB.

pages       one page: its kind, its entries, its numbers
trees       a walk through a tree, and its lost parts
survey      the whole file: its trees, its free pages, its orphan pages
fill        how full the pages are, from a sample
truncation  whether a file has been cut short
"""
