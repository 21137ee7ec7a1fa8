"""HTTP: what a request means. May import protocol, processors, ws; never roles, cli or sim."""
