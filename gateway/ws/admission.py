"""Who one client is, from its request or its `auth` message on.

The rules of this file:
- A request that shows a token or a key is answered when it is known whose it is: 401 if it is nobody's.
- Where nobody may read who has not logged in, a client that shows nothing has `AUTH_TIMEOUT_S` to say by a
  message who it is (4401).
- `auth` may come at any time. Who was somebody else before is this one from then on; what was asked for
  stays, as far as this one may see it.
- While the client waits for an errand nothing more is read from its socket. What was read already, one piece
  of what the network brought at most, waits behind it in its order.
"""

import asyncio
import math
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, Final, Protocol, assert_never

from websockets.http11 import Request

from gateway.accounts.credentials import COOKIE, Credentials
from gateway.accounts.errors import AccountError, NotLoggedIn, TooManyGuesses
from gateway.accounts.identity import Identity, Scope
from gateway.metadata.errors import MetadataError, OtherSymbols, WatchlistFull
from gateway.ws.access import Access, Errands, TooManySockets
from gateway.ws.connection import LATER, Later, Refusal
from gateway.ws.present import Socket
from protocol.control import MarketWatchAdd, MarketWatchOrder, MarketWatchRemove, WatchEdit, format_error
from protocol.errors import CloseCode
from protocol.market_watch import plain
from protocol.session import Reaction, ServerSession
from protocol.standing import NOBODY, Standing

AUTH_TIMEOUT_S: Final = 5.0
EDIT_TIMEOUT_S: Final = 20.0
"""A message may change hundreds of symbols."""
_FULL: Final = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "too many are logging in at this moment\n", (("Retry-After", "1"),)
)

_UNAVAILABLE: Final = format_error("unavailable", "the market watch cannot be changed now")


class Applicant(Socket, Protocol):
    """The client, as its admission sees it."""

    transport: asyncio.Transport
    session: ServerSession
    has_market_watch: bool

    @property
    def peer(self) -> tuple[str, int] | None:
        """Whose socket it is."""

    @property
    def can_speak(self) -> bool:
        """The handshake is done, and nobody has begun to close."""

    def answer(self, refusal: Refusal | None) -> None:
        """Answer the request that was put off."""

    def on_admitted(self) -> None:
        """Be told that market data may flow."""

    def on_text(self, text: bytes) -> None:
        """React to a message."""

    def act(self, reaction: Reaction) -> None:
        """Do what the session says."""

    def send_text(self, text: bytes) -> None:
        """Say something."""


class Admission:
    """One client's."""

    __slots__ = ("_access", "_address", "_client", "_held", "_opened_s", "identity")

    def __init__(self, client: Applicant, access: Access) -> None:
        self.identity: Identity | None = None
        """None: not known yet."""
        self._client = client
        self._access = access
        self._address = ""
        self._opened_s = 0.0
        self._held: list[bytes] | None = None
        """What was read and waits for an errand; None: there is no errand."""

    @property
    def standing(self) -> Standing:
        """Say what the client may, for its session."""
        if self.identity is None:
            return NOBODY
        rule = self.identity.rule
        return Standing(
            user=self.identity.user,
            has_market_watch=self._client.has_market_watch and self._is_watcher,
            symbols_allowed=rule.patterns,
            may_watch=lambda instrument: rule.allows(instrument.name),
        )

    @property
    def _is_watcher(self) -> bool:
        return (
            self._access.market_watch is not None
            and self.identity is not None
            and not self.identity.is_anonymous
            and Scope.WATCH in self.identity.scopes
        )

    # From the request on

    def on_request(self, request: Request) -> Refusal | Later | None:
        """Find out whose request this is, if that takes no time."""
        headers = list(request.headers.raw_items())
        peer = self._client.peer[0] if self._client.peer else ""
        shown = self._access.shown_by(peer, headers)
        if not self._access.allows_page(peer, headers, shown):
            return Refusal(HTTPStatus.FORBIDDEN, "pages of this origin may not open streams here\n")
        self._address = shown.address
        if shown.text is None or not self._access.has_accounts:
            self.identity = self._access.identify_anonymous()
            return None
        if not self._access.logins.has_room:
            return _FULL
        self._access.logins.start(self._identify(shown))
        return LATER

    async def _identify(self, shown: Credentials) -> None:
        try:
            self.identity = await self._access.identify(shown)
        except AccountError as error:
            self._client.answer(_refusal_of(error))
        else:
            self._client.answer(None)

    def on_open(self, now_s: float) -> None:
        """The handshake is done, and the session made."""
        self._opened_s = now_s
        self._enter()

    def on_lost(self) -> None:
        if self.identity is not None:
            self._access.present.leave(self._client, self.identity)

    def on_sweep(self, now_s: float) -> None:
        """Close who does not say who it is."""
        if self.identity is None and self._held is None and now_s - self._opened_s > AUTH_TIMEOUT_S:
            self._client.close(CloseCode.NOT_LOGGED_IN, "log in first")

    def _enter(self) -> None:
        if self.identity is None:
            return
        self._access.present.join(self._client, self.identity)
        if self._client.session.standing.has_market_watch and self._access.watchlists is not None:
            self._access.watchlists.read(self.identity.user_id)
        self._client.on_admitted()

    # Errands

    def holds(self, text: bytes) -> bool:
        """Keep a message for later, if something before it is not done yet."""
        if self._held is None:
            return False
        self._held.append(text)
        return True

    def act(self, reaction: Reaction) -> None:
        """Do of what the session says that which takes a while."""
        if reaction.auth is not None:
            if self._access.logins.has_room:
                self._wait_for(self._authenticate(reaction.auth), self._access.logins)
            else:
                self._client.close(CloseCode.TRY_AGAIN_LATER, "too many are logging in at this moment")
        if reaction.edit is not None:
            if self._access.edits.has_room:
                self._wait_for(self._edit(reaction.edit), self._access.edits)
            else:
                self._client.send_text(_UNAVAILABLE)

    def _wait_for(self, errand: Coroutine[Any, Any, None], among: Errands) -> None:
        self._held = []
        self._client.transport.pause_reading()
        among.start(self._run(errand))

    async def _run(self, errand: Coroutine[Any, Any, None]) -> None:
        await errand
        held, self._held = self._held or [], None
        if not self._client.transport.is_closing():
            self._client.transport.resume_reading()
        for text in held:
            if self._client.can_speak:
                self._client.on_text(text)

    async def _authenticate(self, token: str) -> None:
        try:
            identity = await self._access.identify(Credentials(token, address=self._address))
        except AccountError as error:
            self._client.close(_close_code_of(error), str(error))
            return
        if self._client.can_speak:
            self.on_lost()
            self.identity = identity
            self._client.act(self._client.session.admit(self.standing))
            self._enter()

    async def _edit(self, edit: WatchEdit) -> None:
        error = await self._change(edit)
        if error is not None and self._client.can_speak:
            self._client.send_text(error)

    async def _change(self, edit: WatchEdit) -> bytes | None:
        """Change the market watch; return what to reply if that did not work."""
        assert self.identity is not None  # else the session has refused
        try:
            async with asyncio.timeout(EDIT_TIMEOUT_S):
                wait_s = await self._access.edit_wait_s(self.identity)
                if wait_s:
                    return format_error("too_many_changes", f"try again in {math.ceil(wait_s)} s")
                await self._apply(edit, self.identity.user_id)
        except WatchlistFull as error:
            return format_error("watchlist_full", str(error))
        except OtherSymbols as error:
            names = [plain(one) for one in (*error.missing, *error.unknown)]
            return format_error("other_symbols", "name each symbol that is on it, once", names)
        except (MetadataError, TimeoutError):
            return _UNAVAILABLE
        return None

    async def _apply(self, edit: WatchEdit, user_id: int) -> None:
        market_watch = self._access.market_watch
        assert market_watch is not None  # else the session has refused
        match edit:
            case MarketWatchAdd(symbols=names):
                await market_watch.add(user_id, names)
            case MarketWatchRemove(symbols=names):
                await market_watch.remove(user_id, names)
            case MarketWatchOrder(symbols=names):
                await market_watch.order(user_id, names)
            case other:
                assert_never(other)


def _refusal_of(error: AccountError) -> Refusal:
    headers: list[tuple[str, str]] = []
    if error.retry_after_s:
        headers.append(("Retry-After", str(math.ceil(error.retry_after_s))))
    if isinstance(error, NotLoggedIn):
        headers.append(("WWW-Authenticate", "Bearer"))
        if error.by_cookie:  # a browser shows it again and again, and its page cannot take it off
            headers.append(("Set-Cookie", f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"))
    return Refusal(HTTPStatus(error.status), f"{error}\n", tuple(headers))


def _close_code_of(error: AccountError) -> CloseCode:
    match error:
        case TooManySockets():
            return CloseCode.TOO_MANY_CONNECTIONS
        case TooManyGuesses():
            return CloseCode.TOO_MANY_MESSAGES
    return CloseCode.TRY_AGAIN_LATER if error.status == 503 else CloseCode.NOT_LOGGED_IN
