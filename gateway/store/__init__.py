"""The history stores: one interface, one file a database, which alone imports its library.

Only the recorder opens one. May import protocol.
"""
