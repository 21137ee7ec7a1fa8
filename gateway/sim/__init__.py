"""The simulated exchange: Binance's wire from a seeded market, with faults on demand.

Its own process or a part of a test; nothing outside imports it but the command line and tests. The
market (`market/`) is pure, the server (`server.py`) is the rim; `rest/` and `streams/` speak Binance.
"""
