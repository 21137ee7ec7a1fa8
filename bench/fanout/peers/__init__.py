"""The servers beside ours, a process each. They only send: payloads that are handed to them, at a pace."""
