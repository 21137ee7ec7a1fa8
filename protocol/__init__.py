"""The wire: bytes in, values out, and the other way round.

Pure: no sockets, no clocks, no logs. May import the standard library, numpy, msgspec
and zlib_ng, and nothing of ours outside this package. `SPEC.md` is the same in words.
"""
