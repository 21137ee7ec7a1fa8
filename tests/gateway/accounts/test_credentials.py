import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.credentials import Credentials, read_credentials


@pytest.mark.parametrize(
    ("headers", "text", "is_cookie"),
    [
        ([], None, False),
        ([("cookie", "session_token=abc")], "abc", True),
        ([("cookie", "theme=dark; session_token=abc ; x=y")], "abc", True),
        ([("cookie", 'session_token="abc"')], "abc", True),
        ([("cookie", "session_token=")], None, False),
        ([("cookie", "my_session_token=abc")], None, False),
        ([("cookie", "session_token")], None, False),
        ([("Authorization", "Bearer abc")], "abc", False),
        ([("authorization", "bearer   abc ")], "abc", False),
        ([("authorization", "Bearer")], "", False),
        ([("authorization", "Basic YTpi")], None, False),
        ([("authorization", "Basic YTpi"), ("cookie", "session_token=abc")], "abc", True),
        ([("x-session-token", "abc")], "abc", False),
        (
            [("cookie", "session_token=1"), ("x-session-token", "2"), ("authorization", "Bearer 3")],
            "3",
            False,
        ),
        ([("cookie", "session_token=1"), ("x-session-token", "2")], "2", False),
    ],
)
def test_what_a_request_shows_is_found(headers, text, is_cookie):
    assert read_credentials(headers, "192.0.2.1") == Credentials(text, is_cookie, "192.0.2.1")


def test_a_secret_is_not_printed():
    assert "abc" not in repr(Credentials("abc"))


@given(st.lists(st.tuples(st.sampled_from(["cookie", "authorization", "x-session-token"]), st.text())))
def test_any_header_can_be_read(headers):
    read_credentials(headers)
