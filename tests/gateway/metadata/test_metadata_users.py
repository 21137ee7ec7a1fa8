"""Users, on every kind of database."""

import dataclasses

import pytest

from gateway.metadata.errors import DoesNotFit, NameTaken, UnknownUser
from gateway.metadata.users import User, check_name, fold

HOSTILE = [
    "'; DROP TABLE users; --",
    '" OR 1=1 --',
    "\\'; DELETE FROM users; #",
    "%s %(name)s :name ? $1 {0}",
    "`users`\\",
]


async def test_a_user_is_found_again_as_added(database, clock):
    added = await database.users.add("Ann", "$argon2id$…", ["BTC*", "BINANCE:*.P"])

    assert added == User(added.id, "Ann", "$argon2id$…", True, ("BTC*", "BINANCE:*.P"), clock.now_ms)
    assert await database.users.by_id(added.id) == added
    assert await database.users.all() == [added]


@pytest.mark.parametrize(
    ("added", "looked_for"),
    [
        ("Ann", "ANN"),
        ("zoë", "ZOË"),
        ("zoe\u0308", "zo\u00eb"),
        ("Straße", "STRASSE"),
        ("币安", " 币安 "),
        ("🦊", "🦊"),
    ],
)
async def test_a_name_is_one_in_any_case(database, added, looked_for):
    user = await database.users.add(added, "a hash")

    assert await database.users.find(looked_for) == user
    with pytest.raises(NameTaken):
        await database.users.add(looked_for, "another hash")


async def test_names_that_differ_in_more_than_case_are_two(database):
    users = [await database.users.add(name, "a hash") for name in ("zoe", "zoë", "zo e", "i", "ı")]

    assert [await database.users.find(user.name) for user in users] == users


@pytest.mark.parametrize("text", HOSTILE)
async def test_what_looks_like_sql_is_text(database, ann, text):
    user = await database.users.add(text, text, [text])

    assert (user.name, user.password_hash, user.symbols) == (text, text, (text,))
    assert await database.users.find(text) == user
    assert len(await database.users.all()) == 2


@pytest.mark.parametrize("text", ["ann\0", "\0", "\ud800", "ann\udfff", "a" * 100_000, ""])
async def test_a_name_that_cannot_be_is_nobodys(database, ann, text):
    assert await database.users.find(text) is None
    with pytest.raises(DoesNotFit):
        await database.users.add(text, "a hash")


async def test_the_longest_name_fits_folded(database):
    longest = "ΐ" * 254  # three characters each when folded

    added = await database.users.add(longest, "h" * 255)

    assert await database.users.find(longest) == added


async def test_what_is_said_of_a_user_can_change(database, ann):
    await database.users.set_password(ann.id, "another hash")
    await database.users.set_active(ann.id, False)
    await database.users.set_symbols(ann.id, ["ETH*"])

    changed = dataclasses.replace(ann, password_hash="another hash", is_active=False, symbols=("ETH*",))
    assert await database.users.by_id(ann.id) == changed


async def test_saying_the_same_again_is_no_error(database, ann):
    await database.users.set_active(ann.id, True)
    await database.users.set_active(ann.id, True)


async def test_nobody_cannot_be_changed(database):
    with pytest.raises(UnknownUser):
        await database.users.set_password(7, "a hash")


async def test_the_list_of_symbols_has_an_end(database, ann):
    most = ["BINANCE:" + "🦊" * 20] * 600
    await database.users.set_symbols(ann.id, most)

    assert (await database.users.by_id(ann.id)).symbols == tuple(most)
    with pytest.raises(DoesNotFit):
        await database.users.set_symbols(ann.id, most * 2)


def test_a_name_is_kept_without_spaces_around_it():
    assert check_name("  Ann B \n") == "Ann B"
    assert fold("  Ann B \n") == "ann b"
