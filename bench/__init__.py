"""Benchmarks, each a command (`tickgate bench NAME`) and, in small, a test. May import anything of ours."""
