"""An application with accounts and one operation of each kind, and a way to ask it as anybody."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
from account_rig import ADDRESS, PASSWORD, AccountRig, open_rig
from starlette.applications import Starlette

from gateway.accounts.accounts import Accounts
from gateway.accounts.credentials import COOKIE
from gateway.accounts.identity import Scope
from gateway.addresses import TrustedProxies
from gateway.api import auth
from gateway.api.answers import json_response
from gateway.api.guard import Guard
from gateway.api.limits import Rate, RequestLimits
from gateway.api.operations import STATE, Answer, Limit, Operation, identity_of
from gateway.api.origins import Origins
from gateway.api.params import Param, Text
from gateway.cache.memory import MemoryCache
from processors.bus import Bus

OWN = "http://gateway"
LISTED = "https://app.example.com"
PROXY = "10.0.0.1"


class Change(msgspec.Struct, forbid_unknown_fields=True):
    wanted: bool


def operation(path: str, **declared: Any) -> Operation:
    return Operation(
        path=path, name=path.strip("/"), summary=path, answers={200: Answer("Who asks.", STATE)}, **declared
    )


OPERATIONS = (
    operation("/read", limit=Limit.HISTORY),
    operation("/price/{symbol}", params=(Param("symbol", Text(), "", in_path=True),)),
    operation("/prices", params=(Param("symbols", Text(), ""),)),
    operation("/kept"),
    operation("/watch", needs=Scope.WATCH),
    operation("/change", needs=Scope.WATCH, method="POST", body=Change),
    operation("/operate", needs=Scope.OPERATE),
    operation("/open", needs=None, limit=None),
)


async def show(request, _values):
    headers = {"Cache-Control": "public, max-age=60", "Vary": "Accept-Encoding"}
    is_kept = request.url.path == "/kept"
    return json_response({"user": identity_of(request).user}, headers=headers if is_kept else None)


@dataclass
class Guarded:
    """The application, and the accounts behind it."""

    rig: AccountRig
    accounts: Accounts
    app: Any

    @contextlib.asynccontextmanager
    async def client(self, peer: str = ADDRESS, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        transport = httpx.ASGITransport(self.app, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url=OWN, headers=named) as http:
            yield http

    async def ask(self, method: str, path: str, peer: str = ADDRESS, **asked: Any) -> httpx.Response:
        async with self.client(peer) as http:
            return await http.request(method, path, **asked)

    async def log_in(self, **body: Any) -> httpx.Response:
        asked = {"username": "ann", "password": PASSWORD} | body
        answer = await self.ask("POST", "/api/v1/auth/login", json=asked)
        assert answer.status_code == 200, answer.text
        return answer

    async def cookie(self) -> dict[str, str]:
        """Log in and return the header that a browser sends from then on."""
        return {"Cookie": f"{COOKIE}={(await self.log_in()).cookies[COOKIE]}"}

    async def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {(await self.log_in(cookie=False)).json()['token']}"}

    async def key(self, *scopes: Scope) -> dict[str, str]:
        made = await self.rig.register.add_key(await self.rig.register.find("ann"), "bot", scopes)
        return {"Authorization": f"Bearer {made.text}"}


@contextlib.asynccontextmanager
async def open_guarded(
    folder: Path, bus: Bus, rates: Mapping[Limit, Rate] | None = None, **rules: Any
) -> AsyncIterator[Guarded]:
    async with open_rig(folder, bus) as rig:
        cache = MemoryCache()
        accounts = rig.accounts(cache, **rules)
        limits, proxies = RequestLimits(cache, rates or {}), TrustedProxies([PROXY])
        guard = Guard(accounts, limits, Origins([LISTED]), proxies)
        routes = [*auth.routes(accounts, guard), *(one.route(show) for one in OPERATIONS)]
        app = Starlette(routes=routes)

        async def gated(scope, receive, send):
            scope["gate"] = guard
            await app(scope, receive, send)

        yield Guarded(rig, accounts, gated)
