"""The exchange side: connections, what is asked of them, and REST.

What arrives is parsed by `gateway.exchanges` and handed on without a queue. May import
`gateway.exchanges` and `protocol`.
"""
