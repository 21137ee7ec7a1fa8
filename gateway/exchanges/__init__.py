"""What each exchange speaks: pure dialects and the facts of each market.

Bytes in, values out. Nothing here awaits, opens, logs or reads a clock. May import `protocol`.
"""
