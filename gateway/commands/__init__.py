"""Commands of `tickgate` that come in groups; `gateway/cli.py` adds them."""
