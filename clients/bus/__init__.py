"""What `clients/services.py` is made of: NATS, and what comes over it. May import protocol only."""
