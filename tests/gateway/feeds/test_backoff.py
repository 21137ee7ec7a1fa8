"""How long to wait before the next attempt."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.backoff import Backoff


def test_the_ceiling_doubles_up_to_the_longest_wait() -> None:
    backoff = Backoff(first_ms=100, longest_ms=1_000)
    assert [backoff.next_delay_ms(0.999_999) for _ in range(6)] == [99, 199, 399, 799, 999, 999]


def test_jitter_covers_the_whole_interval() -> None:
    backoff = Backoff(first_ms=100, longest_ms=1_000)
    assert [backoff.next_delay_ms(random) for random in (0.0, 0.5, 0.25)] == [0, 100, 100]


def test_valid_data_starts_it_anew() -> None:
    backoff = Backoff(first_ms=100)
    for _ in range(5):
        backoff.next_delay_ms(0.5)
    backoff.reset()
    assert backoff.next_delay_ms(0.5) == 50


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 2_000))
def test_it_never_gives_up_and_never_waits_longer_than_said(random: float, failures: int) -> None:
    backoff = Backoff(first_ms=250, longest_ms=30_000)
    assert all(0 <= backoff.next_delay_ms(random) < 30_000 for _ in range(failures))
