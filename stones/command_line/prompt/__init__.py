"""The Python prompt of `stones shell`.

names       the names at the prompt: the store, its collections and namespaces; the first lines
completion  what may be typed next: keys and fields
keys        the keys of a mapping as Python writes them
prompts     IPython, the plain prompt of Python, and a text that is run
"""
