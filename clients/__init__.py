"""What connects to a gateway: the Python client, the terminal view, the page. May import protocol only."""
