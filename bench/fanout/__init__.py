"""The fan-out: what it costs to push a frame to a client, here and with what people would use instead."""
