"""How the tables came to be what they are, step by step; `gateway/metadata/migrate.py` runs the steps.

A step that has been released never changes, so it writes out what `tables.py` says today.
"""
