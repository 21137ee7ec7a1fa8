"""Values of ours as SQL keeps them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metadata.columns import Moment, as_stored, storable


@given(st.text(st.characters(codec=None)))
def test_any_text_can_be_stored(text):
    stored = storable(text)

    assert "\0" not in stored
    stored.encode()
    assert storable(stored) == stored


@given(st.text())
def test_a_text_without_oddities_is_stored_as_it_is(text):
    assert storable(text) == text.replace("\0", "\ufffd")


@given(st.decimals(Decimal("-999999999999.99999999"), Decimal("999999999999.99999999"), places=8))
def test_what_has_eight_decimals_is_stored_as_it_is(number):
    assert as_stored(number) == number


@pytest.mark.parametrize(
    "text", ["1e12", "-1e12", "1e-9", "1.123456789", "NaN", "sNaN", "-Infinity", "1e400"]
)
def test_what_would_be_another_number_is_not_stored(text):
    assert as_stored(Decimal(text)) is None


@given(st.integers(-(10**12), 10**14))
def test_a_moment_comes_back_to_the_millisecond(time_ms):
    moment = Moment()

    assert moment.process_result_value(moment.process_bind_param(time_ms, None), None) == time_ms
