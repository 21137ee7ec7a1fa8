"""The page at `/`, as it was built (`clients/web/dist`): read and packed once, when the gateway starts.

What lies in `static/` has another name whenever it changes, and is kept by browsers for good; the rest is
asked for anew. Where the page was not built, a few lines say how to.
"""

import gzip
import mimetypes
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway.api.answers import Body, accepts_gzip, is_held

FOR_GOOD: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"
PACKED: Final = (".css", ".html", ".js", ".json", ".md", ".svg", ".txt")
PROTECTED: Final = {
    # Nothing from elsewhere; WASM is the checksum of frames.
    "Content-Security-Policy": (
        "default-src 'none'; connect-src 'self'; img-src 'self'; style-src 'self'; font-src 'self'; "
        "script-src 'self' 'wasm-unsafe-eval'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
NOT_BUILT: Final = """\
<!doctype html><meta charset="utf-8"><title>tickgate</title><h1>tickgate</h1>
<p>This gateway serves prices, but its page has not been built. With Node 20 or newer: <code>make page</code>
<p>The API is described at <a href="docs">/docs</a>.
"""


def routes(folder: Path) -> list[Route]:
    """Build the routes of the page that was built into a folder."""
    if not (folder / "index.html").is_file():
        return [Route("/", _explain)]
    return [_serve(folder, file) for file in sorted(folder.rglob("*")) if file.is_file()]


def _serve(folder: Path, file: Path) -> Route:
    path = file.relative_to(folder).as_posix()
    media = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    plain = file.read_bytes()
    packed = gzip.compress(plain, mtime=0) if file.suffix in PACKED else b""
    tag = Body(plain).tag
    headers = PROTECTED | {
        "ETag": tag,
        "Vary": "Accept-Encoding",
        "Cache-Control": FOR_GOOD if path.startswith("static/") else ASK_AGAIN,
    }

    async def show(request: Request) -> Response:
        if is_held(request, tag):
            return Response(status_code=304, headers=headers)
        if packed and accepts_gzip(request):
            return Response(packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=media)
        return Response(plain, headers=headers, media_type=media)

    return Route("/" if path == "index.html" else f"/{path}", show, name=f"page {path}")


async def _explain(_: Request) -> Response:
    return HTMLResponse(NOT_BUILT, headers={"Cache-Control": ASK_AGAIN})
