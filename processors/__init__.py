"""What the numbers mean: pure processors, and the bus that carries what they say.

May import protocol and indicators. `bus.py` is the one door to NATS.
"""
