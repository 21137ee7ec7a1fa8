"""Who may open a stream.

The rules of this file:
- A page of a site that is not allowed may not. Whatever is no browser says no Origin, and may.
- Who shows a token or a key waits until it is known whose it is; who shows nothing is answered at once.
- What takes a while, finding out who somebody is or changing a market watch, is an errand: a task, for which
  its socket waits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, TypeAlias

from gateway.accounts.accounts import Accounts
from gateway.accounts.credentials import Credentials, read_credentials
from gateway.accounts.errors import AccountError, AccountsDown, NotLoggedIn
from gateway.accounts.identity import Identity, Scope
from gateway.accounts.market_watch import MarketWatch
from gateway.addresses import TrustedProxies
from gateway.ws.present import Present
from gateway.ws.watchlists import Watchlists

LOGIN_TIMEOUT_S: Final = 5.0
LOGINS: Final = 256
EDITS: Final = 64
"""So many of each may be waited for at once."""
SOCKETS_A_USER: Final = 1_000
"""At one gateway: each of them is told of every change of the market watch."""

Headers: TypeAlias = Sequence[tuple[str, str]]


class NotForReading(AccountError):
    """A key that is not for market data."""

    status = 403
    error = "scope_missing"

    def __init__(self) -> None:
        super().__init__("this key is not for market data")


class TooManySockets(AccountError):
    """One user has so many open that no more are."""

    status = 429
    error = "too_many_connections"
    retry_after_s = 60.0

    def __init__(self) -> None:
        super().__init__(f"a user may have {SOCKETS_A_USER} streams at one gateway")


class Errands:
    """What sockets wait for, of one kind. Full: whoever wants one more is told to come again."""

    def __init__(self, most: int) -> None:
        self.tasks: asyncio.TaskGroup | None = None
        """Where they run; None: not yet, or no more."""
        self._most = most
        self._running = 0

    @property
    def has_room(self) -> bool:
        """One more can be run."""
        return self.tasks is not None and self._running < self._most

    def start(self, errand: Coroutine[Any, Any, None]) -> None:
        """Run one, for which there is room."""
        assert self.tasks is not None
        self._running += 1
        self.tasks.create_task(errand).add_done_callback(self._on_done)

    def _on_done(self, _task: asyncio.Task[None]) -> None:
        self._running -= 1


async def _no_limit(_identity: Identity) -> float:
    return 0.0


class Access:
    """What one gateway's sockets share of it. Without accounts anybody may read, and nobody logs in."""

    def __init__(
        self,
        accounts: Accounts | None = None,
        market_watch: MarketWatch | None = None,
        allows_origin: Callable[[str | None, str], bool] = lambda _origin, _host: True,
        proxies: TrustedProxies | None = None,
        *,
        any_page: bool = False,
        edit_wait_s: Callable[[Identity], Awaitable[float]] = _no_limit,
    ) -> None:
        """`allows_origin` is told an Origin and the host that was asked. `any_page`: pages of every origin
        may, as long as the browser sends no cookie along. `edit_wait_s` counts a change of a market watch,
        and says how long to wait if there were too many; 0: it may be done.
        """
        self.market_watch: Final = market_watch
        self.present: Final = Present()
        self.watchlists: Final = Watchlists(market_watch, self.present) if market_watch else None
        self._accounts = accounts
        self._allows_origin = allows_origin
        self._any_page = any_page
        self._proxies = proxies or TrustedProxies()
        self.edit_wait_s = edit_wait_s
        self.logins: Final = Errands(LOGINS)
        self.edits: Final = Errands(EDITS)
        if accounts is not None:
            accounts.on_revoked = self.present.on_revoked

    async def run(self) -> None:
        """Run errands, tell of market watches, and look everybody up now and then. Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self.logins.tasks = self.edits.tasks = tasks
            if self.watchlists is not None:
                tasks.create_task(self.watchlists.run())
            if self._accounts is not None:
                tasks.create_task(self.present.check(self._accounts.still_valid))
            try:
                await asyncio.Event().wait()
            finally:
                self.logins.tasks = self.edits.tasks = None

    def shown_by(self, peer: str, headers: Headers) -> Credentials:
        """Read what a request shows, and where it comes from."""
        return read_credentials(headers, self._proxies.client_address(peer, headers))

    def allows_page(self, peer: str, headers: Headers, shown: Credentials) -> bool:
        """Say whether the page that makes this request may, if a page does."""
        origins = [value for name, value in headers if name.lower() == "origin"]
        if not origins or (self._any_page and not shown.is_cookie):
            return True
        host = next((value for name, value in headers if name.lower() == "host"), "")
        return self._allows_origin(", ".join(origins), self._proxies.client_host(peer, headers, host))

    @property
    def has_accounts(self) -> bool:
        return self._accounts is not None

    def identify_anonymous(self) -> Identity | None:
        """Return who shows nothing; None if they have to say first who they are."""
        return Identity() if self._accounts is None else self._accounts.identify_anonymous()

    async def identify(self, credentials: Credentials) -> Identity:
        """Return who may have a stream by what they show. Raises AccountError."""
        if self._accounts is None:
            raise NotLoggedIn("there are no accounts here")
        try:
            async with asyncio.timeout(LOGIN_TIMEOUT_S):
                identity = await self._accounts.identify(credentials)
        except TimeoutError:
            raise AccountsDown(LOGIN_TIMEOUT_S) from None
        if Scope.READ not in identity.scopes:
            raise NotForReading
        if len(self.present.of_user(identity.user_id)) >= SOCKETS_A_USER:
            raise TooManySockets
        return identity
