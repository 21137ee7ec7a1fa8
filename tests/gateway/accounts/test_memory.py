from gateway.accounts.guesses import BURST, RATE_PER_S, Guesses
from gateway.accounts.identity import Identity
from gateway.accounts.memory import KNOWN_MS, UNKNOWN_MS, Memory
from gateway.accounts.notices import Revoked

ANN = Identity(user="ann", user_id=1, session_id="s")
BOB = Identity(user="bob", user_id=2, key_id="k")


def test_somebody_is_remembered_for_seconds_and_nobody_for_one():
    memory = Memory()
    memory.put("a", ANN, 0)
    memory.put("b", None, 0)
    assert memory.get("a", KNOWN_MS - 1).identity == ANN
    assert memory.get("a", KNOWN_MS) is None
    assert memory.get("b", UNKNOWN_MS - 1).identity is None
    assert memory.get("b", UNKNOWN_MS) is None
    assert memory.get("c", 0) is None


def test_nobody_is_remembered_beyond_their_end():
    memory = Memory()
    memory.put("a", Identity(user_id=1, session_id="s", expires_ms=1_000), 0)
    assert memory.get("a", 999) is not None
    assert memory.get("a", 1_000) is None


def test_full_means_that_who_was_not_asked_for_longest_goes():
    memory = Memory(most=2)
    memory.put("a", ANN, 0)
    memory.put("b", BOB, 0)
    memory.get("a", 1)
    memory.put("c", None, 1)
    assert memory.get("b", 1) is None
    assert memory.get("a", 1) is not None


def test_who_is_revoked_is_forgotten_and_nobody_else():
    memory = Memory()
    memory.put("a", ANN, 0)
    memory.put("b", BOB, 0)
    memory.put("c", None, 0)
    assert memory.forget(Revoked(user=1)) == ["a"]
    assert memory.get("a", 0) is None
    assert memory.get("b", 0) is not None
    assert memory.get("c", 0) is not None


def test_an_address_may_guess_so_often_and_then_slowly():
    guesses = Guesses()
    for _ in range(round(BURST)):
        assert guesses.wait_s("1.2.3.4", 0) == 0
        guesses.count("1.2.3.4", 0)
    wait_s = guesses.wait_s("1.2.3.4", 0)
    assert wait_s == 1 / RATE_PER_S
    assert guesses.wait_s("1.2.3.4", round(wait_s * 1_000)) == 0
    assert guesses.wait_s("5.6.7.8", 0) == 0


def test_a_guess_that_was_right_is_taken_back():
    guesses = Guesses()
    for _ in range(100):
        guesses.count("1.2.3.4", 0)
        guesses.count("1.2.3.4", 0, -1)
    assert guesses.wait_s("1.2.3.4", 0) == 0
