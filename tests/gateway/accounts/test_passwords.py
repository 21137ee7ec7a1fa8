import asyncio
import threading

import pytest
from account_rig import QUICK
from argon2 import PasswordHasher, extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from gateway.accounts.errors import BadPassword, LoginsFull
from gateway.accounts.passwords import AT_ONCE, MOST_WAITING, Passwords, check_password_rules


class Slow(PasswordHasher):
    """Hashes when it is told to."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.go = threading.Event()
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def hash(self, password, *, salt=None):
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.go.wait(10)
        with self._lock:
            self.at_once -= 1
        return super().hash(password, salt=salt)


async def test_a_password_is_checked_against_its_hash():
    passwords = Passwords(QUICK)
    stored = await passwords.hash("correct horse")
    assert await passwords.check(stored, "correct horse")
    assert not await passwords.check(stored, "Correct horse")
    assert stored != await passwords.hash("correct horse")


async def test_hashes_are_made_as_rfc_9106_says():
    stored = await Passwords().hash("correct horse")
    assert stored.startswith("$argon2id$")
    assert extract_parameters(stored) == RFC_9106_LOW_MEMORY


async def test_a_hash_with_older_parameters_holds_and_is_outdated():
    old = await Passwords(QUICK).hash("correct horse")
    passwords = Passwords(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    assert await passwords.check(old, "correct horse")
    assert passwords.is_outdated(old)
    assert not Passwords(QUICK).is_outdated(old)


@pytest.mark.parametrize("password", ["", "\ud800", "\0" * 10, "密码" * 100])
async def test_any_text_can_be_tried(password):
    passwords = Passwords(QUICK)
    assert await passwords.check(await passwords.hash(password), password)
    assert not await passwords.check("no hash at all", password)


async def test_two_are_hashed_at_once_and_a_full_queue_refuses():
    slow = Slow()
    passwords = Passwords(slow)
    async with asyncio.TaskGroup() as tasks:
        hashing = [tasks.create_task(passwords.hash("x")) for _ in range(AT_ONCE + MOST_WAITING)]
        await asyncio.sleep(0)  # all of them have come so far that they count
        with pytest.raises(LoginsFull):
            await passwords.hash("one too many")
        slow.go.set()
    assert len({task.result() for task in hashing}) == len(hashing)
    assert slow.most_at_once <= AT_ONCE
    await passwords.hash("there is room again")


@pytest.mark.parametrize("password", ["short", "x" * 1_025, "Ann.Example"])
def test_a_password_that_protects_nothing_is_refused(password):
    with pytest.raises(BadPassword):
        check_password_rules("ann.example", password)


def test_a_good_password_is_taken():
    check_password_rules("ann", "8 signs!")
    check_password_rules("ann", "x" * 1_024)
