"""The engine in one JSON file, which people can read and edit.

engine    JsonFileEngine: the text of the file, and what it says
keys      keys and values as they stand in it
problems  where a text is no JSON, and why
"""
