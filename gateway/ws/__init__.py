"""The WebSocket side of the gateway: one connection, who it is, audiences that share a frame, slow clients.

May import protocol, processors and `gateway.accounts`; never roles, cli, sim or api.
"""
