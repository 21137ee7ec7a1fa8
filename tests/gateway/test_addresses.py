import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.addresses import TrustedProxies, counted_as

PROXIES = TrustedProxies(["10.0.0.0/8", "127.0.0.1", "fd00::/8"])


def forwarded(*values: str) -> list[tuple[str, str]]:
    return [("X-Forwarded-For", value) for value in values]


@pytest.mark.parametrize(
    ("peer", "values", "client"),
    [
        ("9.9.9.9", [], "9.9.9.9"),
        ("9.9.9.9", ["1.1.1.1"], "9.9.9.9"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", ["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", ["6.6.6.6", "1.1.1.1"], "1.1.1.1"),
        ("10.0.0.1", ["6.6.6.6, 1.1.1.1, 10.0.0.7,fd00::1"], "1.1.1.1"),
        ("10.0.0.1", ["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        ("10.0.0.1", ["1.1.1.1:5678"], "1.1.1.1"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", ["2001:DB8:0::1"], "2001:db8::1"),
        ("10.0.0.1", ["1.1.1.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["' OR 1=1 --"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1\r\nX: y"], "10.0.0.1"),
        ("10.0.0.1", ["", " , ,"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["1.1.1.1"], "1.1.1.1"),
        ("", ["1.1.1.1"], ""),
        ("a socket", ["1.1.1.1"], "a socket"),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy_of_ours(peer, values, client):
    assert PROXIES.client_address(peer, forwarded(*values)) == client


def test_without_proxies_nobody_is_believed():
    nobody = TrustedProxies()
    headers = [("x-forwarded-proto", "https"), ("x-forwarded-host", "b"), *forwarded("1.1.1.1")]
    assert nobody.client_address("127.0.0.1", headers) == "127.0.0.1"
    assert nobody.client_scheme("127.0.0.1", headers, "http") == "http"
    assert nobody.client_host("127.0.0.1", headers, "a") == "a"


def test_a_proxy_says_how_and_where_its_client_came():
    headers = [("X-Forwarded-Proto", "gopher, HTTPS"), ("X-Forwarded-Host", "a, b:81")]
    assert PROXIES.client_scheme("127.0.0.1", headers, "http") == "https"
    assert PROXIES.client_host("127.0.0.1", headers, "c") == "b:81"
    assert PROXIES.client_scheme("127.0.0.1", [("x-forwarded-proto", "gopher")], "http") == "http"


@given(st.text(max_size=60))
def test_whatever_stands_there_the_client_is_an_address(garbage):
    client = PROXIES.client_address("10.0.0.1", forwarded(garbage))
    assert client == "10.0.0.1" or counted_as(client)


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("not:an:address", "not:an:address"),
    ],
)
def test_addresses_of_one_household_count_as_one(address, key):
    assert counted_as(address) == key
