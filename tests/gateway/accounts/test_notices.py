import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.notices import LONGEST, BadNotice, Revoked, Watched, format_notice, parse_notice

texts = st.lists(st.text(max_size=20), max_size=5).map(tuple)
notices = st.builds(Revoked, st.integers(0, 2**31), texts, texts, texts) | st.builds(
    Watched, st.integers(0, 2**31), texts, texts
)


def test_a_notice_is_json():
    assert format_notice(Revoked(sessions=("s",))) == b'{"type":"revoked","sessions":["s"]}'
    assert (
        format_notice(Watched(7, ("BINANCE:BTCUSDT",)))
        == b'{"type":"watch","user":7,"added":["BINANCE:BTCUSDT"]}'
    )


@given(notices)
def test_a_notice_is_read_as_it_was_written(notice):
    assert parse_notice(format_notice(notice)) == notice


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_else(garbage):
    with contextlib.suppress(BadNotice):
        parse_notice(garbage)


def test_what_is_too_long_is_not_read():
    with pytest.raises(BadNotice):
        parse_notice(b" " * (LONGEST + 1))


@pytest.mark.parametrize(
    ("revoked", "is_meant"),
    [
        (Revoked(user=7), True),
        (Revoked(user=8), False),
        (Revoked(sessions=("s",)), True),
        (Revoked(sessions=("other",), keys=("s",)), False),
        (Revoked(), False),
    ],
)
def test_a_session_is_meant_by_its_user_or_its_id(revoked, is_meant):
    assert revoked.means(7, "s", "") is is_meant


def test_nobody_anonymous_is_ever_meant():
    assert not Revoked(user=0, sessions=("",), keys=("",)).means(0, "", "")
