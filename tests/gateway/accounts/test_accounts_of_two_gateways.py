"""What one gateway does to accounts, and another finds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from account_rig import log_in, shown
from fleet import redis_server

from gateway.accounts.accounts import Accounts
from gateway.accounts.errors import NotLoggedIn
from gateway.accounts.notices import Revoked, format_notice
from gateway.cache.memory import MemoryCache
from gateway.cache.open import open_cache
from gateway.processes.ports import find_free_port
from protocol import subjects


@contextlib.asynccontextmanager
async def running(*gateways: Accounts) -> AsyncIterator[list[asyncio.Queue[Revoked]]]:
    """Run gateways, and hand out what each is told of those who are revoked."""
    told: list[asyncio.Queue[Revoked]] = []
    async with asyncio.TaskGroup() as tasks:
        at_work = []
        for one in gateways:
            told.append(asyncio.Queue())
            one.on_revoked = told[-1].put_nowait
            at_work.append(tasks.create_task(one.run()))
        await asyncio.sleep(0)
        await gateways[0]._bus.flush()  # they have subscribed
        yield told
        for task in at_work:
            task.cancel()


async def test_a_session_begun_at_one_is_known_at_the_other(rig):
    login = await log_in(rig.accounts())
    assert (await rig.accounts().identify(shown(login.token))).session_id == login.identity.session_id


async def test_a_logout_at_one_is_heard_at_the_other(rig):
    here, there = rig.accounts(), rig.accounts()
    async with running(here, there) as (_, told_there):
        login = await log_in(here)
        await there.identify(shown(login.token))
        await here.logout(login.identity)
        async with asyncio.timeout(5):
            assert (await told_there.get()).sessions == (login.identity.session_id,)
        with pytest.raises(NotLoggedIn):
            await there.identify(shown(login.token))


async def test_what_is_no_notice_is_passed_over(rig):
    gateway = rig.accounts()
    async with running(gateway) as (told,):
        for payload in (b"", b"\xff", b'{"type":"other"}', b'{"type":"watch","user":1}'):
            await rig.bus.publish(subjects.CONTROL_ACCOUNTS, payload)
        await rig.bus.publish(subjects.CONTROL_ACCOUNTS, format_notice(Revoked(user=5)))
        async with asyncio.timeout(5):
            assert (await told.get()).user == 5


async def test_a_revocation_that_comes_while_somebody_is_looked_up_wins(rig):
    class Late(MemoryCache):
        """A cache that hears of a revocation while it is asked."""

        async def get(self, key: str) -> bytes | None:
            found = await super().get(key)
            if self.meanwhile:
                await self.meanwhile.pop()()
            return found

        meanwhile: list = []  # noqa: RUF012  # one cache, one test

    cache = Late()
    gateway = rig.accounts(cache)
    login = await log_in(gateway)

    async def end() -> None:
        await rig.database.sessions.end(login.identity.session_id)
        gateway._on_revoked(Revoked(sessions=(login.identity.session_id,), hashes=(login.identity.digest,)))

    cache.meanwhile = [end]
    with contextlib.suppress(NotLoggedIn):
        await gateway.identify(shown(login.token))
    with pytest.raises(NotLoggedIn):
        await gateway.identify(shown(login.token))


async def test_over_redis_a_session_is_known_without_sql_and_gone_with_its_logout(rig, tmp_path):
    port = find_free_port()
    async with (
        redis_server(tmp_path, port) as redis,
        open_cache(f"127.0.0.1:{port}") as cache_here,
        open_cache(f"127.0.0.1:{port}") as cache_there,
    ):
        here, there = rig.accounts(cache_here), rig.accounts(cache_there)
        async with running(here, there) as (_, told_there):
            login = await log_in(here)
            with rig.sql_is_away():
                assert (await there.identify(shown(login.token))).user == "ann"
            assert await redis.exists(f"session:{login.identity.digest}")
            await here.logout(login.identity)
            assert not await redis.exists(f"session:{login.identity.digest}")
            async with asyncio.timeout(5):
                await told_there.get()
            with pytest.raises(NotLoggedIn):
                await there.identify(shown(login.token))
