"""The WebSocket side of the gateway: one connection, audiences that share a frame, slow clients.

May import protocol and processors; never roles, cli or sim.
"""
