"""One file a process. May import anything of ours but cli and sim; nothing imports this."""
