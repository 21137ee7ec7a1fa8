"""A gateway's history: windows of bars, asked for and kept current. May import protocol, processors."""
