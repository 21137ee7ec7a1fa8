"""`/openapi.json` and `/docs`: the API described by the same data that its routes are built from."""

from collections.abc import Sequence
from html import escape
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from gateway.accounts.credentials import COOKIE
from gateway.accounts.identity import Scope
from gateway.api.answers import JSON
from gateway.api.operations import TEXT, Operation, record
from gateway.api.udf.form import REFUSAL

ABOUT: Final = (
    "Prices, history and state of a market data gateway. Names are `BTCUSDT` (the default exchange) or"
    " `BINANCE:BTCUSDT` in full. Whatever is refused says why, in JSON. Live data comes over WebSocket at"
    " `/api/v1/ws`, as `protocol/SPEC.md` describes it."
)
SECURITY: Final = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "What a login sets. To change something with it takes an allowed Origin besides.",
    },
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, or the token of a login with `cookie: false`.",
    },
}
STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{background:#8883;padding:.1em .3em;border-radius:3px}h2{margin-top:2.5rem}"
    "h3{border-top:1px solid #8886;padding-top:1rem}table{border-collapse:collapse}"
    "td{padding:.2rem 1rem .2rem 0;vertical-align:top}:root{color-scheme:light dark}"
)


def routes(operations: Sequence[Operation], version: str, *, anonymous: bool = False) -> list[Route]:
    """Build the routes; what they answer never changes."""
    described = msgspec.json.encode(document(operations, version, anonymous=anonymous))
    drawn = page(operations, version)

    async def show_document(_: Request) -> Response:
        return Response(described, media_type=JSON)

    async def show_page(_: Request) -> Response:
        return HTMLResponse(drawn)

    return [Route("/openapi.json", show_document), Route("/docs", show_page)]


def document(operations: Sequence[Operation], version: str, *, anonymous: bool = False) -> dict[str, Any]:
    """Return the OpenAPI document; `anonymous`: anybody may see how the gateway is."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "tickgate", "version": version, "description": ABOUT},
        "paths": _paths(operations, anonymous=anonymous),
        "components": {
            "schemas": {
                "Refusal": record("parameter", error=TEXT, message=TEXT, parameter=TEXT),
                "UdfRefusal": REFUSAL,
                **_bodies(operations),
            },
            "securitySchemes": SECURITY,
        },
    }


def _paths(operations: Sequence[Operation], *, anonymous: bool) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        described = one.describe()
        if anonymous and one.needs is Scope.OPERATE:
            described["security"] = [*described["security"], {}]
        paths.setdefault(one.path, {})[one.method.lower()] = described
    return paths


def _bodies(operations: Sequence[Operation]) -> dict[str, Any]:
    bodies = [one.body for one in operations if one.body is not None]
    _, schemas = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    return schemas


# For people


def page(operations: Sequence[Operation], version: str) -> str:
    """Draw the API as one page that needs nothing else."""
    tags = list(dict.fromkeys(one.tag for one in operations))
    sections = "".join(
        f"<h2>{escape(tag)}</h2>" + "".join(_drawn(one) for one in operations if one.tag == tag)
        for tag in tags
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>tickgate: the API</title>"
        f"<style>{STYLE}</style><h1>tickgate {escape(version)}</h1><p>{_prose(ABOUT)}</p>"
        '<p>For machines: <a href="/openapi.json">/openapi.json</a></p>' + sections
    )


def _drawn(operation: Operation) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(', '.join(one.names))}</code>"
        f"<td>{'needed' if one.needed or one.in_path else ''}"
        f"<td>{_prose(one.meaning)}"
        for one in operation.params
    )
    answers = "".join(
        f"<tr><td><code>{status}</code><td colspan=2>{_prose(answer['description'])}"
        for status, answer in operation.describe()["responses"].items()
    )
    return (
        f"<h3><code>{operation.method} {escape(operation.path)}</code></h3><p>{_prose(operation.summary)}."
        f" {_prose(operation.details)}</p><table>{rows}{answers}</table>"
    )


def _prose(text: str) -> str:
    """Draw a text in which code stands between backticks."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if nth % 2 else part for nth, part in enumerate(parts))
