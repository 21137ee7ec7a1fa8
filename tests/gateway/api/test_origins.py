import pytest

from gateway.api.origins import Origins

ORIGINS = Origins(["https://app.example.com", "HTTP://Old.Example.com:80/", "capacitor://localhost", "null"])


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://app.example.com", "api.example.com"),
        ("https://APP.example.com:443", "api.example.com"),
        ("http://old.example.com", "api.example.com"),
        ("capacitor://localhost", "api.example.com"),
        ("https://api.example.com", "api.example.com"),
        ("https://api.example.com", "API.example.com:443"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_a_page_of_our_host_or_a_listed_one_may_act(origin, host):
    assert ORIGINS.allows(origin, host)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "api.example.com"),
        ("", ""),
        ("", "api.example.com"),
        ("null", "null"),
        ("null", "api.example.com"),
        ("https://evil.example", "api.example.com"),
        ("https://app.example.com.evil.example", "api.example.com"),
        ("https://evil.example/https://app.example.com", "api.example.com"),
        ("https://app.example.com@evil.example", "api.example.com"),
        ("http://app.example.com", "api.example.com"),
        ("https://app.example.com:8443", "api.example.com"),
        ("http://127.0.0.1:3000", "127.0.0.1:8080"),
        ("http://127.0.0.1", "127.0.0.1:8080"),
        ("https://app.example.com, https://evil.example", "api.example.com"),
        ("https://app.example.com\r\nX: y", "api.example.com"),
        ("chrome-extension://api.example.com", "api.example.com"),
        ("https://", ""),
        ("file://", ""),
    ],
)
def test_no_other_page_may(origin, host):
    assert not ORIGINS.allows(origin, host)


def test_that_anybody_may_read_lets_nobody_act():
    anybody = Origins(["*"])
    assert anybody.anybody
    assert not anybody.allows("https://evil.example", "api.example.com")
    assert anybody.allows("https://api.example.com", "api.example.com")
