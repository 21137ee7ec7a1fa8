import pytest

from gateway.accounts.errors import TooManyLogins
from gateway.accounts.throttle import Throttle
from gateway.cache.memory import MemoryCache

HOME, AWAY = "192.0.2.1", "198.51.100.1"


@pytest.fixture
def throttle() -> Throttle:
    return Throttle(MemoryCache(), 3, 60.0)


async def test_an_account_may_be_tried_so_often_from_wherever(throttle):
    for number in range(3):
        await throttle.before("Ann", f"192.0.2.{number}")
    with pytest.raises(TooManyLogins) as refused:
        await throttle.before("ann", "192.0.2.9")
    assert refused.value.retry_after_s == 60.0


async def test_the_right_password_frees_the_account(throttle):
    for _ in range(10):
        await throttle.before("ann", HOME)
        await throttle.right("ann")


async def test_an_address_is_refused_after_so_many_wrong_logins_of_any_account(throttle):
    for number in range(3):
        await throttle.before(f"user{number}", HOME)
        await throttle.wrong(HOME)
    with pytest.raises(TooManyLogins):
        await throttle.before("somebody else", HOME)
    await throttle.before("somebody else", AWAY)


async def test_right_logins_of_an_office_do_not_count_for_its_address(throttle):
    for number in range(20):
        await throttle.before(f"user{number}", HOME)
        await throttle.right(f"user{number}")


async def test_one_customers_ipv6_addresses_are_one(throttle):
    for number in range(3):
        await throttle.before(f"user{number}", f"2001:db8::{number}")
        await throttle.wrong(f"2001:db8::{number}")
    with pytest.raises(TooManyLogins):
        await throttle.before("somebody else", "2001:db8::ffff")


@pytest.mark.parametrize("name", ["", "\0", "\ud800", "x" * 100_000, "a:b*?"])
async def test_any_name_can_be_tried(throttle, name):
    await throttle.before(name, HOME)
