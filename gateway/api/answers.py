"""How answers leave: as JSON, encoded, tagged and packed once.

An answer that took work is kept by what it was made from, so that a request which leads to the same bars gets
the same bytes. Its ETag is a digest of the content: every gateway gives the same one. It is packed (gzip)
where that pays: above `PACK_FROM_BYTES`, for a client that says it can read it.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from zlib_ng import zlib_ng

JSON: Final = "application/json"
PACK_FROM_BYTES: Final = 2_048
"""Below, it saves at most one packet."""
PACK_LEVEL: Final = 2
"""Of 110 kB of bars: 0.6 ms and 41 kB. Level 1: 0.3 ms, 59 kB; level 6: 1.8 ms, 38 kB."""
GZIP_WINDOW: Final = 31
"""zlib's word for 32 kB, with a gzip header."""
LONG_BYTES: Final = 512 * 1024
"""What is longer is packed in a thread: it would hold up the loop for several ms."""
KEPT_BYTES: Final = 32 * 1024 * 1024


def json_response(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), status, headers, JSON)


class Body:
    """An encoded answer, and its packed form once somebody wanted that."""

    __slots__ = ("_packed", "plain", "tag")

    def __init__(self, plain: bytes, tag: str = "") -> None:
        """`tag` is that of another body that says the same."""
        self.plain = plain
        self.tag = tag or f'W/"{hashlib.blake2b(plain, digest_size=12).hexdigest()}"'
        self._packed = b""

    async def packed(self) -> bytes:
        if not self._packed:
            pack = zlib_ng.compress
            if len(self.plain) < LONG_BYTES:
                self._packed = pack(self.plain, PACK_LEVEL, GZIP_WINDOW)
            else:
                self._packed = await asyncio.to_thread(pack, self.plain, PACK_LEVEL, GZIP_WINDOW)
        return self._packed


class Bodies:
    """Bodies by what they were made from. Full: those that were not sent for longest go."""

    def __init__(self, max_bytes: int = KEPT_BYTES) -> None:
        self.made = 0
        self._max_bytes = max_bytes
        self._held: OrderedDict[Hashable, Body] = OrderedDict()
        self._bytes = 0

    def get(self, made_from: Hashable, make: Callable[[], Body]) -> Body:
        """Return the body that was made from this, or make it."""
        body = self._held.get(made_from)
        if body is not None:
            self._held.move_to_end(made_from)
            return body
        self.made += 1
        body = self._held[made_from] = make()
        self._bytes += 2 * len(body.plain)  # as if it were packed already, and badly
        while self._bytes > self._max_bytes:
            _, gone = self._held.popitem(last=False)
            self._bytes -= 2 * len(gone.plain)
        return body


async def send(request: Request, body: Body, headers: Mapping[str, str]) -> Response:
    """Answer with a body, in the form that this client wants; or that it has it already."""
    headers = {"ETag": body.tag, "Vary": "Accept-Encoding", **headers}
    if is_held(request, body.tag):
        return Response(status_code=304, headers=headers)
    if len(body.plain) < PACK_FROM_BYTES or not accepts_gzip(request):
        return Response(body.plain, headers=headers, media_type=JSON)
    return Response(await body.packed(), headers=headers | {"Content-Encoding": "gzip"}, media_type=JSON)


def is_held(request: Request, tag: str) -> bool:
    """Say whether a client has the body of this tag already."""
    return tag in [one.strip() for one in request.headers.get("if-none-match", "").split(",")]


def accepts_gzip(request: Request) -> bool:
    """Read Accept-Encoding: gzip is named, and not with `q=0`."""
    for one in request.headers.get("accept-encoding", "").split(","):
        coding, _, quality = one.partition(";")
        if coding.strip().lower() == "gzip":
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
