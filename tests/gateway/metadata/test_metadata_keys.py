"""API keys, on every kind of database."""

import dataclasses

import pytest

from gateway.metadata.errors import DoesNotFit, UnknownUser
from gateway.metadata.keys import StoredKey


@pytest.fixture
def key(ann, clock):
    return StoredKey("a1b2", ann.id, "hash of it", "the bot 🤖", ("read", "watch"), clock.now_ms)


async def test_a_key_is_found_again_as_added(database, key, ann, clock):
    other = dataclasses.replace(key, id="A1B2", expires_ms=clock.now_ms + 5, last_used_ms=clock.now_ms)
    await database.keys.add(key)
    await database.keys.add(other)

    assert await database.keys.by_id("a1b2") == key
    assert await database.keys.by_id("A1B2") == other
    assert await database.keys.by_id("' OR '1'='1") is None
    assert await database.keys.all() == await database.keys.of_user(ann.id) == [other, key]
    assert await database.keys.of_user(99) == []


async def test_a_key_that_is_used_says_when(database, key, clock):
    await database.keys.add(key)
    await database.keys.touch(key.id, clock.now_ms + 7)

    assert await database.keys.by_id(key.id) == dataclasses.replace(key, last_used_ms=clock.now_ms + 7)


async def test_an_ended_key_stays_listed(database, key):
    await database.keys.add(key)

    assert await database.keys.end(key.id)
    assert not await database.keys.end(key.id)
    assert not await database.keys.end("another")
    assert await database.keys.all() == [dataclasses.replace(key, is_active=False)]


async def test_a_key_belongs_to_a_user(database, key):
    with pytest.raises(UnknownUser):
        await database.keys.add(dataclasses.replace(key, user_id=99))


async def test_the_name_of_a_key_has_an_end(database, key):
    with pytest.raises(DoesNotFit):
        await database.keys.add(dataclasses.replace(key, name="k" * 101))
