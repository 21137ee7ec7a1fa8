"""How processes live: our own, child processes, those that are kept running, and their ports."""
