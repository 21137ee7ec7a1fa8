"""Accounts as one gateway has them, over a real database."""

import asyncio

import pytest
from account_rig import ADDRESS, PASSWORD, log_in, shown
from argon2 import PasswordHasher
from fleet import until

from gateway.accounts.accounts import MOST_SESSIONS
from gateway.accounts.credentials import Credentials
from gateway.accounts.errors import (
    AccountsDown,
    BadPassword,
    NotLoggedIn,
    TooManyGuesses,
    TooManyLogins,
    WrongLogin,
)
from gateway.accounts.guesses import BURST
from gateway.accounts.identity import EVERYTHING, Scope
from gateway.accounts.known import CHECK_EVERY_MS, NOTE_EVERY_MS
from gateway.accounts.passwords import Passwords
from gateway.accounts.tokens import new_key, new_token, token_hash
from gateway.cache.memory import MemoryCache


async def test_who_logs_in_is_known_by_the_token_from_then_on(rig):
    accounts = rig.accounts()
    login = await log_in(accounts)
    identity = await accounts.identify(shown(login.token))
    assert identity == login.identity
    assert (identity.user, identity.scopes) == ("ann", EVERYTHING)


async def test_names_are_the_same_in_any_case(rig):
    assert (await log_in(rig.accounts(), "ANN")).identity.user == "ann"


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ann", "wrong horse"),
        ("nobody", PASSWORD),
        ("", ""),
        ("\0", "x"),
        ("\ud800", "\ud800"),
        ("x" * 999, "x"),
    ],
)
async def test_a_wrong_login_says_the_same_whatever_was_wrong(rig, name, password):
    with pytest.raises(WrongLogin, match=r"^the name or the password is wrong$"):
        await log_in(rig.accounts(), name, password)


async def test_a_wrong_name_costs_the_work_of_a_wrong_password(rig):
    done = []

    class Counting(PasswordHasher):
        def hash(self, password, *, salt=None):
            done.append("hash")
            return super().hash(password, salt=salt)

        def verify(self, hash, password):  # noqa: A002  # the name in the library
            done.append("verify")
            return super().verify(hash, password)

    rig.passwords = Passwords(Counting(time_cost=1, memory_cost=8, parallelism=1))
    for name in ("ann", "nobody"):
        with pytest.raises(WrongLogin):
            await log_in(rig.accounts(), name, "wrong horse")
    assert done == ["verify", "hash"]


async def test_every_login_makes_a_new_token_and_older_ones_stay(rig):
    accounts = rig.accounts()
    first, second = await log_in(accounts), await log_in(accounts)
    assert first.token != second.token
    assert (await accounts.identify(shown(first.token))).session_id == first.identity.session_id


async def test_a_token_is_kept_nowhere(rig):
    cache = MemoryCache()
    accounts = rig.accounts(cache)
    login = await log_in(accounts)
    assert login.token.encode() not in rig.file.read_bytes()
    known = await cache.get(f"session:{token_hash(login.token)}")
    assert known is not None
    assert login.token.encode() not in known
    assert login.token not in repr((login, login.identity))


async def test_a_password_is_hashed_anew_when_the_parameters_have_changed(rig):
    before = (await rig.database.users.find("ann")).password_hash
    rig.passwords = Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    await log_in(rig.accounts())
    after = (await rig.database.users.find("ann")).password_hash
    assert rig.passwords.is_outdated(before)
    assert not rig.passwords.is_outdated(after)
    await log_in(rig.accounts())


async def test_an_account_is_not_tried_for_ever(rig):
    accounts = rig.accounts(login_attempts=3)
    for _ in range(3):
        with pytest.raises(WrongLogin):
            await log_in(accounts, "ann", "wrong horse")
    with pytest.raises(TooManyLogins):
        await log_in(accounts)


async def test_without_a_token_one_is_anybody_or_nobody(rig):
    assert (await rig.accounts(anonymous=True).identify(Credentials())).is_anonymous
    with pytest.raises(NotLoggedIn):
        await rig.accounts(anonymous=False).identify(Credentials())
    assert rig.accounts(anonymous=False).identify_anonymous() is None


@pytest.mark.parametrize(
    "text", ["", "x", "é" * 43, "a" * 100_000, "a" * 43, "tg_000000000000_" + "a" * 43, "tg_x_y"]
)
async def test_a_token_that_is_worth_nothing_is_refused_even_where_anybody_may_read(rig, text):
    with pytest.raises(NotLoggedIn):
        await rig.accounts(anonymous=True).identify(shown(text))


async def test_a_session_ends_when_it_is_not_used(rig):
    accounts = rig.accounts(session_life_s=600)
    login = await log_in(accounts)
    rig.clock.move_s(599)
    assert (await accounts.identify(shown(login.token))).expires_ms == rig.clock.now_ms + 600_000
    rig.clock.move_s(599)
    await accounts.identify(shown(login.token))
    rig.clock.move_s(601)
    with pytest.raises(NotLoggedIn):
        await accounts.identify(shown(login.token))


async def test_a_session_ends_in_any_case(rig):
    accounts = rig.accounts(session_life_s=600, session_longest_s=1_000)
    login = await log_in(accounts)
    rig.clock.move_s(500)
    assert (await accounts.identify(shown(login.token))).expires_ms == login.identity.expires_ms + 400_000
    rig.clock.move_s(500)
    with pytest.raises(NotLoggedIn):
        await accounts.identify(shown(login.token))


async def test_use_is_written_down_once_a_minute(rig):
    accounts = rig.accounts()
    login = await log_in(accounts)

    async def noted_ms() -> int:
        return (await rig.database.sessions.by_token(token_hash(login.token))).last_activity_ms

    began_ms = await noted_ms()
    rig.clock.move_s(NOTE_EVERY_MS / 1_000 - 1)
    await accounts.identify(shown(login.token))
    assert await noted_ms() == began_ms
    rig.clock.move_s(CHECK_EVERY_MS / 1_000)
    await accounts.identify(shown(login.token))
    assert await noted_ms() == rig.clock.now_ms


async def test_logging_out_ends_this_session_and_no_other(rig):
    accounts = rig.accounts()
    gone, stays = await log_in(accounts), await log_in(accounts)
    told = []
    accounts.on_revoked = told.append
    assert await accounts.logout(gone.identity)
    with pytest.raises(NotLoggedIn):
        await accounts.identify(shown(gone.token))
    await accounts.identify(shown(stays.token))
    assert [one.sessions for one in told] == [(gone.identity.session_id,)]


async def test_logging_out_the_others_leaves_this_session(rig):
    accounts = rig.accounts()
    others, this = [await log_in(accounts) for _ in range(3)], await log_in(accounts)
    assert await accounts.logout_others(this.identity) == 3
    assert [one.id for one in await accounts.sessions(this.identity)] == [this.identity.session_id]
    for one in others:
        with pytest.raises(NotLoggedIn):
            await accounts.identify(shown(one.token))


async def test_a_new_password_ends_the_other_sessions(rig):
    accounts = rig.accounts()
    other, this = await log_in(accounts), await log_in(accounts)
    with pytest.raises(WrongLogin):
        await accounts.change_password(this.identity, "wrong horse", "battery staple", ADDRESS)
    with pytest.raises(BadPassword):
        await accounts.change_password(this.identity, PASSWORD, "short", ADDRESS)
    assert await accounts.change_password(this.identity, PASSWORD, "battery staple", ADDRESS) == 1
    await accounts.identify(shown(this.token))
    with pytest.raises(NotLoggedIn):
        await accounts.identify(shown(other.token))
    with pytest.raises(WrongLogin):
        await log_in(accounts)
    await log_in(accounts, "ann", "battery staple")


async def test_of_too_many_sessions_the_one_not_used_for_longest_ends(rig):
    accounts = rig.accounts()
    logins = []
    for _ in range(MOST_SESSIONS + 1):
        logins.append(await log_in(accounts))
        rig.clock.move_s(1)
    with pytest.raises(NotLoggedIn):
        await accounts.identify(shown(logins[0].token))
    await accounts.identify(shown(logins[1].token))


async def test_a_disabled_user_is_out_at_once_and_cannot_come_back(rig):
    accounts = rig.accounts()
    login = await log_in(accounts)
    key = await rig.register.add_key(await rig.register.find("ann"), "bot", [Scope.READ])
    await accounts.identify(shown(key.text))
    accounts._on_revoked(await rig.register.set_active(await rig.register.find("ann"), is_active=False))
    for text in (login.token, key.text):
        with pytest.raises(NotLoggedIn):
            await accounts.identify(shown(text))
    with pytest.raises(WrongLogin):
        await log_in(accounts)
    assert not await accounts.still_valid(login.identity)


async def test_a_key_has_its_scopes_and_nothing_else(rig):
    accounts = rig.accounts()
    ann = await rig.register.find("ann")
    key = await rig.register.add_key(ann, "bot", [Scope.READ, Scope.WATCH])
    identity = await accounts.identify(shown(key.text))
    assert (identity.user, identity.key_id, identity.session_id) == ("ann", key.id, "")
    assert identity.scopes == {Scope.READ, Scope.WATCH}
    assert (await rig.database.keys.by_id(key.id)).last_used_ms == rig.clock.now_ms


async def test_a_key_with_another_secret_or_id_is_worth_nothing(rig):
    accounts = rig.accounts()
    key = await rig.register.add_key(await rig.register.find("ann"), "bot", [Scope.READ])
    for text in (f"tg_{key.id}_{new_token()}", f"tg_{new_key().id}_{key.secret}", key.secret):
        with pytest.raises(NotLoggedIn):
            await accounts.identify(shown(text))
    await rig.accounts().identify(shown(key.text))


async def test_a_key_expires(rig):
    accounts = rig.accounts()
    key = await rig.register.add_key(await rig.register.find("ann"), "bot", [Scope.READ], days=1)
    await accounts.identify(shown(key.text))
    rig.clock.move_s(86_400)
    with pytest.raises(NotLoggedIn):
        await accounts.identify(shown(key.text))


async def test_guessed_tokens_do_not_reach_sql_for_ever(rig):
    accounts = rig.accounts()
    login = await log_in(accounts)
    for _ in range(round(BURST)):
        with pytest.raises(NotLoggedIn):
            await accounts.identify(shown(new_token()))
    with pytest.raises(TooManyGuesses):
        await accounts.identify(shown(new_token()))
    await accounts.identify(shown(login.token))
    with pytest.raises(NotLoggedIn):
        await accounts.identify(shown(new_token(), "198.51.100.1"))


async def test_while_sql_is_away_who_is_known_stays_known_and_nobody_logs_in(rig):
    accounts = rig.accounts(anonymous=True)
    login = await log_in(accounts)
    with rig.sql_is_away():
        rig.clock.move_s(120)
        assert (await accounts.identify(shown(login.token))).user == "ann"
        assert await accounts.still_valid(login.identity)
        assert (await accounts.identify(Credentials())).is_anonymous
        with pytest.raises(AccountsDown) as refused:
            await accounts.identify(shown(new_token()))
        assert refused.value.retry_after_s > 0
        with pytest.raises(AccountsDown):
            await log_in(accounts)
        with pytest.raises(AccountsDown):
            await accounts.logout(login.identity)
    rig.clock.move_s(120)
    with pytest.raises(NotLoggedIn):
        await accounts.identify(shown(new_token()))
    await log_in(accounts)


async def test_a_session_that_ended_unheard_is_found_out_by_looking(rig):
    accounts = rig.accounts()
    login = await log_in(accounts)
    await accounts.identify(shown(login.token))
    await rig.database.sessions.end(login.identity.session_id)
    assert await accounts.still_valid(login.identity)
    rig.clock.move_s(CHECK_EVERY_MS / 1_000)
    assert not await accounts.still_valid(login.identity)


async def test_a_changed_rule_makes_an_identity_another(rig):
    accounts = rig.accounts()
    login = await log_in(accounts)
    accounts._on_revoked(await rig.register.set_symbols(await rig.register.find("ann"), ["BTC*"]))
    assert not await accounts.still_valid(login.identity)
    now = await accounts.identify(shown(login.token))
    assert now.rule.allows("BTCUSDT")
    assert not now.rule.allows("ETHUSDT")


async def test_what_a_cache_holds_that_is_not_ours_is_looked_up_in_sql(rig):
    cache = MemoryCache()
    accounts = rig.accounts(cache)
    login = await log_in(accounts)
    for text in (b"", b"[]", b"\xff", b'{"user_id":1}'):
        await cache.put({f"session:{login.identity.digest}": text}, 60)
        rig.clock.move_s(10)
        assert (await accounts.identify(shown(login.token))).user == "ann"


async def test_expired_sessions_are_forgotten(rig):
    accounts = rig.accounts(session_life_s=60)
    login = await log_in(accounts)
    rig.clock.move_s(2 * 86_400)
    running = asyncio.create_task(accounts.run())

    async def is_forgotten() -> bool:
        return await rig.database.sessions.by_token(login.identity.digest) is None

    await until(is_forgotten)
    running.cancel()
