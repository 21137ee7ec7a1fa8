"""What a second opinion says is held back until it is decided, and no longer."""

from gateway.exchanges.venue import VENUES
from gateway.feeds.connections import handover as handover_module
from gateway.feeds.connections.bad_payloads import BadPayloads
from gateway.feeds.connections.connection import Connection, Due, Patience, Traffic
from gateway.feeds.connections.handover import Handover
from gateway.feeds.connections.rhythm import Mute, RhythmRules, Rhythms, Silence
from gateway.feeds.connections.turn import OnTurn, Turn
from protocol.events import GapCause
from protocol.market import AggTrade, MarketEvent

SILENT, LOUD = "AUSDT", "BUSDT"
SILENCE = Silence(Mute.ONE_SILENT, frozenset({SILENT}), 9_000, True)


def connection(on_turn: OnTurn) -> Connection:
    return Connection(
        VENUES["binance"],
        "aggTrade",
        "aggTrade-0",
        on_turn,
        lambda: None,
        BadPayloads(),
        Traffic(),
        Rhythms(RhythmRules()),
        lambda: 0.5,
        Patience(),
    )


class Opinion:
    """A handover for a silence: what its second connection says, and what is handed on of it."""

    def __init__(self) -> None:
        self.told: list[Turn] = []
        self.say: OnTurn = NotImplemented
        due = Due(GapCause.MUTE, str(SILENCE), SILENCE)
        old = connection(self._on_turn)
        self.handover = Handover(due, old, self._open, self._on_turn, Patience(), 1_000)

    def _open(self, on_turn: OnTurn) -> Connection:
        self.say = on_turn
        return connection(on_turn)

    def _on_turn(self, turn: Turn, _received_us: int) -> None:
        self.told.append(turn)


def trades(native: str, *ids: int) -> list[MarketEvent]:
    return [AggTrade(native, one, 1.0, 1.0, False, one, one, one, one) for one in ids]


def test_of_a_turn_only_what_is_of_the_silent_is_held_back():
    opinion = Opinion()
    opinion.say({SILENT: trades(SILENT, 1, 2), LOUD: trades(LOUD, 7)}, 5)
    opinion.say({SILENT: trades(SILENT, 3)}, 6)
    assert opinion.told == [{LOUD: trades(LOUD, 7)}]
    opinion.handover.release()
    assert opinion.told[1:] == [{SILENT: trades(SILENT, 1, 2)}, {SILENT: trades(SILENT, 3)}]
    opinion.say({SILENT: trades(SILENT, 4)}, 7)
    assert opinion.told[-1] == {SILENT: trades(SILENT, 4)}, "decided"


def test_full_all_of_it_is_let_go_and_nothing_more_is_held(monkeypatch):
    monkeypatch.setattr(handover_module, "MOST_HELD", 5)
    opinion = Opinion()
    opinion.say({SILENT: trades(SILENT, 1, 2, 3, 4)}, 5)
    assert opinion.told == []
    opinion.say({SILENT: trades(SILENT, 5), LOUD: trades(LOUD, 1)}, 6)
    assert opinion.told == [
        {LOUD: trades(LOUD, 1)},
        {SILENT: trades(SILENT, 1, 2, 3, 4)},
        {SILENT: trades(SILENT, 5)},
    ]
    opinion.say({SILENT: trades(SILENT, 6)}, 7)
    assert opinion.told[-1] == {SILENT: trades(SILENT, 6)}
