"""The market itself: pure functions of seed, rate, genesis and time. Imports nothing else of the gateway."""
