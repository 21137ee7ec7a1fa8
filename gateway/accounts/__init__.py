"""Who somebody is and what they may do: passwords, sessions, API keys, market watches.

May import `gateway.metadata`, `gateway.cache`, `gateway.addresses`, `protocol` and the bus; knows nothing of
HTTP or sockets.
"""
