"""The key of a stored dict that names its class."""

TAG = "_type"
"""The key in a stored dict that names its class, where an annotation allows several classes."""
