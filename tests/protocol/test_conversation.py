"""A client and a server that speak, with prices in between and connections that break."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from protocol.client_session import ClientSession
from protocol.control import Ping, format_message
from protocol.events import Kind, Price, Quote
from protocol.frames import decode_v2, encode_v2
from protocol.session import Limits, ServerSession
from protocol.symbols import Instrument, SymbolTable
from protocol.table import PriceTable

NAMES = [f"COIN{number}USDT" for number in range(1, 9)]
UNKNOWN = ["NOSUCHUSDT", "", "KRAKEN:COIN1USDT"]
NOW_US = 1_790_000_000_000_000
SECOND_MS = 1_000


def table_of_all():
    table = SymbolTable()
    for symbol_id, name in enumerate(NAMES, 1):
        table.add(Instrument(id=symbol_id, symbol=name, venue="sim", native=name, price_precision=2))
    return table


class Conversation(RuleBasedStateMachine):
    @initialize(version=st.sampled_from([1, 2]))
    def connect(self, version):
        self.version = version
        self.symbols = table_of_all()
        self.tables = {kind: PriceTable(kind) for kind in (Kind.PRICE, Kind.QUOTE)}
        self.client = ClientSession(version)
        self.wishes = {}
        self.now_ms = 0
        self.reconnect()

    @rule()
    def reconnect(self):
        self.server = ServerSession(self.version, self.symbols, Limits())
        for message in self.client.on_open():
            self.say(message)

    @rule(
        names=st.lists(st.sampled_from(NAMES + UNKNOWN), max_size=4),
        kinds=st.sets(st.sampled_from(["price", "quote"]), min_size=1),
    )
    def subscribe(self, names, kinds):
        for name in names:
            self.wishes.setdefault(name, set()).update(kinds)
        self.say(self.client.subscribe(names, sorted(kinds)))

    @rule(names=st.lists(st.sampled_from(NAMES + UNKNOWN), max_size=4))
    def unsubscribe(self, names):
        for name in names:
            self.wishes.pop(name, None)
        self.say(self.client.unsubscribe(names))

    @rule()
    def ping(self):
        self.say(format_message(Ping()))

    @rule(ids=st.sets(st.integers(1, len(NAMES)), min_size=1), value=st.floats(0, 1e9))
    def publish(self, ids, value):
        prices = [Price(one, 256, 0, value, value) for one in ids]
        quotes = [Quote(one, 256, 0, value, value, value, value) for one in ids]
        self.tables[Kind.PRICE].update(decode_v2(encode_v2(prices, NOW_US)))
        self.tables[Kind.QUOTE].update(decode_v2(encode_v2(quotes, NOW_US)))
        self.send(Kind.PRICE, ids & self.server.prices)
        self.send(Kind.QUOTE, ids & self.server.quotes)

    def say(self, message):
        self.now_ms += SECOND_MS
        reaction = self.server.on_text(message, self.now_ms)
        for reply in reaction.replies:
            answers, _ = self.client.on_text(reply)
            for answer in answers:
                self.say(answer)
        self.send(Kind.PRICE, self.server.prices & set(reaction.added))
        self.send(Kind.QUOTE, self.server.quotes & set(reaction.added))

    def send(self, kind, ids):
        """Send the newest values; the client refuses a record of an id that it was not told of."""
        if not ids:
            return
        table = self.tables[kind]
        known = table.known(np.array(sorted(ids), np.uint16))
        if self.version == 1:
            assert kind is Kind.PRICE
            rows = self.client.on_binary(table.encode_v1(known))
        else:
            rows = self.client.on_binary(table.encode_v2(known, table.changes[known], NOW_US)).rows()
        assert [row.symbol_id for row in rows] == known.tolist()
        for row in rows:
            assert self.symbols.by_id(row.symbol_id).symbol == self.client.dictionary[row.symbol_id].symbol

    @invariant()
    def the_server_watches_for_a_client_what_it_wished_for(self):
        watched = {"price": set(), "quote": set()}
        for name, kinds in self.wishes.items():
            for kind in kinds if name in NAMES else ():
                watched[kind].add(self.symbols.find(name).id)
        assert self.server.prices == watched["price"]
        assert self.server.quotes == (watched["quote"] if self.version == 2 else set())
        assert self.server.prices | self.server.quotes <= self.client.dictionary.keys()


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=50, stateful_step_count=30)
