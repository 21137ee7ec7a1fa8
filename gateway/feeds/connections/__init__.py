"""Connections to a venue: one, the line that replaces it in time, and the pool of all of them."""
