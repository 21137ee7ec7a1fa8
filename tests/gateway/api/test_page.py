import gzip

import httpx
import pytest
from starlette.applications import Starlette

from gateway.api import page

HTML = "<!doctype html><title>one</title>" * 100


@pytest.fixture
async def http(tmp_path):
    """The page out of a folder that was built."""
    (tmp_path / "static").mkdir()
    (tmp_path / "index.html").write_text(HTML)
    (tmp_path / "static" / "index-abc.js").write_text("alert(1);" * 1_000)
    (tmp_path / "static" / "face.woff2").write_bytes(bytes(100))
    transport = httpx.ASGITransport(Starlette(routes=page.routes(tmp_path)))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        yield client


async def test_it_is_packed_and_asked_for_anew_and_sent_once(http):
    first = await http.get("/")
    assert (first.text, first.headers["content-encoding"]) == (HTML, "gzip")
    assert (first.headers["cache-control"], first.headers["content-type"]) == (
        "no-cache",
        "text/html; charset=utf-8",
    )
    assert "script-src 'self'" in first.headers["content-security-policy"]
    again = await http.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_what_has_its_content_in_its_name_is_kept_for_good(http):
    script = await http.get("/static/index-abc.js", headers={"Accept-Encoding": "identity"})
    assert script.text == "alert(1);" * 1_000
    assert "immutable" in script.headers["cache-control"]
    face = await http.get("/static/face.woff2")
    assert (face.content, face.headers.get("content-encoding")) == (bytes(100), None)
    assert face.headers["content-type"] == "font/woff2"
    async with http.stream("GET", "/static/index-abc.js") as packed:
        sent = b"".join([part async for part in packed.aiter_raw()])
    assert gzip.decompress(sent) == script.content


@pytest.mark.parametrize("path", ["/static/../index.html.bak", "/static/none.js", "/index.html"])
async def test_nothing_else_is_there(http, path):
    assert (await http.get(path)).status_code == 404


async def test_where_it_was_not_built_it_says_how_to(tmp_path):
    transport = httpx.ASGITransport(Starlette(routes=page.routes(tmp_path)))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answer = await http.get("/")
    assert answer.status_code == 200
    assert "make page" in answer.text
