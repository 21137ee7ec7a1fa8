import pytest

from gateway.accounts.identity import SymbolRule


@pytest.mark.parametrize(
    ("patterns", "name", "is_allowed"),
    [
        ((), "ANY:THING", True),
        (("BTC*",), "BTCUSDT", True),
        (("BTC*",), "btcusdt", True),
        (("BTC*",), "BINANCE:BTCUSDT.P", True),
        (("BTC*",), "OTHER:BTCUSDT", False),
        (("BTC*",), "ETHBTC", False),
        (("*:BTCUSDT",), "OTHER:BTCUSDT", True),
        (("BINANCE:*.P",), "BTCUSDT", False),
        (("ETHUSDT", "BTC*"), "ETHUSDT", True),
    ],
)
def test_a_rule_is_patterns_over_full_names(patterns, name, is_allowed):
    assert SymbolRule(patterns).allows(name) is is_allowed


def test_rules_of_the_same_patterns_are_the_same():
    assert SymbolRule(["btc*"]) == SymbolRule(["BINANCE:BTC*"])
    assert SymbolRule(["BTC*"]) != SymbolRule()
