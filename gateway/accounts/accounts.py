"""Logging in, being known, logging out: what a gateway has to do with accounts."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import structlog

from gateway.accounts.credentials import Credentials
from gateway.accounts.errors import AccountsDown, NotLoggedIn, UnknownName, WrongLogin
from gateway.accounts.identity import Identity
from gateway.accounts.known import known_session
from gateway.accounts.lookup import Lookup, Shown, shown_by
from gateway.accounts.notices import BadNotice, Revoked, format_notice, parse_notice
from gateway.accounts.passwords import Passwords
from gateway.accounts.register import Register
from gateway.accounts.throttle import Throttle
from gateway.accounts.tokens import new_session_id, new_token, token_hash
from gateway.cache.cache import Cache
from gateway.metadata.database import Database
from gateway.metadata.errors import MetadataDown
from gateway.metadata.sessions import StoredSession
from gateway.metadata.users import User
from processors.bus import Bus, BusError
from protocol import subjects

MOST_SESSIONS: Final = 50
"""Of one user. One more, and the one that was not used for longest ends."""
TIDY_EVERY_S: Final = 3_600.0
KEPT_MS: Final = 24 * 3_600_000
"""How long a session stays on record that has expired."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for everybody; from the settings."""

    anonymous: bool = False
    """Anybody may read."""
    session_life_s: float = 7 * 86_400.0
    session_longest_s: float = 30 * 86_400.0
    login_attempts: int = 10
    login_window_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Login:
    """A session that has begun."""

    token: str = field(repr=False)
    """Known to nobody else, and not to us from here on."""
    identity: Identity


class Accounts:
    """Everybody who may have to do with this gateway. Have `run` running."""

    def __init__(
        self,
        database: Database,
        cache: Cache,
        bus: Bus,
        rules: Rules,
        passwords: Passwords | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.rules = rules
        self.on_revoked: Callable[[Revoked], None] = lambda _: None
        """Told at once who is not what they were; set by whoever holds sockets."""
        self._database = database
        self._bus = bus
        self._passwords = passwords or Passwords()
        self._register = Register(database, self._passwords, now_ms)
        self._throttle = Throttle(cache, rules.login_attempts, rules.login_window_s)
        self._lookup = Lookup(database, cache, rules.session_life_s, rules.session_longest_s)
        self._anonymous = Identity() if rules.anonymous else None
        self._now_ms = now_ms
        self._heard = asyncio.Event()
        """There is something for the cache to forget."""

    # Being known

    def identify_anonymous(self) -> Identity | None:
        """Return who shows nothing; None if everybody has to log in."""
        return self._anonymous

    async def identify(self, credentials: Credentials) -> Identity:
        """Return who somebody is by what they show. Raises NotLoggedIn, TooManyGuesses, AccountsDown."""
        if credentials.text is None:
            if self._anonymous is None:
                raise NotLoggedIn
            return self._anonymous
        shown = shown_by(credentials)
        identity = await self._lookup.find(shown, self._now_ms()) if shown else None
        if identity is None:
            raise NotLoggedIn(
                "this session or key is not valid, or not any more", by_cookie=credentials.is_cookie
            )
        return identity

    async def still_valid(self, identity: Identity) -> bool:
        """Say whether somebody who was identified before is who they were, and may what they might.

        While nobody can tell, they are.
        """
        if identity.is_anonymous:
            return self._anonymous is not None
        try:
            now = await self._lookup.find(Shown(identity.digest, identity.key_id, ""), self._now_ms())
        except AccountsDown:
            return True
        return now is not None and (now.scopes, now.rule) == (identity.scopes, identity.rule)

    # Sessions

    async def login(self, name: str, password: str, address: str, agent: str) -> Login:
        """Begin a session, always a new one. Raises WrongLogin, TooManyLogins, LoginsFull, AccountsDown."""
        with _says_down():
            user = await self._authenticate(name, password, address)
            if self._passwords.is_outdated(user.password_hash):
                await self._database.users.set_password(user.id, await self._passwords.hash(password))
            login = await self._begin(user, address, agent)
            sessions = await self._register.sessions(user.id)
            if len(sessions) > MOST_SESSIONS:
                idle = sorted(sessions, key=lambda one: one.last_activity_ms)
                await self._tell(await self._register.end(idle[: len(sessions) - MOST_SESSIONS]))
        log.info("login.done", user=user.name, session=login.identity.session_id, address=address)
        return login

    async def logout(self, identity: Identity) -> bool:
        """End the session that this is; False: it is none. Raises AccountsDown, as all of these do."""
        if not identity.session_id:
            return False
        with _says_down():
            await self._database.sessions.end(identity.session_id)
        await self._tell(Revoked(sessions=(identity.session_id,), hashes=(identity.digest,)))
        return True

    async def logout_others(self, identity: Identity) -> int:
        """End all sessions of this user but this one; return how many there were."""
        with _says_down():
            revoked = await self._register.end_others(identity.user_id, identity.session_id)
        await self._tell(revoked)
        return len(revoked.sessions)

    async def sessions(self, identity: Identity) -> list[StoredSession]:
        """List the sessions of this user that hold now, the newest first."""
        with _says_down():
            return await self._register.sessions(identity.user_id)

    async def change_password(self, identity: Identity, old: str, new: str, address: str) -> int:
        """Replace the password of this user and end their other sessions; return how many those were.

        Raises what `login` raises for a wrong old one, and BadPassword.
        """
        with _says_down():
            user = await self._authenticate(identity.user, old, address)
            revoked = await self._register.set_password(user, new, identity.session_id)
        await self._tell(revoked)
        log.info("password.changed", user=user.name, address=address)
        return len(revoked.sessions)

    # Running

    async def run(self) -> None:
        """Hear what others say about accounts, and tidy up now and then. Until cancelled."""
        await self._bus.subscribe(subjects.CONTROL_ACCOUNTS, self._on_message)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._flush())
            tasks.create_task(self._tidy())

    async def _flush(self) -> None:
        while True:
            await self._heard.wait()
            self._heard.clear()
            await self._lookup.flush()

    async def _tidy(self) -> None:
        while True:
            try:
                forgotten = await self._database.sessions.forget_expired(self._now_ms() - KEPT_MS)
                log.debug("sessions.tidied", forgotten=forgotten)
            except MetadataDown as error:  # there is a next time
                log.warning("sessions.not_tidied", reason=str(error))
            await asyncio.sleep(TIDY_EVERY_S)

    def _on_message(self, _subject: str, payload: bytes) -> None:
        try:
            notice = parse_notice(payload)
        except BadNotice as error:
            log.warning("accounts.unreadable", reason=str(error))
            return
        if isinstance(notice, Revoked):
            self._on_revoked(notice)

    def _on_revoked(self, revoked: Revoked) -> None:
        self._lookup.forget(revoked)
        self._heard.set()
        self.on_revoked(revoked)

    async def _tell(self, revoked: Revoked) -> None:
        """Do here what others do on hearing of it, and tell them."""
        self._on_revoked(revoked)
        await self._lookup.flush()
        try:
            await self._bus.publish(subjects.CONTROL_ACCOUNTS, format_notice(revoked))
        except BusError as error:  # they find out by looking
            log.warning("accounts.not_told", reason=str(error))

    # Beginning a session

    async def _authenticate(self, name: str, password: str, address: str) -> User:
        """Return whose name and password these are. A wrong name takes as long as a wrong password."""
        user = await self._find(name)
        await self._throttle.before(name, address)
        if user is None:
            await self._passwords.hash(password)
        elif await self._passwords.check(user.password_hash, password) and user.is_active:
            await self._throttle.right(name)
            return user
        await self._throttle.wrong(address)
        log.info("login.refused", address=address)
        raise WrongLogin

    async def _find(self, name: str) -> User | None:
        try:
            return await self._register.find(name)
        except UnknownName:
            return None

    async def _begin(self, user: User, address: str, agent: str) -> Login:
        now_ms, token = self._now_ms(), new_token()
        session = StoredSession(
            id=new_session_id(),
            token_hash=token_hash(token),
            user_id=user.id,
            address=address,
            agent="".join(filter(str.isprintable, agent)),
            created_ms=now_ms,
            last_activity_ms=now_ms,
            expires_ms=self._lookup.ends_ms(now_ms, now_ms),
        )
        await self._database.sessions.add(session)
        known = known_session(session, user, now_ms)
        await self._lookup.keep(session.token_hash, known, now_ms)
        return Login(token, known.identity(session.token_hash))


@contextlib.contextmanager
def _says_down() -> Iterator[None]:
    try:
        yield
    except MetadataDown as error:
        log.warning("accounts.unavailable", reason=str(error))
        raise AccountsDown(error.retry_after_s) from error
