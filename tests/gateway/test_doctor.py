"""The doctor: each finding, on real folders, ports and a simulated exchange."""

import socket
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from gateway import doctor
from gateway.config.load import Settings, changed
from gateway.doctor import (
    Verdict,
    check_folder,
    check_nats,
    check_port,
    check_python,
    check_rest,
    check_socket,
    examine,
    judge_clock,
    judge_room,
    one_kind_per_address,
)
from gateway.exchanges.venue import VENUES, Venue
from gateway.processes.ports import find_free_port
from gateway.sim.faults import Fault, FaultKind
from gateway.sim.server import SimOptions, SimulatedExchange

SPOT, USDM = VENUES["binance"], VENUES["binance-usdm"]


def at(venue: Venue, exchange: SimulatedExchange) -> Venue:
    path = "/fstream" if venue is USDM else ""
    return venue.with_endpoints(f"ws://127.0.0.1:{exchange.port}{path}", f"http://127.0.0.1:{exchange.port}")


async def test_a_machine_in_order_is_all_ok(tmp_path):
    port = find_free_port()
    settings = changed(Settings(), {"server.port": port, "data.folder": str(tmp_path)})
    async with SimulatedExchange(SimOptions()) as exchange:
        findings = [finding async for finding in examine(settings, [at(SPOT, exchange)])]
    assert [finding.verdict for finding in findings] == [Verdict.OK] * 6, findings


@pytest.mark.parametrize("kind", ["bookTicker", "aggTrade"])
async def test_an_address_that_connects_and_stays_mute_is_called_dead(monkeypatch, kind):
    monkeypatch.setattr(doctor, "DELIVERY_TIMEOUT_S", 0.3)
    async with SimulatedExchange(SimOptions(faults=(Fault(FaultKind.MUTE),))) as exchange:
        finding = await check_socket(at(USDM, exchange), kind)
    assert finding.verdict is Verdict.FAIL
    assert "the address is dead" in finding.text
    assert f"acked but no data: btcusdt@{kind}" in finding.text


async def test_an_address_that_does_not_answer_at_all_is_called_dead_too(monkeypatch):
    monkeypatch.setattr(doctor, "DELIVERY_TIMEOUT_S", 0.3)

    async def say_nothing(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with serve(say_nothing, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        finding = await check_socket(SPOT.with_endpoints(f"ws://127.0.0.1:{port}"), "aggTrade")
    assert finding.verdict is Verdict.FAIL
    assert "no ack: btcusdt@aggTrade" in finding.text


async def test_where_nothing_listens_is_said_to_be_so():
    port = find_free_port()
    venue = SPOT.with_endpoints(f"ws://127.0.0.1:{port}", f"http://127.0.0.1:{port}")
    assert (await check_socket(venue, "aggTrade")).verdict is Verdict.FAIL
    assert "nothing listens there" in (await check_rest(venue)).text


def test_each_address_of_a_venue_is_tried_once():
    kinds = ("aggTrade", "bookTicker", "miniTicker")
    assert one_kind_per_address(SPOT, kinds) == ["aggTrade"]
    assert one_kind_per_address(USDM, kinds) == ["aggTrade", "bookTicker"]


def test_every_venue_has_a_busy_symbol():
    assert doctor.BUSY.keys() == VENUES.keys()


@pytest.mark.parametrize(
    ("offset_ms", "round_trip_ms", "verdict"),
    [(0, 10, Verdict.OK), (-999, 10, Verdict.OK), (5000, 10, Verdict.WARN), (1500, 2000, Verdict.OK)],
)
def test_a_clock_is_wrong_only_beyond_what_the_round_trip_explains(offset_ms, round_trip_ms, verdict):
    assert judge_clock("binance", offset_ms, round_trip_ms).verdict is verdict


@pytest.mark.parametrize(
    ("free_bytes", "verdict"), [(1 << 20, Verdict.FAIL), (500 << 20, Verdict.WARN), (2 << 30, Verdict.OK)]
)
def test_a_full_disk_is_found_before_it_is_full(free_bytes, verdict):
    assert judge_room(Path("data"), free_bytes).verdict is verdict


def test_a_folder_is_not_made_by_looking_at_it(tmp_path):
    assert check_folder(tmp_path / "new" / "data").verdict is Verdict.OK
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_fails(tmp_path):
    (tmp_path / "file").touch()
    assert check_folder(tmp_path / "file").verdict is Verdict.FAIL


def test_a_taken_port_fails():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert check_port("127.0.0.1", taken.getsockname()[1]).verdict is Verdict.FAIL


def test_an_old_python_fails():
    assert check_python((3, 10)).verdict is Verdict.FAIL


async def test_an_outside_bus_is_not_ours_to_check():
    assert "none of our own" in (await check_nats("nats://a:1")).text
