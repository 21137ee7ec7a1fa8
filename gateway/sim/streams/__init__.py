"""The exchange's sockets: what plays the market out, who hears it, and what a client may ask."""
