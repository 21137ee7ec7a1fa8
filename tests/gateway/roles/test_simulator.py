"""Faults as they are written on the command line."""

import pytest

from gateway.config.load import BadSettings
from gateway.roles.simulator import parse_fault_flag
from gateway.sim.faults import Fault, FaultKind


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("cut", Fault(FaultKind.CUT)),
        ("lose,seconds=2,share=0.5", Fault(FaultKind.LOSE, seconds=2, share=0.5)),
        ("halt,symbols=BTCUSDT+ETHUSDT", Fault(FaultKind.HALT, symbols=("BTCUSDT", "ETHUSDT"))),
        ("mute, markets=spot", Fault(FaultKind.MUTE, markets=("spot",))),
    ],
)
def test_a_fault_is_a_kind_and_its_fields(text, fault):
    assert parse_fault_flag(text) == fault


@pytest.mark.parametrize("text", ["", "earthquake", "cut,share", "cut,share=many", "cut,colour=red"])
def test_what_is_no_fault_is_refused_with_its_text(text):
    with pytest.raises(BadSettings) as caught:
        parse_fault_flag(text)
    assert repr(text) in caught.value.mistakes[0]
