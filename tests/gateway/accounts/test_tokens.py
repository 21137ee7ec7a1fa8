import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.tokens import is_token, new_key, new_session_id, new_token, parse_key, token_hash


def test_a_new_token_has_its_form_and_is_never_the_same():
    tokens = {new_token() for _ in range(1_000)}
    assert len(tokens) == 1_000
    assert all(is_token(one) and parse_key(one) is None for one in tokens)


def test_a_token_is_kept_as_its_sha256():
    assert token_hash("abc") == sha256(b"abc").hexdigest()


def test_a_key_is_its_text_taken_apart():
    key = new_key()
    assert re.fullmatch(r"tg_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", key.text)
    assert parse_key(key.text) == key
    assert not is_token(key.text)


def test_a_secret_with_underscores_stays_whole():
    key = parse_key("tg_0123456789ab_" + "_" * 43)
    assert key is not None
    assert (key.id, key.secret) == ("0123456789ab", "_" * 43)


def test_a_session_id_is_not_taken_for_a_token():
    assert not is_token(new_session_id())


@pytest.mark.parametrize("text", ["", "x", "é" * 43, "a" * 42 + "\n", "a" * 44, "a" * 1_000_000])
def test_what_has_another_form_is_neither(text):
    assert not is_token(text)
    assert parse_key(text) is None


@given(st.text())
def test_any_text_can_be_asked_about(text):
    is_token(text)
    parse_key(text)
