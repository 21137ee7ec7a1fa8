"""Candles on their way to clients: what a gateway holds of them, and what each client has."""
