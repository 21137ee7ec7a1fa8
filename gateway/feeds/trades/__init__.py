"""What the hub knows of each symbol's trades: which are missing, asked for, kept, and where it stopped."""
