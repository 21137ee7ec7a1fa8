"""HTTP before there is a request: connections, bytes, and how long all of it may take.

Knows nothing of what is asked. May import `gateway.addresses` and uvicorn.
"""
