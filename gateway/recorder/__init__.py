"""The recorder's parts: what it hears, what it keeps, what it fetches from the venue, what it answers.

Composed by `gateway/roles/recorder.py`. May import processors, protocol, store, exchanges and feeds' REST.
"""
