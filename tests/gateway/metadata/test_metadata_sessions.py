"""Sessions, on every kind of database."""

import dataclasses

import pytest

from gateway.metadata.errors import UnknownUser
from gateway.metadata.sessions import StoredSession


@pytest.fixture
def make_session(ann, clock):
    """Build sessions of a user that expire in so many ms."""

    def make(name="a", life_ms=1_000, user_id=ann.id):
        now = clock.now_ms
        return StoredSession(name, f"hash of {name}", user_id, "::1", "curl/8", now, now, now + life_ms)

    return make


async def test_a_session_is_found_by_its_token(database, make_session):
    session = make_session()
    await database.sessions.add(session)

    assert await database.sessions.by_token(session.token_hash) == session
    assert await database.sessions.by_token("hash of another") is None


async def test_a_session_belongs_to_a_user(database, make_session):
    with pytest.raises(UnknownUser):
        await database.sessions.add(make_session(user_id=99))


async def test_a_session_in_use_lasts_longer(database, make_session, clock):
    session = make_session()
    await database.sessions.add(session)

    assert await database.sessions.touch(session.id, clock.now_ms + 7, clock.now_ms + 5_000)

    later = dataclasses.replace(session, last_activity_ms=clock.now_ms + 7, expires_ms=clock.now_ms + 5_000)
    assert await database.sessions.by_token(session.token_hash) == later


async def test_an_ended_session_stays_so(database, make_session):
    session = make_session()
    await database.sessions.add(session)

    assert await database.sessions.end(session.id)
    assert not await database.sessions.end(session.id)
    assert not await database.sessions.touch(session.id, 1, 2)
    ended = dataclasses.replace(session, is_active=False)
    assert await database.sessions.by_token(session.token_hash) == ended


async def test_all_sessions_of_a_user_end_but_one(database, make_session, clock, ann):
    bob = await database.users.add("bob", "a hash")
    for session in (
        make_session("a"),
        make_session("b"),
        make_session("c"),
        make_session("d", user_id=bob.id),
    ):
        await database.sessions.add(session)
    await database.sessions.end("c")

    assert await database.sessions.end_all(ann.id, but="b") == ["a"]
    assert await database.sessions.end_all(ann.id, but="b") == []

    assert [one.id for one in await database.sessions.of_user(ann.id, clock.now_ms)] == ["b"]
    assert [one.id for one in await database.sessions.of_user(bob.id, clock.now_ms)] == ["d"]
    assert await database.sessions.end_all(ann.id) == ["b"]


async def test_only_sessions_that_hold_are_listed_the_newest_first(database, make_session, clock, ann):
    for session in (make_session("a"), make_session("b", 500), make_session("c")):
        await database.sessions.add(session)

    assert [one.id for one in await database.sessions.of_user(ann.id, clock.now_ms + 500)] == ["c", "a"]


async def test_what_expired_is_forgotten(database, make_session, clock):
    await database.sessions.add(make_session("a", 500))
    await database.sessions.add(make_session("b", 501))

    assert await database.sessions.forget_expired(clock.now_ms + 501) == 1

    assert await database.sessions.by_token("hash of a") is None
    assert await database.sessions.by_token("hash of b")


@pytest.mark.parametrize(
    "agent", ["'; DROP TABLE user_sessions; --", "\0\ud800\udc00\ud800", "🦊" * 10_000, ""]
)
async def test_any_program_may_log_in(database, make_session, agent):
    session = dataclasses.replace(make_session(), agent=agent, address="fe80::1%" + "x" * 100)
    await database.sessions.add(session)

    found = await database.sessions.by_token(session.token_hash)
    kept = agent[:500].replace("\0", "\ufffd").replace("\ud800\udc00\ud800", "𐀀\ufffd")
    assert (found.agent, found.address) == (kept, session.address[:45])
